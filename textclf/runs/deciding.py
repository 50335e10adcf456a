"""Owns the tuning of a decision's threshold, on validation only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..data.predictions import Decision, Predictions
from ..plugin.protocols import Metric
from .metrics import judge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CANDIDATES = 200


def tune(
    predictions: Predictions, metrics: Mapping[str, Metric], select: str, abstain_below: float
) -> Decision:
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
