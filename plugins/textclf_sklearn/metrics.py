"""Metrics: one formula each, for one weighting of the texts or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf import Counts, DataError, Predictions

from .options import Average

Floats = NDArray[np.float64]
# Weights that are computed together: 16 MB, which stays near the caches and bounds the memory for any number of draws.
_CHUNK = 2_000_000


Formula = Callable[[Predictions, Floats], Floats]
# The logarithm takes a probability of 0 as this: the resolution of float32, the type of scores.
_LEAST = float(np.finfo(np.float32).eps)


class Measure:
    """A metric; its formula gives float64[draws] for weights [draws, n]."""

    def __init__(self, formula: Formula, *, reads_scores: bool = False, greater_is_better: bool = True) -> None:
        self.formula = formula
        self.reads_scores = reads_scores
        self.greater_is_better = greater_is_better

    def __call__(self, predictions: Predictions, weights: Floats | None = None) -> Any:
        if weights is None:
            return float(self.formula(predictions, np.ones((1, len(predictions))))[0])
        return self.formula(predictions, weights)


def accuracy(predictions: Predictions, weights: Floats) -> Floats:
    """Share of texts whose label, or whole set of labels, is right; an abstention never is."""
    same = predictions.truth == predictions.predicted
    right = same if same.ndim == 1 else same.all(axis=1)
    return mean(right.astype(np.float64), weights)


def averaged(measure: str, average: Average) -> Measure:
    """Return the metric `measure`, an attribute of Counts, averaged over labels."""

    def formula(predictions: Predictions, weights: Floats) -> Floats:
        chosen = usual_average(predictions) if average == "auto" else average
        counts = predictions.counts(weights)
        if chosen == "binary":
            return np.asarray(getattr(counts, measure))[:, _positive(predictions, measure)]
        if chosen == "micro":
            return np.asarray(getattr(_together(counts), measure))[:, 0]
        # As in scikit-learn, a label that is neither true nor predicted does not count.
        present = (counts.support + counts.predicted > 0).astype(np.float64)
        return mean_over_labels(getattr(counts, measure), counts.support if chosen == "weighted" else present)

    return Measure(formula)


def usual_average(predictions: Predictions) -> Average:
    if predictions.labels.task == "multi-label":
        return "micro"
    return "macro" if predictions.labels.positive is None else "binary"


def mcc(predictions: Predictions, weights: Floats) -> Floats:
    """Correlation of truth and prediction over all labels (Gorodkin 2004); multi-label: the mean over labels."""
    counts = predictions.counts(weights)
    hits, predicted, real = counts.hits, counts.predicted, counts.support
    total = weights.sum(axis=1)
    if predictions.labels.task == "multi-label":
        total = total[:, None]
        each = _correlation(hits * total - predicted * real, predicted * (total - predicted), real * (total - real))
        return np.asarray(each.mean(axis=1))
    # An abstention is a prediction of its own, and never right.
    abstained = total - predicted.sum(axis=1)
    spread = total**2 - (predicted**2).sum(axis=1) - abstained**2
    shared = hits.sum(axis=1) * total - (predicted * real).sum(axis=1)
    return _correlation(shared, spread, total**2 - (real**2).sum(axis=1))


def log_loss(predictions: Predictions, weights: Floats) -> Floats:
    """Mean negative logarithm of the probability given to the truth; multi-label: of each label, then their mean."""
    scores = np.clip(predictions.scores.astype(np.float64), _LEAST, 1 - _LEAST)
    if predictions.truth.ndim == 1:
        return mean(-np.log(scores[np.arange(len(scores)), predictions.truth]), weights)
    return mean(-np.log(np.where(predictions.truth, scores, 1 - scores)).mean(axis=1), weights)


def roc_auc(predictions: Predictions, weights: Floats) -> Floats:
    """Area under the ROC curve of the positive label; with more labels the mean over each against the rest.

    A label that all texts of a draw have, or none, has no area and does not count; NaN where no label has one.
    """
    truth = predictions.truth_matrix()
    positive = predictions.labels.positive_index
    columns = range(truth.shape[1]) if positive is None else [positive]
    each = np.stack([areas(predictions.scores[:, c], truth[:, c], weights) for c in columns], axis=1)
    defined = np.isfinite(each)
    return ratio(np.where(defined, each, 0.0).sum(axis=1), defined.sum(axis=1), np.nan)


def mean(values: Floats, weights: Floats) -> Floats:
    """Return the weighted mean of values [n] in each draw [draws, n]; of nothing, NaN."""
    return ratio(weights @ values, weights.sum(axis=1), np.nan)


def mean_over_labels(values: Floats, weights: Floats) -> Floats:
    return ratio((values * weights).sum(axis=1), weights.sum(axis=1), 0.0)


def ratio(numerator: Floats, denominator: Floats, undefined: float) -> Floats:
    empty = np.full_like(numerator, undefined)
    return np.asarray(np.divide(numerator, denominator, out=empty, where=denominator > 0))


def _correlation(shared: Floats, spread: Floats, other: Floats) -> Floats:
    """Divide by the root of both spreads; where one side never varies there is no correlation: 0."""
    return ratio(shared, np.sqrt(np.maximum(spread, 0)) * np.sqrt(np.maximum(other, 0)), 0.0)


def _positive(predictions: Predictions, measure: str) -> int:
    index = predictions.labels.positive_index
    if index is None:
        raise DataError(
            f"{measure}: the average 'binary' needs two single labels, and these are {len(predictions.labels)} of a "
            f"{predictions.labels.task} task; take 'macro' or 'micro'"
        )
    return index


def _together(counts: Counts) -> Counts:
    return Counts(*(part.sum(axis=1, keepdims=True) for part in (counts.hits, counts.predicted, counts.support)))


def areas(scores: NDArray[np.float32], wanted: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the chance that a wanted text scores above another, ties counting half, float64[draws].

    NaN in draws [draws, n] whose weight lies all on one side.
    """
    order = np.argsort(scores, kind="stable")
    ranked, wanted = scores[order], wanted[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])) if len(order) else np.zeros(0, int)
    found = [_areas(block[:, order], wanted, starts) for block in _blocks(weights)]
    return np.concatenate(found) if found else np.zeros(0)


def _blocks(weights: Floats) -> Iterator[Floats]:
    size = max(1, _CHUNK // max(1, weights.shape[1]))
    for start in range(0, len(weights), size):
        yield weights[start : start + size]


def _areas(weights: Floats, wanted: NDArray[np.bool_], starts: NDArray[np.int64]) -> Floats:
    if len(starts) == 0:
        return np.full(len(weights), np.nan)
    positive = np.add.reduceat(weights * wanted, starts, axis=1)
    negative = np.add.reduceat(weights * ~wanted, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * below).sum(axis=1)
    return np.asarray(np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0))


METRICS: dict[str, Callable[[Any], Measure]] = {
    "accuracy": lambda _: Measure(accuracy),
    "f1": lambda options: averaged("f1", options.average),
    "f1_macro": lambda _: averaged("f1", "macro"),
    "f1_micro": lambda _: averaged("f1", "micro"),
    "f1_weighted": lambda _: averaged("f1", "weighted"),
    "precision": lambda options: averaged("precision", options.average),
    "recall": lambda options: averaged("recall", options.average),
    "mcc": lambda _: Measure(mcc),
    "roc_auc": lambda _: Measure(roc_auc, reads_scores=True),
    "log_loss": lambda _: Measure(log_loss, reads_scores=True, greater_is_better=False),
}
