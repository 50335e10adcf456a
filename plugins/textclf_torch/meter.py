"""What a training reports while it runs: progress, its first steps, tokens and the seconds of each part."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from textclf import Context, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from textclf import Layout

# The first steps are over once so many seconds and steps have passed, without the very first, which warms up.
SOON, STEPS, LATEST = 1.0, 10, 5.0


class Monitor:
    """Watches a training, and reports it to the run. Nothing that is trained depends on it.

    Until `begin` it only measures, which is all that worker processes need.
    """

    def __init__(self) -> None:
        self.tokens, self.squares, self._real, self._places = 0, 0.0, 0, 0
        self._clock: HostClock | StreamClock = HostClock()
        self._progress: Reporter | None = None
        self._first_steps: FirstSteps | None = None

    def begin(self, device: torch.device, progress: Reporter, first_steps: FirstSteps | None = None) -> None:
        """Begin the first lap. On CUDA time is the stream's, read without waiting for it; otherwise the host's."""
        self._clock = StreamClock() if device.type == "cuda" else HostClock()
        self._progress, self._first_steps = progress, first_steps

    def before_step(self) -> None:
        self.lap("saving")

    def after_step(self, done: int, lengths: NDArray[np.int64], loss: Callable[[], float]) -> None:
        """Count the texts of a step that was taken, and report where that is due; `loss` is called for a report."""
        tokens = int(lengths.sum())
        self.tokens += tokens
        self.squares += float(lengths @ lengths)
        if self._progress:
            self._progress(done, tokens, loss)
        if self._first_steps and self._first_steps.add(tokens):
            self._first_steps = None
        self.lap("other")

    def lap(self, part: str) -> None:
        """Count the time since the last lap for a part; that takes a microsecond."""
        self._clock.lap(part)

    def count_places(self, lengths: NDArray[np.int64], layout: Layout) -> None:
        """Count the places of a micro-batch, and those of them that are real tokens."""
        real = int(lengths.sum())
        self._real += real
        self._places += real if layout == "packed" else len(lengths) * int(lengths.max())

    def padding(self) -> float:
        """Return the share of all places that were padding."""
        return 1 - self._real / self._places if self._places else 0.0

    def parts(self) -> dict[str, float]:
        """Return the seconds of each part, the longest first."""
        return dict(sorted(self._clock.parts().items(), key=lambda part: -part[1]))


class Reporter:
    """Progress events, at most three a second, with the real tokens a second since the last."""

    def __init__(self, context: Context, stage: str, total: int, unit: str) -> None:
        self._context, self._stage, self._total, self._unit = context, stage, total, unit
        self._at, self._tokens = time.monotonic(), 0

    def __call__(self, done: int, tokens: int, loss: Callable[[], float] | None = None) -> None:
        self._tokens += tokens
        passed = time.monotonic() - self._at
        if passed < 0.34:
            return
        self._context.emit(
            Progress(
                stage=self._stage,
                done=done,
                total=self._total,
                unit=self._unit,
                loss=loss() if loss else None,
                tokens_per_second=self._tokens / passed,
            )
        )
        self._at, self._tokens = time.monotonic(), 0


class FirstSteps:
    """The speed of a training's first steps, reported once by `report(seconds, steps, tokens)`."""

    def __init__(self, report: Callable[[float, int, int], None], soon: float = SOON) -> None:
        self._report, self._soon = report, soon
        self._began: float | None = None
        self._steps = self._tokens = 0

    def add(self, tokens: int) -> bool:
        """Count a step that was taken, and return whether the report is done."""
        now = time.perf_counter()
        if self._began is None:
            self._began = now
            return False
        self._tokens, self._steps = self._tokens + tokens, self._steps + 1
        passed = now - self._began
        if not ((passed > LATEST and self._steps > 1) or (passed > self._soon and self._steps >= STEPS)):
            return False
        self._report(passed, self._steps, self._tokens)
        return True


class HostClock:
    """Time as the host sees it; on a CPU that is when the work was done."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}
        self._last, self._thread = time.perf_counter(), threading.get_ident()

    def lap(self, part: str) -> None:
        if threading.get_ident() != self._thread:
            return  # of several threads the first is timed; all do the same work
        now = time.perf_counter()
        self._parts[part] = self._parts.get(part, 0.0) + now - self._last
        self._last = now

    def parts(self) -> dict[str, float]:
        return self._parts


class StreamClock:
    """Time as a CUDA stream sees it: an event at each lap, read once the stream has passed it."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}
        self._free: list[Any] = []
        self._passing: deque[tuple[str, Any]] = deque()
        self.lap("")

    def lap(self, part: str) -> None:
        event = self._free.pop() if self._free else torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        self._passing.append((part, event))
        while len(self._passing) > 1 and self._passing[1][1].query():
            self._read()

    def parts(self) -> dict[str, float]:
        """Wait for the stream, once, at the end."""
        self._passing[-1][1].synchronize()
        while len(self._passing) > 1:
            self._read()
        return self._parts

    def _read(self) -> None:
        (_, before), (part, after) = self._passing.popleft(), self._passing[0]
        self._parts[part] = self._parts.get(part, 0.0) + before.elapsed_time(after) / 1000
        self._free.append(before)
