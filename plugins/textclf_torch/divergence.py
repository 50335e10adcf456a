"""Owns noticing that a training diverges: the bad step is not taken, and its rows are named.

On a GPU a flag waits there: the first bad step raises it, and it turns that step and all that follow into nothing. The
host looks a few times a second, and before anything is judged or saved, so that no step waits for the device.
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

# Between two looks at a GPU, at most.
SECONDS, STEPS = 0.3, 64


@dataclass(frozen=True, slots=True)
class Seen:
    """A step that was not looked at yet: its loss and whether it, or one before it, was bad, still on the device."""

    step: int
    loss: torch.Tensor
    bad: torch.Tensor
    losses: torch.Tensor
    rows: list[int]


class Watched(Protocol):
    """What is watched, and what the error of a step that diverged tells of it."""

    @property
    def optimizer(self) -> torch.optim.Optimizer: ...
    @property
    def scaler(self) -> torch.amp.GradScaler: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def steps(self) -> int: ...
    @property
    def options(self) -> TorchOptions: ...


class Watch:
    """Sees each step before it is taken, and adds its loss to the state once it was looked at."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: list[Seen] = []
        self._at = clock()

    def see(self, job: Watched, state: State, losses: torch.Tensor, norm: torch.Tensor, rows: list[int]) -> None:
        """Keep a step with a bad loss or gradient from being taken: by a DivergedError, or by the optimiser's flag."""
        loss = losses.mean()
        # A scaler makes gradients infinite on purpose, and skips those steps itself.
        fine = loss.isfinite() if job.scaler.is_enabled() else loss.isfinite() & norm.isfinite()
        bad = (~fine).float()
        if self._seen:
            bad = torch.maximum(bad, self._seen[-1].bad)
        self._seen.append(Seen(state.step, loss, bad, losses, rows))
        if not waits(job) or self._clock() - self._at > SECONDS or len(self._seen) >= STEPS:
            self.settle(job, state)
        else:
            # Fused AdamW leaves weights and averages alone where this is 1: the way in that gradient scalers use.
            job.optimizer.found_inf = bad  # type: ignore[attr-defined]

    def settle(self, job: Watched, state: State) -> None:
        """Look at all steps since the last look; a DivergedError names the first bad one."""
        seen, self._seen = self._seen, []
        job.optimizer.found_inf = None  # type: ignore[attr-defined]
        if seen:
            # The only place of a step where a GPU is waited for.
            told = torch.stack([part for each in seen for part in (each.loss, each.bad)]).tolist()
            for each, loss, bad in zip(seen, told[::2], told[1::2], strict=True):
                if bad:
                    raise diverged(job, each, loss)
                state.loss_sum += loss * len(each.rows)
                state.loss_rows += len(each.rows)
        self._at = self._clock()


def waits(job: Watched) -> bool:
    """Tell whether a look can wait: not on the CPU, where it costs nothing, nor where a scaler has flags of its own."""
    return job.device.type == "cuda" and not job.scaler.is_enabled()


def diverged(job: Watched, seen: Seen, loss: float) -> DivergedError:
    finite = seen.losses.isfinite().tolist()
    bad = sorted(row for row, fine in zip(seen.rows, finite, strict=True) if not fine) or sorted(seen.rows)
    named = ", ".join(map(str, bad[:8])) + (f" and {len(bad) - 8} more" if len(bad) > 8 else "")
    what = f"the loss is {loss}" if not math.isfinite(loss) else "the gradient is not finite"
    return DivergedError(
        f"training diverged at step {seen.step + 1} of {job.steps}: {what} at training rows {named} (counted from 0); "
        f"the step was not taken; lower trainer.learning_rate (now {job.options.learning_rate:g}) or set "
        "trainer.precision to float32"
    )
