"""Owns what training minimises on labels: the loss of each text, and how much each counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from textclf import Labels

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LabelLoss:
    """The targets of all training texts on the device, int64[n] or float32[n, labels], and the labels' weights.

    weights: for single labels what a text of each label counts; for several what a label's presence counts.
    """

    targets: torch.Tensor
    weights: torch.Tensor | None
    smoothing: float

    @classmethod
    def of(
        cls, labels: Labels, values: NDArray[Any], *, balanced: bool, smoothing: float, device: torch.device
    ) -> LabelLoss:
        several = labels.task == "multi-label"
        targets = torch.from_numpy(values.astype(np.float32 if several else np.int64)).to(device)
        weights = _balance(labels, values).to(device) if balanced else None
        return cls(targets, weights, smoothing)

    def losses(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the loss of each row, float32[rows], times what the row counts."""
        logits, targets = logits.float(), self.targets[rows]
        if targets.ndim == 2:
            smooth = targets * (1 - self.smoothing) + self.smoothing / 2
            each = functional.binary_cross_entropy_with_logits(
                logits, smooth, pos_weight=self.weights, reduction="none"
            )
            return each.mean(dim=1)
        losses = functional.cross_entropy(logits, targets, label_smoothing=self.smoothing, reduction="none")
        return losses if self.weights is None else losses * self.weights[targets]

    def share(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what all rows of a batch count together: the losses' sum is divided by it."""
        targets = self.targets[rows]
        if self.weights is None or targets.ndim == 2:
            return torch.full((), float(len(rows)), device=targets.device)
        return self.weights[targets].sum()


def _balance(labels: Labels, values: NDArray[Any]) -> torch.Tensor:
    """Weigh labels such that all count the same together, as scikit-learn's `balanced` does."""
    if labels.task == "multi-label":
        present = np.maximum(values.sum(axis=0), 1)
        return torch.from_numpy(((len(values) - present) / present).clip(0.1, 100)).float()
    counts = np.maximum(np.bincount(values, minlength=len(labels)), 1)
    return torch.from_numpy(len(values) / (len(labels) * counts)).float()
