"""The loss of a step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from textclf_torch.loss import LabelObjective, balanced_weights

from tests.plugins.sentiment import LABELS
from tests.plugins.torch.jobs import CPU


def test_balanced_weights_make_labels_count_the_same():
    truth = np.array([0, 0, 0, 1])
    weights = balanced_weights(LABELS, truth)
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])
    objective = LabelObjective(None, None, torch.from_numpy(truth), weights)  # type: ignore[arg-type]
    losses, weight = objective.losses(torch.zeros(4, 2), np.arange(4)), objective.total_weight(np.arange(4), 0, CPU)
    assert float(losses.sum() / weight) == pytest.approx(math.log(2))
