"""The loss of a training step: on labels, or of an objective that the network learns before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from textclf import Encoded, Labels, Layout, Objective, TokenEncoder, Tokens

from .device import moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .options import TorchOptions


class TrainingObjective(Protocol):
    """What one phase of a training minimises: over a batch, the sum of `losses` divided by `total_weight`.

    name: of an encoder's objective; an empty string for the labels.
    """

    @property
    def name(self) -> str: ...

    def total_weight(self, rows: NDArray[np.int64], epoch: int, device: torch.device) -> torch.Tensor:
        """Return the weight of all rows of a batch together, float32[]."""

    def collate(self, rows: NDArray[np.int64], epoch: int, layout: Layout, device: torch.device) -> dict[str, Any]:
        """Return the keyword arguments of the network for some rows of a batch."""

    def losses(self, output: Any, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return the weighted loss of each row by the network's output, float32[rows]."""


@dataclass(frozen=True, slots=True)
class LabelObjective:
    """Cross-entropy on labels.

    targets: of all training texts, on the device, int64[n] or float32[n, labels]. weights: of each label; of single
    labels what a text of that label counts, of several what the label's presence counts; None: all count the same.
    smoothing: the share of certainty that targets give away.
    """

    encoder: TokenEncoder
    tokens: Tokens
    targets: torch.Tensor
    weights: torch.Tensor | None = None
    smoothing: float = 0.0
    name: str = ""

    @classmethod
    def create(
        cls, options: TorchOptions, encoder: TokenEncoder, train: Encoded, labels: Labels, device: torch.device
    ) -> LabelObjective:
        """Return the objective that the options describe, with its tensors on the device."""
        dtype = np.float32 if labels.task == "multi-label" else np.int64
        targets = torch.from_numpy(train.labels.astype(dtype)).to(device)
        weights = balanced_weights(labels, train.labels).to(device) if options.class_weight == "balanced" else None
        return cls(encoder, train.features, targets, weights, options.label_smoothing)

    def total_weight(self, rows: NDArray[np.int64], epoch: int, device: torch.device) -> torch.Tensor:
        if self.weights is None or self.targets.ndim == 2:
            return torch.full((), float(len(rows)), device=device)
        return self.weights[self._targets(rows)].sum()

    def collate(self, rows: NDArray[np.int64], epoch: int, layout: Layout, device: torch.device) -> dict[str, Any]:
        return self.encoder.collate(self.tokens, rows, layout, device)

    def losses(self, output: Any, rows: NDArray[np.int64]) -> torch.Tensor:
        logits, targets = logits_of(output).float(), self._targets(rows)
        if targets.ndim == 2:
            smooth = targets * (1 - self.smoothing) + self.smoothing / 2
            each = functional.binary_cross_entropy_with_logits(
                logits, smooth, pos_weight=self.weights, reduction="none"
            )
            return each.mean(dim=1)
        losses = functional.cross_entropy(logits, targets, label_smoothing=self.smoothing, reduction="none")
        return losses if self.weights is None else losses * self.weights[targets]

    def _targets(self, rows: NDArray[np.int64]) -> torch.Tensor:
        return self.targets[moved(rows, self.targets.device)]


@dataclass(frozen=True, slots=True)
class EncoderObjective:
    """An objective of the encoder, such as masked words. Its loss is the mean over a batch's targets, in any rows."""

    objective: Objective
    seed: int

    @property
    def name(self) -> str:
        return self.objective.name

    def total_weight(self, rows: NDArray[np.int64], epoch: int, device: torch.device) -> torch.Tensor:
        count = int(self.objective.counts(rows, (self.seed, epoch)).sum())
        return torch.full((), float(max(1, count)), device=device)

    def collate(self, rows: NDArray[np.int64], epoch: int, layout: Layout, device: torch.device) -> dict[str, Any]:
        return self.objective.collate(rows, (self.seed, epoch), layout, device)

    def losses(self, output: Any, rows: NDArray[np.int64]) -> torch.Tensor:
        losses: torch.Tensor = output
        return losses


def logits_of(output: Any) -> torch.Tensor:
    """Return the logits of a network's output: the output itself, or its field of that name."""
    logits: torch.Tensor = output if isinstance(output, torch.Tensor) else output.logits
    return logits


def balanced_weights(labels: Labels, values: NDArray[Any]) -> torch.Tensor:
    """Return weights with which all labels count the same in total, as scikit-learn's `balanced` does."""
    if labels.task == "multi-label":
        present = np.maximum(values.sum(axis=0), 1)
        return torch.from_numpy(((len(values) - present) / present).clip(0.1, 100)).float()
    counts = np.maximum(np.bincount(values, minlength=len(labels)), 1)
    return torch.from_numpy(len(values) / (len(labels) * counts)).float()


def objectives_of(encoder: TokenEncoder, train: Encoded) -> list[Objective]:
    """Return the objectives that the encoder's network learns before the labels, in order."""
    make = getattr(encoder, "objectives", None)
    return list(make(train.features, train.unlabelled)) if make else []


def options_of(options: TorchOptions, objective: Objective) -> TorchOptions:
    """Return the options for the phase of an objective: its own numbers, all layers at one rate, to the last epoch."""
    own = {name: getattr(objective, name) for name in ("epochs", "learning_rate", "batch_size")}
    return options.model_copy(update={**own, "layer_decay": 1.0, "unfreeze": None, "early_stopping": None})
