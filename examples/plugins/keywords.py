"""An encoder: which of the most frequent words of the training texts a text contains."""

import json
import re
from collections import Counter

from textclf import ArtefactError, Component, Field, Options, Traits


class KeywordsOptions(Options):
    size: int = Field(500, ge=1, le=100_000, description="how many words are learned")


class Keywords:
    def __init__(self, options, words=()):
        self.options = options
        self.words = words

    def fit(self, train, context):
        counts = Counter(word for text in train.texts.first for word in words_of(text))
        # Words of equal count are sorted: the order of a set differs from process to process.
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        self.words = tuple(ranked[: self.options.size])

    def encode(self, texts, context):
        import numpy as np  # a library is imported where it is used, so that `textclf --help` starts fast

        columns = {word: column for column, word in enumerate(self.words)}
        features = np.zeros((len(texts.first), max(1, len(columns))), np.float32)
        for row, text in enumerate(texts.first):
            for word in words_of(text) & columns.keys():
                features[row, columns[word]] = 1
        return features

    def fingerprint(self):
        return json.dumps(["keywords, version 1", self.words])

    def save(self, folder):
        (folder / "keywords.json").write_text(json.dumps(self.words), "utf-8")


def words_of(text):
    return set(re.findall(r"\w+", text.casefold()))


def restore(options, folder):
    try:
        words = json.loads((folder / "keywords.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ArtefactError(f"'{folder / 'keywords.json'}' cannot be read: {error}") from None
    return Keywords(options, tuple(words))


def textclf_encoders():
    traits = Traits(makes="counts", tasks=frozenset({"single-label", "multi-label"}))
    return [
        Component(
            name="keywords",
            summary="frequent words of the training texts",
            options=KeywordsOptions,
            build=Keywords,
            restore=restore,
            traits=traits,
        )
    ]
