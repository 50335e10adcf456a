"""Owns what a training works with and what its steps are: all that stays the same from its first step to its last."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from textclf import Context, Encoded, Labels, Layout, TokenEncoder

from .batches import order
from .cpu import lanes
from .distributed.team import Team
from .divergence import Watch
from .layers import Thaw
from .loss import Lesson
from .meter import Meter
from .precision import Arithmetic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .options import TorchOptions


@dataclass(frozen=True, slots=True)
class Job:
    """All that stays the same during one phase of a training: an objective's, or at last that of the labels.

    network: what is trained. classifier: the network of the labels, whose body an objective's network shares.
    phase: how many phases come before this one. before: their steps.
    """

    network: torch.nn.Module
    classifier: torch.nn.Module
    encoder: TokenEncoder
    train: Encoded
    validation: Encoded | None
    labels: Labels
    options: TorchOptions
    lesson: Lesson
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    arithmetic: Arithmetic
    lengths: NDArray[np.int64]
    device: torch.device
    layout: Layout
    context: Context
    team: Team
    lanes: lanes.Lanes = lanes.OneLane()  # noqa: RUF009 - it is frozen
    meter: Meter = field(default_factory=Meter)
    watch: Watch = field(default_factory=Watch)
    thaw: Thaw = Thaw()  # noqa: RUF009 - it is frozen
    phase: int = 0
    before: int = 0

    @property
    def stage(self) -> str:
        """Return what events call this phase."""
        return self.lesson.name or "train"

    @property
    def epoch_steps(self) -> int:
        return math.ceil(len(self.lengths) / self.options.batch_size)

    @property
    def steps(self) -> int:
        return steps_of(self.options, len(self.lengths))

    def ends_epoch(self, step: int) -> bool:
        return step > 0 and (step % self.epoch_steps == 0 or step == self.steps)

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the texts of a step, drawn at random: the same ones whether the run was resumed or not."""
        epoch, position = divmod(step, self.epoch_steps)
        size = self.options.batch_size
        return order(len(self.lengths), epoch, self.context.seed)[position * size : (position + 1) * size]


def steps_of(options: TorchOptions, rows: int) -> int:
    """Return how many steps a phase takes over so many texts."""
    return max(1, math.ceil(options.epochs * math.ceil(rows / options.batch_size) - 1e-9))


@contextmanager
def equipped(job: Job) -> Iterator[Job]:
    """Give a job the lanes that its arithmetic names, and what makes steps on the CPU cheaper."""
    # The labels' dropout does not depend on what was learned before them.
    seed = (job.context.seed, job.team.rank, *((job.phase,) if job.lesson.name else ()))
    with lanes.opened(job.network, job.device, seed, job.arithmetic.lanes) as found:
        try:
            yield replace(job, lanes=found)
        finally:
            job.thaw.end()
