"""Metrics: validated values, bootstrap intervals, and the table of labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..data.dataset import Texts
from ..data.predictions import Counts, Predictions
from ..errors import type_name
from ..plugin.protocols import Judgement, Metric
from ..plugin.step import Step
from .report import Estimate, LabelRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Sums differ by as much when they are added in another order, or in float32.
_RELATIVE, _ABSOLUTE = 1e-5, 1e-6


class CheckedMetric:
    """A metric of a plugin, its answers validated: a PluginError names the plugin where it breaks its contract."""

    def __init__(self, step: Step[Metric]) -> None:
        self.step, self.inner = step, step.build()
        self.greater_is_better = self.inner.greater_is_better
        self.reads_scores = step.call("reads_scores", lambda: bool(getattr(self.inner, "reads_scores", True)))

    def __call__(self, predictions: Predictions, weights: NDArray[np.float64] | None = None) -> Any:
        import numpy as np

        value = self.step.call("__call__", lambda: self.inner(predictions, weights))
        if weights is not None:
            if not isinstance(value, np.ndarray) or value.shape != (len(weights),) or value.dtype.kind not in "fiu":
                raise self.step.error(f"__call__ returned {_shown(value)} for {len(weights)} weightings")
            return value.astype(np.float64)
        if np.ndim(value) != 0 or not isinstance(value, (int, float, np.number)):
            raise self.step.error(f"__call__ returned {_shown(value)}, not a number")
        return float(value)

    def check_weights(self, value: float, predictions: Predictions, weights: NDArray[np.float64]) -> None:
        """Raise a PluginError where weights that count each text once give another value than no weights.

        predictions: the texts, or one row for each confusion cell with the number of its texts as weight. The interval
        is computed with weights and the value without, so they must speak of the same thing.
        """
        weighted = float(self(predictions, weights[None])[0])
        if math.isnan(value) and math.isnan(weighted):
            return
        if not math.isclose(value, weighted, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE):
            cells = "" if self.reads_scores else ", from the confusion cells (reads_scores is False)"
            raise self.step.error(
                f"__call__ returned {value:g} without weights and {weighted:g} with weights that count each text "
                f"once{cells}; both must be the same"
            )


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type_name(value) + (f" of shape {shape}" if shape is not None else "")


def judge(metrics: Mapping[str, Metric], select: str, predictions: Predictions) -> Judgement:
    """Return all metrics of validation predictions; `value` is the selected one, turned so that more is better."""
    values = {name: float(metric(predictions)) for name, metric in metrics.items()}
    sign = 1.0 if metrics[select].greater_is_better else -1.0
    return Judgement(values, sign * values[select])


CONFIDENCE = 0.95
# Numbers in a chunk of weights, float64[draws, texts]: about 100 MB.
_CHUNK = 12_000_000


@dataclass(frozen=True, slots=True)
class BootstrapSamples:
    """A metric on the texts themselves, and on each resample of them, float64[draws]."""

    value: float
    draws: NDArray[np.float64]

    def estimate(self) -> Estimate:
        low, high = interval(self.draws)
        return Estimate(self.value, low, high)


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % percentile interval of the draws in which the metric is defined; NaN where there are none."""
    import numpy as np

    defined = draws[np.isfinite(draws)]
    if len(defined) == 0:
        return np.nan, np.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap(
    metrics: Mapping[str, Metric], several: Sequence[Predictions], draws: int, seed: int = 0
) -> list[dict[str, BootstrapSamples]]:
    """Return each metric on the texts and on resamples of them (Efron 1979), for several predictions of the same texts.

    draws: the number of resamples. Where texts have groups, whole groups are drawn: rows of one group are not
    independent, and drawing them singly would make the interval too narrow. All predictions get the same resamples,
    and the same seed and number of texts give them again, so that differences between runs are paired.
    """
    import numpy as np

    unit_of_row = units_of(several[0])
    tables = [_Table.of(predictions, unit_of_row) for predictions in several]
    drawn: list[dict[str, list[NDArray[np.float64]]]] = [{name: [] for name in metrics} for _ in several]
    for units in _resamples(len(unit_of_row), int(unit_of_row.max()) + 1, draws, seed):
        by_unit = np.ascontiguousarray(units.T)
        for table, samples in zip(tables, drawn, strict=True):
            # What depends on the confusion cells alone is computed from a few cells in place of all texts.
            in_cells = (table.units_in_cell @ by_unit).T
            for name, metric in metrics.items():
                if metric.reads_scores:
                    samples[name].append(metric(table.predictions, units[:, unit_of_row]))
                else:
                    samples[name].append(metric(table.cells, in_cells))
    return [
        {
            name: BootstrapSamples(_value(metric, table), np.concatenate(samples[name]))
            for name, metric in metrics.items()
        }
        for table, samples in zip(tables, drawn, strict=True)
    ]


