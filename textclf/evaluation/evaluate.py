"""Evaluation of predictions: metrics with intervals, a baseline, and a threshold tuned on validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..data.dataset import Split
from ..data.predictions import Decision, Predictions
from ..plugin.protocols import Metric
from . import metrics
from .metrics import BootstrapSamples, judge
from .report import Estimate, Gate, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_CANDIDATES = 200


def tune(predictions: Predictions, metrics: Mapping[str, Metric], select: str, abstain_below: float) -> Decision:
    """Return the decision whose threshold makes `select` best on these (validation) predictions.

    Two single labels: the cut on the positive label's score. Multi-label: one cut for all labels. Of equal cuts the one
    nearest to a half is taken.
    """
    labels = predictions.labels
    positive = labels.positive_index
    scores = predictions.scores if labels.task == "multi-label" or positive is None else predictions.scores[:, positive]
    best, best_value = Decision(abstain_below=abstain_below), float("-inf")
    for threshold in _cuts(scores):
        decision = Decision(threshold, abstain_below)
        decided = replace(predictions, predicted=decision.decide(predictions.scores, labels))
        value = judge(metrics, select, decided).value
        if value > best_value:
            best, best_value = decision, value
    return best


def _cuts(scores: NDArray[np.float32]) -> list[float]:
    """Return cuts half way between neighbouring scores, nearest to a half first."""
    import numpy as np

    values = np.unique(np.concatenate([scores.ravel(), [0.0, 1.0]]))
    between = (values[1:] + values[:-1]) / 2
    if len(between) > _CANDIDATES:
        between = np.quantile(between, np.linspace(0, 1, _CANDIDATES))
    return sorted({0.5, *map(float, between)}, key=lambda cut: (abs(cut - 0.5), cut))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predictions on test texts, and each metric with its bootstrap draws, headline first."""

    predictions: Predictions
    draws: Mapping[str, BootstrapSamples]
    baseline: Mapping[str, float]


def evaluate(
    predictions: Predictions,
    found: Mapping[str, Metric],
    train_labels: NDArray[np.int64] | NDArray[np.bool_],
    draws: int,
) -> Evaluation:
    """Measure predictions by every metric, and what the commonest training label alone would have reached."""
    names = metrics.headline_first(list(found), _largest_share(predictions))
    ordered = {name: found[name] for name in names}
    chance = metrics.commonest(predictions, train_labels)
    baseline = {name: metrics.measure(metric, chance) for name, metric in ordered.items()}
    return Evaluation(predictions, metrics.bootstrap(ordered, predictions, draws), baseline)


def report(
    name: str, evaluation: Evaluation, sizes: Mapping[str, int], *, gates: Mapping[str, float], **rest: Any
) -> Report:
    """Write the report of an evaluation; `rest` are further fields of Report."""
    predictions = evaluation.predictions
    estimates = {metric: draws.estimate() for metric, draws in evaluation.draws.items()}
    return Report(
        name=name,
        task=predictions.labels.task,
        labels=predictions.labels.names,
        sizes=dict(sizes),
        metrics=estimates,
        baseline=dict(evaluation.baseline),
        log_loss=float(predictions.log_losses().mean()) if len(predictions) else math.nan,
        per_label=metrics.label_rows(predictions),
        averages=metrics.average_rows(predictions),
        confusion=metrics.confusion(predictions),
        coverage=_coverage(predictions),
        resampled="texts" if predictions.groups is None else "groups",
        gates=judged_gates(gates, estimates),
        **rest,
    )


def judged_gates(gates: Mapping[str, float], estimates: Mapping[str, Estimate]) -> tuple[Gate, ...]:
    """Hold each gate against the lower end of its metric's interval; what is not defined does not clear it."""
    return tuple(Gate(name, bound, estimates[name].low, estimates[name].low >= bound) for name, bound in gates.items())


def learned(history: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how each objective before the labels went, of a run's epochs in order."""
    found: dict[str, dict[str, float]] = {}
    for epoch in history:
        if name := epoch.get("objective"):
            about = found.setdefault(name, {"epochs": epoch["epochs"], "first_loss": epoch["loss"]})
            about["last_loss"] = epoch["loss"]
    return found


def sizes_of(splits: Mapping[str, Split]) -> dict[str, int]:
    return {name: len(split) for name, split in splits.items()}


def _coverage(predictions: Predictions) -> float:
    if predictions.labels.task == "multi-label" or len(predictions) == 0:
        return 1.0
    return float((predictions.predicted >= 0).mean())


def _largest_share(predictions: Predictions) -> float:
    if len(predictions) == 0 or predictions.labels.task == "multi-label":
        return 0.0
    return float(predictions.truth_matrix().mean(axis=0).max())
