"""Metrics that break one clause each."""

from __future__ import annotations

from typing import Any

import numpy as np

from textclf.testing.toy import ToyAccuracy

from .making import Culprit, wrong


def metric(made: type[ToyAccuracy]) -> Culprit:
    return wrong("metric", lambda options: made())


def right(predictions: Any) -> Any:
    found = predictions.truth == predictions.predicted
    return found.all(axis=1) if found.ndim == 2 else found


class Undecided(ToyAccuracy):
    reads_scores = None  # type: ignore[assignment]


class Moody(ToyAccuracy):
    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        return super().__call__(predictions, weights) - np.random.default_rng().random() / 100


class Falling(ToyAccuracy):
    greater_is_better = False


class Short(ToyAccuracy):
    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        return np.float32(super().__call__(predictions, weights))


class Ageing(ToyAccuracy):
    """Counts later texts more."""

    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        if weights is not None:
            return super().__call__(predictions, weights)
        ages = np.arange(1, 1 + len(predictions))
        return float(ages @ right(predictions) / ages.sum())


class Unweighted(ToyAccuracy):
    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        value = super().__call__(predictions)
        return value if weights is None else np.full(len(weights), value)


class Peeking(ToyAccuracy):
    """Says that it reads no scores, and does."""

    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        each = right(predictions) + predictions.scores.max(axis=1).astype(np.float64) / 100
        return float(each.mean()) if weights is None else weights @ each / weights.sum(axis=1)


class Overshooting(ToyAccuracy):
    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        value = super().__call__(predictions, weights)
        beyond = np.where((value > 0) & (value < 1), value + 1, value)
        return float(beyond) if weights is None else beyond


class Greedy(ToyAccuracy):
    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        predictions.scores[:] = 0
        return super().__call__(predictions, weights)


class Costly(ToyAccuracy):
    """Looks the cost of an answer up, of -1 that of the last label."""

    def __call__(self, predictions: Any, weights: Any = None) -> Any:
        if predictions.truth.ndim == 2:
            return super().__call__(predictions, weights)
        each = np.eye(len(predictions.labels))[predictions.truth, predictions.predicted]
        return float(each.mean()) if weights is None else weights @ each / weights.sum(axis=1)


METRICS: dict[str, Culprit] = {
    "metric.direction": metric(Undecided),
    "metric.repeats": metric(Moody),
    "metric.extremes": metric(Falling),
    "metric.float": metric(Short),
    "metric.order": metric(Ageing),
    "metric.weights": metric(Unweighted),
    "metric.cells": metric(Peeking),
    "metric.range": metric(Overshooting),
    "metric.input": metric(Greedy),
    "metric.abstains": metric(Costly),
}
