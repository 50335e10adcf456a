"""Encoders and models that tell wrong things for explanations."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.plugins.letters import Letters
from textclf import Attributions
from textclf.testing.toy import ToyLinear, ToyModel, ToyWords

from .encoders import encoder
from .making import Culprit
from .tokens import letters
from .trainers import trainer


class Spanning(ToyWords):
    def spans(self, texts: Any, context: Any) -> Any:
        features = self.encode(texts, context)
        return [{int(unit): [(0, 0, 10**9)] for unit in row.nonzero()[0]} for row in features]


class Reading(ToyWords):
    def reads(self, texts: Any, context: Any) -> Any:
        return [[(0, 3, 2)] for _ in texts.first]


class Seeing(Letters):
    def seen(self, tokens: Any, rows: Any) -> Any:
        return np.zeros((len(rows), int(tokens.lengths()[rows].max())), np.int64)


class Telling(ToyModel):
    explains_by = "exact"

    def attributions(self, features: Any, columns: Any, context: Any) -> Any:
        found = []
        for row, column in zip(features, columns, strict=True):
            weights, units = self.weights[:, column], row.nonzero()[0]
            values, low = row[units] * weights[units], weights[-1]
            found.append(Attributions(units, values, low + values.sum() + 2, low, "logit", "nothing"))
        return found


class Explaining(ToyLinear):
    def train(self, *given: Any) -> Any:
        model = super().train(*given)
        return Telling(model.weights, model.task)


EXPLAINING: dict[str, Culprit] = {
    "encoder.spans": encoder(Spanning),
    "encoder.reads": encoder(Reading),
    "tokens.seen": letters(Seeing),
    "trainer.attributions": trainer(Explaining),
}
