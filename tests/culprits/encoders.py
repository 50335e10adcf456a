"""Encoders that break one clause each."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import numpy as np

from textclf import Field, Texts
from textclf.testing.toy import ToyWords, WordsOptions, restore_words

from .making import Culprit, offered, wrong
from .unordered import textclf_encoders as unordered_encoders


def encoder(made: type[ToyWords], **given: Any) -> Culprit:
    """Return the toy's encoder as another class, which also comes back from a saved folder."""

    def restore(options: Any, folder: Any) -> ToyWords:
        return made(options, restore_words(options, folder).weights)

    return wrong("encoder", made, restore=restore, given=given)


class Uneven(ToyWords):
    def encode(self, texts: Any, context: Any) -> Any:
        return super().encode(texts, context)[1:]


class Fragile(ToyWords):
    def encode(self, texts: Any, context: Any) -> Any:
        if not all(texts.first):
            raise ZeroDivisionError("a text without letters has no mean letter")
        return super().encode(texts, context)


class Listing(ToyWords):
    def encode(self, texts: Any, context: Any) -> Any:
        return super().encode(Texts(texts.first.copy(), texts.second), context)


class Greedy(ToyWords):
    def fit(self, train: Any, context: Any) -> None:
        super().fit(train, context)
        train.labels[:] = np.sort(train.labels, axis=0)


class Tiring(ToyWords):
    asked = 0

    def encode(self, texts: Any, context: Any) -> Any:
        self.asked += 1
        return super().encode(texts, context) / self.asked


class Random(ToyWords):
    def fit(self, train: Any, context: Any) -> None:
        super().fit(train, context)
        assert self.weights is not None
        self.weights = self.weights + np.random.default_rng().random(len(self.weights)).astype(np.float32)


class Curious(ToyWords):
    """Counts the texts that hold no word it knows, also those it is only asked about."""

    met = 0

    def encode(self, texts: Any, context: Any) -> Any:
        self.met += sum("unheard" in text for text in texts.first)
        return super().encode(texts, context) / (1 + self.met)


class Sorting(ToyWords):
    """Works from the smallest text to the largest, and forgets to put them back where that begins at the end."""

    def encode(self, texts: Any, context: Any) -> Any:
        features = super().encode(texts, context)
        numbers = [text.rpartition(" ")[2] for text in (texts.first[0], texts.first[-1])]
        known = all(number.isdigit() for number in numbers)
        return features[::-1] if known and int(numbers[0]) > int(numbers[-1]) else features


class Neighbourly(ToyWords):
    def encode(self, texts: Any, context: Any) -> Any:
        features = super().encode(texts, context)
        return features - features.mean(axis=0)


class Lying(ToyWords):
    def fingerprint(self) -> str:
        return "always the same"


class ScaledOptions(WordsOptions):
    scale: float = Field(1.0, gt=0, le=9, description="what all features are multiplied with")


class Scaled(ToyWords):
    """Leaves an option out of its fingerprint."""

    def encode(self, texts: Any, context: Any) -> Any:
        options: Any = self.options
        return super().encode(texts, context) * np.float32(options.scale)

    def fingerprint(self) -> str:
        return hashlib.sha256(b"" if self.weights is None else self.weights.tobytes()).hexdigest()


class RangeOptions(WordsOptions):
    low: int = Field(3, ge=1, le=8, description="shortest n-gram")
    high: int = Field(3, ge=1, le=8, description="longest n-gram")


class Ranging(ToyWords):
    """Takes options that do not go together."""

    def fit(self, train: Any, context: Any) -> None:
        options: Any = self.options
        if options.low > options.high:
            raise ValueError(f"{options.low} to {options.high} is no range")
        super().fit(train, context)


class Forgetful(ToyWords):
    def save(self, folder: Any) -> None:
        np.save(folder / "toy_words.npy", np.ones(self.options.columns, np.float32), allow_pickle=False)


class Pickling(ToyWords):
    def save(self, folder: Any) -> None:
        super().save(folder)
        (folder / "words.pkl").write_bytes(b"\x80\x04.")


class Crowded(ToyWords):
    """Keeps in its class what it learns, so that the last one fitted answers for all."""

    latest: ClassVar[dict[int, Any]] = {}

    def fit(self, train: Any, context: Any) -> None:
        super().fit(train, context)
        self.latest[self.options.columns] = self.weights

    def encode(self, texts: Any, context: Any) -> Any:
        self.weights = self.latest.get(self.options.columns, self.weights)
        return super().encode(texts, context)


class Deaf(ToyWords):
    def encode(self, texts: Any, context: Any) -> Any:
        return super().encode(Texts(texts.first), context)


def with_options(made: type[ToyWords], options: type[WordsOptions]) -> Culprit:
    return wrong("encoder", made, restore=encoder(made).component.restore, options=options)


ENCODERS: dict[str, Culprit] = {
    "encoder.layout": encoder(Uneven),
    "encoder.hostile": encoder(Fragile),
    "encoder.sequences": encoder(Listing),
    "encoder.input": encoder(Greedy),
    "encoder.repeats": encoder(Tiring),
    "encoder.refit": encoder(Random),
    "encoder.learns": encoder(Curious),
    "encoder.order": encoder(Sorting),
    "encoder.neighbours": encoder(Neighbourly),
    "encoder.fingerprint": encoder(Lying),
    "encoder.options": with_options(Scaled, ScaledOptions),
    "encoder.allowed": with_options(Ranging, RangeOptions),
    "encoder.process": Culprit("encoder", offered(unordered_encoders)),
    "encoder.alone": encoder(Crowded),
    "encoder.restore": encoder(Forgetful),
    "encoder.pickle": encoder(Pickling),
    "encoder.pairs": encoder(Deaf),
}
