"""Owns the metrics: each is one formula on predictions, for one weighting of the texts or for many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf import Counts, DataError, Predictions

from .options import Average

Floats = NDArray[np.float64]


class Decided:
    """A metric of the decisions alone; `formula` gives float64[draws] for weights [draws, n]."""

    greater_is_better = True
    reads_scores = False

    def __init__(self, formula: Callable[[Predictions, Floats], Floats]) -> None:
        self.formula = formula

    def __call__(self, predictions: Predictions, weights: Floats | None = None) -> Any:
        if weights is None:
            return float(self.formula(predictions, np.ones((1, len(predictions))))[0])
        return self.formula(predictions, weights)


def accuracy() -> Decided:
    return Decided(lambda predictions, weights: mean(correct(predictions), weights))


def averaged(measure: str, average: Average) -> Decided:
    """Return the metric `measure`, an attribute of Counts, averaged over labels in that way."""

    def formula(predictions: Predictions, weights: Floats) -> Floats:
        way = average if average != "auto" else usual_average(predictions)
        counts = predictions.counts(weights)
        if way == "binary":
            each: Floats = getattr(counts, measure)
            return each[:, _positive(predictions, measure)]
        if way == "micro":
            return np.asarray(getattr(_together(counts), measure))[:, 0]
        # As in scikit-learn, a label that is neither true nor predicted has no say.
        present = (counts.support + counts.predicted > 0).astype(np.float64)
        return mean_over_labels(getattr(counts, measure), counts.support if way == "weighted" else present)

    return Decided(formula)


def correct(predictions: Predictions) -> Floats:
    """Return 1 for each text whose label, or set of labels, is right; an abstention never is."""
    same = predictions.truth == predictions.predicted
    return (same if same.ndim == 1 else same.all(axis=1)).astype(np.float64)


def mean(values: Floats, weights: Floats) -> Floats:
    """Return the weighted mean of values [n] in each draw [draws, n]; of nothing, NaN."""
    return ratio(weights @ values, weights.sum(axis=1), np.nan)


def mean_over_labels(values: Floats, weights: Floats) -> Floats:
    return ratio((values * weights).sum(axis=1), weights.sum(axis=1), 0.0)


def ratio(numerator: Floats, denominator: Floats, undefined: float) -> Floats:
    return np.asarray(np.divide(numerator, denominator, out=np.full_like(numerator, undefined), where=denominator > 0))


def usual_average(predictions: Predictions) -> Average:
    if predictions.labels.task == "multi-label":
        return "micro"
    return "macro" if predictions.labels.positive is None else "binary"


def _positive(predictions: Predictions, measure: str) -> int:
    index = predictions.labels.positive_index
    if index is None:
        many = len(predictions.labels)
        raise DataError(f"the average 'binary' of {measure} needs two single labels, not {many}; take macro or micro")
    return index


def _together(counts: Counts) -> Counts:
    return Counts(*(part.sum(axis=1, keepdims=True) for part in (counts.hits, counts.predicted, counts.support)))


METRICS: dict[str, Callable[[Any], Any]] = {
    "accuracy": lambda _: accuracy(),
    "f1": lambda options: averaged("f1", options.average),
    "f1_macro": lambda _: averaged("f1", "macro"),
}