def _value(metric: Metric, table: _Table) -> float:
    """Return the metric on the texts themselves; a PluginError where weights of one give another value."""
    import numpy as np

    value = float(metric(table.predictions))
    if isinstance(metric, CheckedMetric) and metric.reads_scores:
        metric.check_weights(value, table.predictions, np.ones(len(table.predictions)))
    elif isinstance(metric, CheckedMetric):
        metric.check_weights(value, table.cells, np.asarray(table.units_in_cell.sum(axis=1)))
    return value


@dataclass(frozen=True, slots=True)
class _Table:
    """Predictions, their confusion cells, and the rows of each unit in each cell, sparse float64[cells, units]."""

    predictions: Predictions
    cells: Predictions
    units_in_cell: Any

    @classmethod
    def of(cls, predictions: Predictions, unit_of_row: NDArray[np.int64]) -> _Table:
        import numpy as np
        from scipy import sparse

        cells, cell_of_row = cells_of(predictions)
        shape = int(cell_of_row.max()) + 1, int(unit_of_row.max()) + 1
        counts = sparse.csr_array((np.ones(len(unit_of_row)), (cell_of_row, unit_of_row)), shape=shape)
        return cls(predictions, cells, counts)


def units_of(predictions: Predictions) -> NDArray[np.int64]:
    """Return the unit of each row, int64[n]: its group, or the row itself where there are no groups."""
    import numpy as np

    if predictions.groups is None:
        return np.arange(len(predictions))
    of_row: NDArray[np.int64] = np.unique(np.asarray(predictions.groups, object), return_inverse=True)[1]
    return of_row


def _resamples(rows: int, units: int, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each unit is drawn, float64[draws, units], in chunks of draws."""
    import numpy as np

    generator = np.random.default_rng(seed)
    chunk = max(1, min(draws, _CHUNK // max(1, rows)))
    for start in range(0, draws, chunk):
        counts = np.empty((min(chunk, draws - start), units))
        for row in counts:
            row[:] = np.bincount(generator.integers(0, units, units), minlength=units)
        yield counts


def cells_of(predictions: Predictions) -> tuple[Predictions, NDArray[np.int64]]:
    """Return one row for each distinct pair of truth and predicted, and the cell of each row, int64[n]."""
    import numpy as np

    truth, predicted = predictions.truth, predictions.predicted
    if truth.ndim == 1:
        # One number for each pair; the extra column is for abstentions, which are -1.
        keys: NDArray[Any] = truth.astype(np.int64) * (len(predictions.labels) + 1) + predicted
    else:
        keys = np.column_stack([truth, predicted])
    _, first, cell = np.unique(keys, axis=0, return_index=True, return_inverse=True)
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


def label_rows(predictions: Predictions) -> tuple[LabelRow, ...]:
    """Return precision, recall, F1 and support of each label."""
    counts = predictions.counts()
    return tuple(
        LabelRow(name, float(counts.precision[i]), float(counts.recall[i]), float(counts.f1[i]), int(counts.support[i]))
        for i, name in enumerate(predictions.labels.names)
    )


def average_rows(predictions: Predictions) -> tuple[LabelRow, ...]:
    """Return the averages over labels: macro, weighted by support, and, for multi-label tasks, micro.

    The macro mean leaves out labels that are neither true nor predicted, as scikit-learn does.
    """
    import numpy as np

    counts = predictions.counts()
    support = int(counts.support.sum())
    columns = (counts.precision, counts.recall, counts.f1)
    seen = counts.support + counts.predicted > 0
    weights = counts.support / max(1.0, counts.support.sum())
    rows = [
        _average("macro", [float(c[seen].mean()) if seen.any() else 0.0 for c in columns], support),
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


def baseline_predictions(predictions: Predictions, train_labels: NDArray[np.int64] | NDArray[np.bool_]) -> Predictions:
    """Return the predictions of a classifier that knows only how often each label is in the training split."""
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
