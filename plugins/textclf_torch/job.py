"""One phase of a training: all that stays the same from its first step to its last."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from textclf import Context, Encoded, Labels, Layout, TokenEncoder

from .batches import order
from .cpu import agreement, attention, lanes
from .distributed.team import Team
from .divergence import DivergenceMonitor
from .layers import UnfreezeSchedule
from .loss import TrainingObjective
from .meter import Monitor
from .precision import Arithmetic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .options import TorchOptions
    from .state import State


@dataclass(frozen=True, slots=True)
class Job:
    """What one phase of a training works with: the phase of an encoder's objective, or the last one, of the labels.

    network: what is trained. classifier: the network of the labels, whose body an objective's network shares.
    lengths: tokens of each training text, int64[n]. phase: how many phases come before this one. before: their steps.
    lanes: how a batch is carried through the network. team: the processes that share a batch.
    """

    network: torch.nn.Module
    classifier: torch.nn.Module
    encoder: TokenEncoder
    train: Encoded
    validation: Encoded | None
    labels: Labels
    options: TorchOptions
    objective: TrainingObjective
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    arithmetic: Arithmetic
    lengths: NDArray[np.int64]
    device: torch.device
    layout: Layout
    context: Context
    team: Team
    unfreezing: UnfreezeSchedule = UnfreezeSchedule()  # noqa: RUF009 - it is frozen
    phase: int = 0
    before: int = 0
    lanes: lanes.Lanes = lanes.OneLane()  # noqa: RUF009 - it is frozen
    monitor: Monitor = field(default_factory=Monitor)
    divergence: DivergenceMonitor = field(default_factory=DivergenceMonitor)

    @property
    def stage(self) -> str:
        """Return what events call this phase."""
        return self.objective.name or "train"

    @property
    def epoch_steps(self) -> int:
        return math.ceil(len(self.lengths) / self.options.batch_size)

    @property
    def steps(self) -> int:
        return steps_of(self.options, len(self.lengths))

    def ends_epoch(self, step: int) -> bool:
        return step > 0 and (step % self.epoch_steps == 0 or step == self.steps)

    def is_over(self, state: State) -> bool:
        """Tell whether all steps are taken, or the validation has not improved for too long."""
        patience = self.options.early_stopping
        return state.step >= self.steps or (patience is not None and state.waited >= patience)

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the texts of a step, in the random order of its epoch."""
        epoch, position = divmod(step, self.epoch_steps)
        size = self.options.batch_size
        return order(len(self.lengths), epoch, self.context.seed)[position * size : (position + 1) * size]


def steps_of(options: TorchOptions, rows: int) -> int:
    """Return how many steps a phase takes over so many texts."""
    return max(1, math.ceil(options.epochs * math.ceil(rows / options.batch_size) - 1e-9))


@contextmanager
def equipped(job: Job) -> Iterator[Job]:
    """Yield the job with its lanes and attention and, on the CPU, cheaper dropout and embedding gradients."""
    # The labels' dropout does not depend on the phases before theirs.
    seed = (job.context.seed, job.team.rank, *((job.phase,) if job.objective.name else ()))
    numbers = job.arithmetic
    layers = agreement.layers_of(job.classifier, job.encoder) if numbers.kernels == "native" else ()
    with (
        attention.products(numbers.products),
        lanes.opened(job.network, job.device, seed, numbers.lanes, layers) as found,
    ):
        try:
            yield replace(job, lanes=found)
        finally:
            job.unfreezing.end()
