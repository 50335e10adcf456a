"""Owns when the state of a training is saved, and the thread that writes it while the training goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

from . import snapshots

if TYPE_CHECKING:
    from .job import Job
    from .snapshots import Snapshot
    from .states import State

# The share of the time that saving may take.
SHARE, SHARE_AT_EPOCHS = 0.01, 0.05
# Seconds between two saves, at least and at most, whatever they cost; an epoch's end need not wait for the least.
LEAST, MOST = 10.0, 300.0
# Bytes that are copied and written in a second, until that was measured.
USUAL = 500e6


class Saver:
    """Saves a training's state where that is due: copied at the step, written by one thread, at most one at a time.

    Due is a save, unless `checkpoint_every` says how many steps lie between two, once a hundred times what the last
    one cost has passed, at an epoch's end twenty times; at the latest such that five minutes after the last saved step
    the next one is on the disk. What a save cost is how long it held up training, and its thread's time on a core.
    """

    def __init__(self, job: Job, state: State, clock: Callable[[], float] = time.monotonic) -> None:
        self._job, self._clock = job, clock
        self._store = job.context.checkpoints
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[None] | None = None
        self._abandoned = False
        self._saved, self._at = (state.step, state.judged), clock()
        size = 3 * sum(p.numel() * p.element_size() for p in job.network.parameters())
        self._held, self._busy, self._took = 0.0, size / USUAL, size / USUAL

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread, so that nothing is written once the training is over; a second Ctrl-C cuts it short."""
        self._abandoned = isinstance(error, KeyboardInterrupt)
        self._thread.shutdown()
        if error is None:
            self.wait()
        elif self._pending is not None and (failure := self._pending.exception()) and not self._abandoned:
            self._job.context.warn(f"the last checkpoint was not saved: {failure}")

    def save_if_due(self, state: State) -> None:
        """Save where that is due; an error of the thread that it has met so far is raised here."""
        if self._pending is not None and self._pending.done():
            self.wait()
        if self._due(state):
            self.save(state)

    def save(self, state: State) -> None:
        """Save the state, unless it is saved already."""
        if self._store is None or self._saved == (state.step, state.judged):
            return
        began = self._clock()
        self.wait()
        kept = snapshots.snapshot(self._job, state)
        self._saved, self._at = (state.step, state.judged), self._clock()
        self._held = self._at - began
        self._pending = self._thread.submit(self._write, kept)

    def wait(self) -> None:
        """Wait until what was to be saved is on the disk, or raise what kept it from it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _due(self, state: State) -> bool:
        every: int | None = self._job.options.checkpoint_every
        judged = state.judged == state.step
        if every is not None:
            return state.step % every == 0 and (judged or not self._job.ends_epoch(state.step))
        share, least = (SHARE_AT_EPOCHS, 0.0) if judged else (SHARE, LEAST)
        pause = max(least, (self._held + self._busy) / share)
        return self._clock() - self._at >= min(pause, MOST - self._took)

    def _write(self, kept: Snapshot) -> None:
        assert self._store is not None
        began, busy = self._clock(), time.thread_time()
        self._store.save(kept.step, lambda folder: snapshots.write(kept, folder, lambda: self._abandoned))
        self._busy, self._took = time.thread_time() - busy, self._clock() - began
