"""Divergence of a training: a bad step is not taken, and its rows are named.

On a GPU a flag stays on the device: the first bad step raises it, and it turns that step and all that follow into
nothing. The host reads it a few times a second, and before anything is evaluated or saved, so that no step waits for
the device.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from textclf import DivergedError

if TYPE_CHECKING:
    from .options import TorchOptions
    from .state import State

# Between two reads of a GPU's flag, at most.
SECONDS, STEPS = 0.3, 64


@dataclass(frozen=True, slots=True)
class Unread:
    """A step that the host has not read yet: its loss and whether it, or one before it, was bad, on the device."""

    step: int
    loss: torch.Tensor
    bad: torch.Tensor
    losses: torch.Tensor
    rows: list[int]


class Monitored(Protocol):
    """The parts of a job that the monitor reads."""

    @property
    def scaler(self) -> torch.amp.GradScaler: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def steps(self) -> int: ...
    @property
    def options(self) -> TorchOptions: ...


class DivergenceMonitor:
    """Records each step before it is taken, and adds its loss to the state once the host has read it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unread: list[Unread] = []
        self._at = clock()

    def record(
        self, job: Monitored, state: State, losses: torch.Tensor, norm: torch.Tensor, rows: list[int]
    ) -> torch.Tensor | None:
        """Return the flag by which the optimiser takes the step or not, None where the host has read that it may.

        Raises a DivergedError where the host has read that the step, or one before it, is bad.
        """
        loss = losses.mean()
        # A scaler makes gradients infinite on purpose, and skips those steps itself.
        fine = loss.isfinite() if job.scaler.is_enabled() else loss.isfinite() & norm.isfinite()
        bad = (~fine).float()
        if self._unread:
            bad = torch.maximum(bad, self._unread[-1].bad)
        self._unread.append(Unread(state.step, loss, bad, losses, rows))
        if can_wait(job) and self._clock() - self._at <= SECONDS and len(self._unread) < STEPS:
            return bad
        self.flush(job, state)
        return None

    def flush(self, job: Monitored, state: State) -> None:
        """Read all steps since the last time; a DivergedError names the first bad one."""
        unread, self._unread = self._unread, []
        if unread:
            # One transfer for all of them: a GPU is waited for once.
            values = torch.stack([part for each in unread for part in (each.loss, each.bad)]).tolist()
            for each, loss, bad in zip(unread, values[::2], values[1::2], strict=True):
                if bad:
                    raise _error(job, each, loss)
                state.loss_sum += loss * len(each.rows)
                state.loss_rows += len(each.rows)
        self._at = self._clock()


def can_wait(job: Monitored) -> bool:
    """Tell whether reading can wait: not on the CPU, where it costs nothing, nor with a scaler, which reads itself."""
    return job.device.type == "cuda" and not job.scaler.is_enabled()


def _error(job: Monitored, step: Unread, loss: float) -> DivergedError:
    finite = step.losses.isfinite().tolist()
    bad = sorted(row for row, fine in zip(step.rows, finite, strict=True) if not fine) or sorted(step.rows)
    named = ", ".join(map(str, bad[:8])) + (f" and {len(bad) - 8} more" if len(bad) > 8 else "")
    what = f"the loss is {loss}" if not math.isfinite(loss) else "the gradient is not finite"
    return DivergedError(
        f"training diverged at step {step.step + 1} of {job.steps}: {what} at training rows {named} (counted from 0); "
        f"the step was not taken; lower trainer.learning_rate (now {job.options.learning_rate:g}) or set "
        "trainer.precision to float32"
    )
