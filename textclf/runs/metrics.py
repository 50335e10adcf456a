"""Owns how predictions become numbers: metrics, their bootstrap intervals, and the table of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..data.dataset import Texts
from ..data.predictions import Counts, Predictions
from ..errors import PluginError
from ..hooks.contracts import Judgement, Metric
from .report import Estimate, LabelRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
# Draws a chunk, so that weights [draws, texts] stay under about 100 MB.
_CHUNK = 12_000_000


@dataclass(frozen=True, slots=True)
class Draws:
    """A metric on the texts themselves, and on each bootstrap draw, float64[draws]."""

    value: float
    draws: NDArray[np.float64]

    def estimate(self) -> Estimate:
        low, high = interval(self.draws)
        return Estimate(self.value, low, high)


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentile interval of the draws in which the metric is defined."""
    import numpy as np

    defined = draws[np.isfinite(draws)]
    if len(defined) == 0:
        return np.nan, np.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def measure(name: str, metric: Metric, predictions: Predictions) -> float:
    """Call a metric and refuse what is no number."""
    value = metric(predictions)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise PluginError(f"metric '{name}' returned a {type(value).__name__}, not a number") from None


def bootstrap(
    metrics: Mapping[str, Metric], predictions: Predictions, draws: int, seed: int = 0
) -> dict[str, Draws]:
    """Measure each metric on the texts and on `draws` resamples of them, or of their groups where there are any.

    The same seed and number of texts give the same resamples, so that runs on the same test texts can be paired.
    """
    import numpy as np

    found: dict[str, Draws] = {}
    cells = _cells(predictions)
    for name, metric in metrics.items():
        subject, membership = (predictions, None) if metric.reads_scores else cells
        drawn = [
            np.atleast_1d(np.asarray(metric(subject, weights), np.float64))
            for weights in _weights(predictions, membership, draws, seed)
        ]
        values = np.concatenate(drawn)
        if values.shape != (draws,):
            raise PluginError(f"metric '{name}' gave {values.shape} values for weights of {draws} draws")
        found[name] = Draws(measure(name, metric, predictions), values)
    return found


def _weights(
    predictions: Predictions, membership: NDArray[np.int64] | None, draws: int, seed: int
) -> Any:
    """Yield the weights of the resamples, [draws, n], or [draws, cells] where a membership maps rows to cells."""
    import numpy as np

    n = len(predictions)
    groups = predictions.groups
    unit_of_row = np.arange(n) if groups is None else np.unique(np.asarray(groups, object), return_inverse=True)[1]
    units = int(unit_of_row.max()) + 1 if n else 0
    columns = np.arange(n) if membership is None else membership
    per_unit = np.zeros((units, int(columns.max()) + 1)) if membership is not None and n else None
    if per_unit is not None:
        np.add.at(per_unit, (unit_of_row, columns), 1.0)
    generator = np.random.default_rng(seed)
    chunk = max(1, min(draws, _CHUNK // max(1, n)))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        counts = np.empty((size, units))
        for row in range(size):
            counts[row] = np.bincount(generator.integers(0, units, units), minlength=units)
        yield counts @ per_unit if per_unit is not None else counts[:, unit_of_row]


def _cells(predictions: Predictions) -> tuple[Predictions, NDArray[np.int64]]:
    """Return one prediction for each distinct pair of truth and predicted, and the cell of each row."""
    import numpy as np

    pairs = np.column_stack([predictions.truth.reshape(len(predictions), -1).astype(np.int64),
                             predictions.predicted.reshape(len(predictions), -1).astype(np.int64)])  # fmt: skip
    _, first, cell = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    blank = [""] * len(first)
    return (
        replace(
            predictions,
            truth=predictions.truth[first],
            predicted=predictions.predicted[first],
            scores=predictions.scores[first],
            texts=Texts(blank),
            ids=blank,
            groups=None,
        ),
        cell.reshape(-1).astype(np.int64),
    )


def judge(metrics: Mapping[str, Metric], select: str, predictions: Predictions) -> Judgement:
    """Measure validation predictions; `value` is the selected metric, turned so that greater is better."""
    values = {name: measure(name, metric, predictions) for name, metric in metrics.items()}
    sign = 1.0 if metrics[select].greater_is_better else -1.0
    return Judgement(values, sign * values[select])


def label_rows(predictions: Predictions) -> tuple[LabelRow, ...]:
    """Return precision, recall, F1 and support of each label."""
    counts = predictions.counts()
    return tuple(
        LabelRow(
            name, float(counts.precision[i]), float(counts.recall[i]), float(counts.f1[i]), int(counts.support[i])
        )
        for i, name in enumerate(predictions.labels.names)
    )


def average_rows(predictions: Predictions) -> tuple[LabelRow, ...]:
    """Return the averages over labels: macro, weighted by support, and, for multi-label tasks, micro."""
    import numpy as np

    counts = predictions.counts()
    support = int(counts.support.sum())
    columns = (counts.precision, counts.recall, counts.f1)
    weights = counts.support / max(1.0, counts.support.sum())
    rows = [
        _average("macro", [float(np.mean(c)) for c in columns], support),
        _average("weighted", [float(c @ weights) for c in columns], support),
    ]
    if predictions.labels.task == "multi-label":
        hits, predicted, real = (np.asarray(c.sum()) for c in (counts.hits, counts.predicted, counts.support))
        micro = Counts(hits, predicted, real)
        rows.append(_average("micro", [float(micro.precision), float(micro.recall), float(micro.f1)], support))
    return tuple(rows)


def _average(name: str, values: Sequence[float], support: int) -> LabelRow:
    precision, recall, f1 = values
    return LabelRow(name, precision, recall, f1, support)


def confusion(predictions: Predictions) -> tuple[tuple[int, ...], ...] | None:
    """Return counts by truth (rows) and predicted (columns; a last one for abstentions, where there are any)."""
    import numpy as np

    if predictions.labels.task == "multi-label":
        return None
    size = len(predictions.labels)
    columns = np.where(predictions.predicted < 0, size, predictions.predicted)
    matrix = np.zeros((size, size + 1), np.int64)
    np.add.at(matrix, (predictions.truth, columns), 1)
    if not matrix[:, size].any():
        matrix = matrix[:, :size]
    return tuple(tuple(int(n) for n in row) for row in matrix)


def commonest(predictions: Predictions, train_labels: NDArray[np.int64] | NDArray[np.bool_]) -> Predictions:
    """Return what answering by the training split's label frequencies alone would have predicted."""
    import numpy as np

    n, size = len(predictions), len(predictions.labels)
    if predictions.labels.task == "multi-label":
        share = train_labels.mean(axis=0)
        predicted: Any = np.tile(share >= 0.5, (n, 1))
    else:
        share = np.bincount(train_labels, minlength=size) / max(1, len(train_labels))
        predicted = np.full(n, int(share.argmax()), np.int64)
    scores = np.tile(share.astype(np.float32), (n, 1))
    return replace(predictions, predicted=predicted, scores=scores)


def headline_first(names: Sequence[str], truth_share: float) -> list[str]:
    """Return the metrics' names, macro F1 first where one label holds over 80 % of the texts."""
    if truth_share > 0.8 and "f1_macro" in names:
        return ["f1_macro", *(name for name in names if name != "f1_macro")]
    return list(names)
