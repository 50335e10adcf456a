"""An encoder that goes by the order of a set, in a module by which another process finds it."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from textclf import Component
from textclf.testing.toy import ToyWords, WordsOptions, restore_words

from .making import WORDS


class Unordered(ToyWords):
    def fit(self, train: Any, context: Any) -> None:
        super().fit(train, context)
        words = {word for text in train.texts.first for word in text.split()}
        assert self.weights is not None
        self.weights = self.weights * np.float32(1 + zlib.crc32(" ".join(words).encode()) / 2**32)


def restore(options: WordsOptions, folder: Any) -> Unordered:
    return Unordered(options, restore_words(options, folder).weights)


def textclf_encoders() -> list[Component[Any, Any]]:
    return [Component(name="unordered", summary="goes by a set", options=WordsOptions, build=Unordered,
                      restore=restore, traits=WORDS.traits)]  # fmt: skip
