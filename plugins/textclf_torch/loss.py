"""The loss of a training step: on labels, or of an objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from textclf import Encoded, Labels, Layout, Objective, TokenEncoder, Tokens

from .device import moved
from .runtime import logits_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .options import TorchOptions


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


class Lesson(Protocol):
    """What one phase of a training teaches. name: of the objective, or "" for the labels."""

    @property
    def name(self) -> str: ...

    def share(self, rows: NDArray[np.int64], epoch: int, device: torch.device) -> torch.Tensor:
        """Return what all rows of a batch count together: the sum of their losses is divided by it."""

    def collate(self, rows: NDArray[np.int64], epoch: int, layout: Layout, device: torch.device) -> dict[str, Any]:
        """Return the keyword arguments of the network for some rows."""

    def losses(self, answer: Any, rows: NDArray[np.int64], device: torch.device) -> torch.Tensor:
        """Return the loss of each row by what the network answered, float32[rows]."""

    def shown(self, losses: torch.Tensor, rows: int, share: torch.Tensor) -> torch.Tensor:
        """Return what each row tells of a batch of so many: their mean is the loss that people are shown."""


@dataclass(frozen=True, slots=True)
class LabelLesson:
    """The labels."""

    encoder: TokenEncoder
    tokens: Tokens
    loss: LabelLoss
    name: str = ""

    def share(self, rows: NDArray[np.int64], epoch: int, device: torch.device) -> torch.Tensor:
        return self.loss.share(moved(rows, device))

    def collate(self, rows: NDArray[np.int64], epoch: int, layout: Layout, device: torch.device) -> dict[str, Any]:
        return self.encoder.collate(self.tokens, rows, layout, device)

    def losses(self, answer: Any, rows: NDArray[np.int64], device: torch.device) -> torch.Tensor:
        return self.loss.losses(logits_of(answer), moved(rows, device))

    def shown(self, losses: torch.Tensor, rows: int, share: torch.Tensor) -> torch.Tensor:
        return losses


@dataclass(frozen=True, slots=True)
class ObjectiveLesson:
    """An objective of the encoder's. A loss is the mean over a batch's targets, whatever rows they stand in."""

    objective: Objective
    seed: int

    @property
    def name(self) -> str:
        return self.objective.name

    def share(self, rows: NDArray[np.int64], epoch: int, device: torch.device) -> torch.Tensor:
        count = int(self.objective.counts(rows, (self.seed, epoch)).sum())
        return torch.full((), float(max(1, count)), device=device)

    def collate(self, rows: NDArray[np.int64], epoch: int, layout: Layout, device: torch.device) -> dict[str, Any]:
        return self.objective.collate(rows, (self.seed, epoch), layout, device)

    def losses(self, answer: Any, rows: NDArray[np.int64], device: torch.device) -> torch.Tensor:
        losses: torch.Tensor = answer
        return losses

    def shown(self, losses: torch.Tensor, rows: int, share: torch.Tensor) -> torch.Tensor:
        return losses * (rows / share)


@dataclass(frozen=True, slots=True)
class Taught:
    """What one phase trains: a network, by a lesson, on tokens.

    head: what the network has beside the classifier's parameters, which learns at a share of the rate of its own.
    """

    lesson: Lesson
    network: torch.nn.Module
    tokens: Tokens
    head: Sequence[torch.nn.Parameter] = ()
    head_share: float = 1.0


def taught_by(
    objective: Objective | None,
    options: TorchOptions,
    encoder: TokenEncoder,
    classifier: torch.nn.Module,
    train: Encoded,
    labels: Labels,
    device: torch.device,
    seed: int,
) -> Taught:
    """Return what an objective trains before the labels, or, where it is None, what the labels train."""
    if objective is None:
        balanced, smoothing = options.class_weight == "balanced", options.label_smoothing
        loss = LabelLoss.of(labels, train.labels, balanced=balanced, smoothing=smoothing, device=device)
        return Taught(LabelLesson(encoder, train.features, loss), classifier, train.features)
    network = objective.build_network(classifier).to(device)
    shared = {id(parameter) for parameter in classifier.parameters()}
    head = [parameter for parameter in network.parameters() if id(parameter) not in shared]
    share = objective.head_learning_rate / objective.learning_rate
    return Taught(ObjectiveLesson(objective, seed), network, objective.tokens, head, share)


def objectives_of(encoder: TokenEncoder, train: Encoded) -> list[Objective]:
    """Return what the encoder's network is to learn before the labels, in order."""
    make = getattr(encoder, "objectives", None)
    return list(make(train.features, train.unlabelled)) if make else []


def options_of(options: TorchOptions, objective: Objective) -> TorchOptions:
    """Return the trainer's options as an objective is learned by: all layers at one rate, to the last epoch."""
    own = {name: getattr(objective, name) for name in ("epochs", "learning_rate", "batch_size")}
    return options.model_copy(update={**own, "layer_decay": 1.0, "unfreeze": None, "early_stopping": None})
