"""An encoder: it looks at the signs of a text and not at its words."""

from textclf import Component, Field, Options, Traits


class ShapeOptions(Options):
    signs: str = Field("!?.,", min_length=1, max_length=40, description="the characters whose share is measured")


class Shape:
    def __init__(self, options):
        self.signs = options.signs

    def fit(self, train, context):
        """Nothing is learnt."""

    def encode(self, texts, context):
        import numpy as np  # libraries are imported where they are used, never at the top of the file

        return np.array([[t.count(sign) / (1 + len(t)) for sign in self.signs] for t in texts.first], np.float32)

    def fingerprint(self):
        return f"shape 1 {self.signs}"

    def save(self, folder):
        """The options are all there is, and textclf saves those."""


def textclf_encoders():
    traits = Traits(makes="counts", tasks=frozenset({"single-label", "multi-label"}))
    return [Component(name="shape", summary="the share of signs", options=ShapeOptions, build=Shape, traits=traits)]
