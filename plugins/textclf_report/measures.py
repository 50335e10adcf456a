"""The numbers behind the figures: outcomes, reliability bins, accuracy by length, and the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf import Predictions, Texts

_Z = 1.959963984540054  # of a 95 % interval
_UNSPACED = 15  # characters a word: beyond, the texts are written without spaces


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Scores, and whether what they predict held.

    Single labels: of each text that got a label, its score and whether it is right. Several labels: of each text and
    label, its score and whether the text has it. float64[m], bool[m].
    """

    score: NDArray[np.float64]
    held: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bin:
    """Some of the outcomes, or texts: from `low` to `high`, how many, how many held, and the 95 % interval of that."""

    low: float
    high: float
    count: int
    held: int
    mean: float

    @property
    def share(self) -> float:
        return self.held / self.count

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.held, self.count)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error over `bins`, and the part of it that a calibrated classifier has by chance."""

    bins: tuple[Bin, ...]
    error: float
    by_chance: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer. label: the one that is scored; score: of what was predicted; true_score: of what is true."""

    id: str
    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    label: str
    score: float
    true_score: float
    first: str
    second: str | None


def outcomes(predictions: Predictions) -> Outcomes:
    if predictions.labels.task == "multi-label":
        return Outcomes(predictions.scores.astype(np.float64).ravel(), predictions.truth_matrix().ravel())
    rows = np.flatnonzero(predictions.predicted >= 0)
    columns = predictions.predicted[rows]
    return Outcomes(predictions.scores[rows, columns].astype(np.float64), predictions.truth[rows] == columns)


def calibration(found: Outcomes, most: int = 10, least: int = 20) -> Calibration:
    """Bin the scores into at most `most` bins of equal mass, of at least about `least` outcomes (Nguyen 2015).

    by_chance: the expected error if each outcome held with the probability that is its score, its sums taken as normal.
    """
    total = len(found.score)
    if total == 0:
        return Calibration((), math.nan, math.nan)
    places = equal_mass(found.score, max(1, min(most, total // least)))
    members = [places == place for place in np.unique(places)]
    bins = tuple(_bin(found.score[rows], found.held[rows]) for rows in members)
    error = sum(abs(part.held - part.mean * part.count) for part in bins) / total
    spread = [(found.score[rows] * (1 - found.score[rows])).clip(0).sum() for rows in members]
    return Calibration(bins, error, float(np.sqrt(np.multiply(spread, 2 / math.pi)).sum()) / total)


def histogram(found: Outcomes, bins: int = 20) -> list[Bin]:
    """Count outcomes in bins of equal width from 0, or from 0.5 where no score is less, to 1."""
    low = 0.5 if len(found.score) and found.score.min() >= 0.5 else 0.0
    edges = np.linspace(low, 1, bins + 1)
    places = (np.searchsorted(edges, found.score, side="right") - 1).clip(0, bins - 1)
    counts, held = np.bincount(places, minlength=bins), np.bincount(places[found.held], minlength=bins)
    return [
        Bin(float(edges[i]), float(edges[i + 1]), int(counts[i]), int(held[i]), float(edges[i : i + 2].mean()))
        for i in range(bins)
    ]


def right(predictions: Predictions) -> NDArray[np.bool_]:
    """Tell of each text whether its label, or all of its labels, are right; an abstention is not."""
    same: NDArray[np.bool_] = predictions.truth == predictions.predicted
    return same if same.ndim == 1 else np.asarray(same.all(axis=1), np.bool_)


def by_length(predictions: Predictions, most: int = 6, least: int = 10) -> tuple[str, list[Bin]]:
    """Return the unit of length, words or characters, and how many texts are right by equal-mass bins of length."""
    if len(predictions) == 0:
        return "words", []
    unit, lengths = _lengths(predictions.texts)
    places = equal_mass(lengths, max(1, min(most, len(lengths) // least)))
    held = right(predictions)
    return unit, [_bin(lengths[places == place], held[places == place]) for place in np.unique(places)]


def equal_mass(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return the bin of each value: bins of as equal mass as ties allow, since equal values share one."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    return np.searchsorted(edges, values, side="left").astype(np.int64)


def wilson(held: int, count: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927)."""
    share, weight = held / count, _Z**2 / count
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)


def mistakes(predictions: Predictions, most: int) -> list[Mistake]:
    """Return the wrong answers given with the greatest certainty, the worst first; abstentions are no answers."""
    if predictions.labels.task == "multi-label":
        off = np.where(predictions.truth, 1 - predictions.scores, predictions.scores).astype(np.float64)
        off[predictions.truth == predictions.predicted] = -1
        columns = off.argmax(axis=1)
        badness = off[np.arange(len(off)), columns]
        wrong = np.flatnonzero(badness >= 0)
    else:
        columns = predictions.predicted
        wrong = np.flatnonzero((columns >= 0) & (columns != predictions.truth))
        badness = predictions.scores[np.arange(len(columns)), columns].astype(np.float64)
    worst = wrong[np.argsort(-badness[wrong], kind="stable")][:most]
    return [_mistake(predictions, int(row), int(columns[row])) for row in worst]


def confusions(matrix: Sequence[Sequence[int]], names: Sequence[str], most: int) -> list[tuple[str, str, int, float]]:
    """Return (true label, predicted label, count, share of the true label's texts), the commonest confusions first."""
    found = [
        (names[row], names[column], count, count / sum(counts))
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return sorted(found, key=lambda confusion: (-confusion[2], -confusion[3]))[:most]


def _bin(values: NDArray[Any], held: NDArray[np.bool_]) -> Bin:
    return Bin(float(values.min()), float(values.max()), len(values), int(held.sum()), float(values.mean()))


def _lengths(texts: Texts) -> tuple[str, NDArray[np.float64]]:
    columns = [column for column in (texts.first, texts.second) if column is not None]
    characters = np.sum([[len(text) for text in column] for column in columns], axis=0).astype(np.float64)
    words = np.sum([[len(text.split()) for text in column] for column in columns], axis=0).astype(np.float64)
    unspaced = float(np.median(characters / words.clip(1))) > _UNSPACED
    return ("characters", characters) if unspaced else ("words", words)


def _mistake(predictions: Predictions, row: int, column: int) -> Mistake:
    names, texts, scores = predictions.labels.names, predictions.texts, predictions.scores[row]
    if predictions.labels.task == "multi-label":
        truth = tuple(name for name, on in zip(names, predictions.truth[row], strict=True) if on)
        predicted = tuple(name for name, on in zip(names, predictions.predicted[row], strict=True) if on)
        score = float(scores[column])
        true_score = score if predictions.truth[row, column] else 1 - score
    else:
        true = int(predictions.truth[row])
        truth, predicted = (names[true],), (names[column],)
        score, true_score = float(scores[column]), float(scores[true])
    first, second = texts.first[row], None if texts.second is None else texts.second[row]
    return Mistake(str(predictions.ids[row]), truth, predicted, names[column], score, true_score, first, second)
