"""A metric: the share of texts whose label is wrong."""

from textclf import Component, Traits


class ErrorRate:
    greater_is_better = False
    reads_scores = False

    def __call__(self, predictions, weights=None):
        wrong = predictions.truth != predictions.predicted
        if weights is None:
            return float(wrong.mean())
        return weights @ wrong / weights.sum(axis=1)


def textclf_metrics():
    traits = Traits(tasks=frozenset({"single-label"}))
    summary = "the share of wrong labels"
    return [Component(name="error_rate", summary=summary, build=lambda options: ErrorRate(), traits=traits)]
