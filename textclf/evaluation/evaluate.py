"""Evaluation of predictions: metrics with intervals, a baseline, and a threshold tuned on validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from ..data.dataset import Split
from ..data.predictions import Decision, Predictions
from ..plugin.protocols import Metric
from . import metrics
from .metrics import BootstrapSamples, judge
from .report import Estimate, Gate, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predictions on test texts, the bootstrap samples of each metric (headline first), and the baseline's metrics."""

    predictions: Predictions
    draws: Mapping[str, BootstrapSamples]
    baseline: Mapping[str, float]


def evaluate(
    predictions: Predictions,
    found: Mapping[str, Metric],
    train_labels: NDArray[np.int64] | NDArray[np.bool_],
    draws: int,
) -> Evaluation:
    """Return the predictions with each metric on `draws` resamples, and the metrics of the baseline.

    The baseline knows only how often each label is among the training labels.
    """
    names = metrics.headline_first(list(found), _largest_share(predictions))
    ordered = {name: found[name] for name in names}
    chance = metrics.baseline_predictions(predictions, train_labels)
    baseline = {name: float(metric(chance)) for name, metric in ordered.items()}
    [samples] = metrics.bootstrap(ordered, [predictions], draws)
    return Evaluation(predictions, samples, baseline)


class RunFields(TypedDict, total=False):
    """The fields of a Report that a run knows and its predictions do not."""

    validation: Mapping[str, float]
    draws: int
    split: Mapping[str, Any]
    stages: Mapping[str, float]
    tokens_per_second: float | None
    accounts: Mapping[str, Mapping[str, Any]]
    objectives: Mapping[str, Mapping[str, float]]
    choices: Mapping[str, Any]
    warnings: tuple[str, ...]


def report(
    name: str,
    evaluation: Evaluation,
    sizes: Mapping[str, int],
    *,
    gates: Mapping[str, float],
    **fields: Unpack[RunFields],
) -> Report:
    """Return the Report of an evaluation. gates: the bound of each gated metric."""
    predictions = evaluation.predictions
    estimates = {metric: samples.estimate() for metric, samples in evaluation.draws.items()}
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
        gates=_gates(gates, estimates),
        **fields,
    )


def _gates(gates: Mapping[str, float], estimates: Mapping[str, Estimate]) -> tuple[Gate, ...]:
    """Compare each gate with the lower end of its metric's interval; an undefined metric does not meet its gate."""
    return tuple(Gate(name, bound, estimates[name].low, estimates[name].low >= bound) for name, bound in gates.items())


def learned(history: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return epochs, first and last loss of each objective that was trained before the labels.

    history: a run's EpochFinished events, in order.
    """
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


# Thresholds that are tried at most: quantiles of the scores where these have more distinct values.
_CANDIDATES = 200


def tune(predictions: Predictions, metrics: Mapping[str, Metric], select: str, abstain_below: float) -> Decision:
    """Return the decision whose threshold makes the metric `select` best on validation predictions.

    Two single labels: the threshold of the positive label's score. Multi-label: one threshold for all labels. Of
    equally good ones the nearest to 0.5 is taken.
    """
    labels = predictions.labels
    positive = labels.positive_index
    scores = predictions.scores if labels.task == "multi-label" or positive is None else predictions.scores[:, positive]
    best, best_value = Decision(abstain_below=abstain_below), float("-inf")
    for threshold in _thresholds(scores):
        decision = Decision(threshold, abstain_below)
        decided = replace(predictions, predicted=decision.decide(predictions.scores, labels))
        value = judge(metrics, select, decided).value
        if value > best_value:
            best, best_value = decision, value
    return best


def _thresholds(scores: NDArray[np.float32]) -> list[float]:
    """Return thresholds half way between neighbouring scores, the nearest to 0.5 first."""
    import numpy as np

    values = np.unique(np.concatenate([scores.ravel(), [0.0, 1.0]]))
    between = (values[1:] + values[:-1]) / 2
    if len(between) > _CANDIDATES:
        between = np.quantile(between, np.linspace(0, 1, _CANDIDATES))
    return sorted({0.5, *map(float, between)}, key=lambda threshold: (abs(threshold - 0.5), threshold))
