"""Owns one download as it runs: how long it may take, how much may come, how often it is tried, and who may stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from textclf import Context, DownloadError, Progress, Stopped

SIZE_LIMIT = 2**30
_TICK = 0.05
_PROGRESS_EVERY = 0.25


class Passing(Exception):  # noqa: N818 - it is caught by `Transfer.persist`, and never shown as it is
    """A failure that another try may not meet; the message says what failed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """timeout: seconds of silence one request is given. deadline: seconds for everything. size: bytes."""

    timeout: float
    deadline: float
    tries: int
    size: int = SIZE_LIMIT

    @property
    def silence(self) -> float:
        return self.timeout * self.tries


@dataclass(slots=True)
class Transfer:
    """A file on its way to `target`. Fetchers report to `received`, and stop soon after `cancel` is set."""

    target: Path
    limits: Limits
    cancel: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    total: int = 0
    began: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)

    def received(self, done: int, total: int | None) -> None:
        self.done, self.total, self.heard = done, total or 0, time.monotonic()
        largest = max(done, self.total)
        if largest > self.limits.size:
            raise DownloadError(f"more than {self.limits.size // 2**20:,} MiB would come, which is not this file")

    def persist(self, once: Callable[[], None]) -> None:
        """Call `once` until it gets through, with growing pauses; a DownloadError says why it never did."""
        for attempt in range(self.limits.tries):
            try:
                return once()
            except Passing as failure:
                last = failure
            # A pause is never longer than a request is given.
            if attempt + 1 < self.limits.tries and self.cancel.wait(min(2**attempt, self.limits.timeout)):
                break
        raise DownloadError(str(last))

    def overdue(self) -> str | None:
        """Say which limit of time has passed, or return None."""
        now = time.monotonic()
        if now - self.began > self.limits.deadline:
            of = f" of {self.total:,}" if self.total else ""
            return f"not complete after {self.limits.deadline:g} seconds ({self.done:,}{of} bytes)"
        if now - self.heard > self.limits.silence:
            return f"nothing came for {self.limits.silence:g} seconds"
        return None


def run(fetch: Callable[[Transfer], None], transfer: Transfer, context: Context) -> None:
    """Let `fetch` fill the transfer's target; a DownloadError where a limit passes, Stopped where the run is to stop.

    It works in a thread that is left behind when it does not come back: a look-up of a name, or a connection nobody
    answers, cannot be interrupted, and must not hold up the run.
    """
    failures: list[BaseException] = []
    finished = threading.Event()

    def work() -> None:
        try:
            fetch(transfer)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits, and raised there
            failures.append(error)
        finally:
            finished.set()

    threading.Thread(target=work, name="textclf-imdb-download", daemon=True).start()
    try:
        _wait(finished, transfer, context)
    finally:
        transfer.cancel.set()
        # Time for it to close its file, before the folder is removed.
        finished.wait(10 * _TICK)
    if failures:
        raise failures[0]


def _wait(finished: threading.Event, transfer: Transfer, context: Context) -> None:
    shown = 0.0
    while not finished.wait(_TICK):
        if context.stopping():
            raise Stopped("the download was stopped; run again to fetch the file")
        if reason := transfer.overdue():
            raise DownloadError(reason)
        if transfer.done and time.monotonic() - shown >= _PROGRESS_EVERY:
            shown = time.monotonic()
            context.emit(Progress(stage="load", done=transfer.done, total=transfer.total, unit="bytes"))
    if transfer.done:
        context.emit(Progress(stage="load", done=transfer.done, total=transfer.total or transfer.done, unit="bytes"))
