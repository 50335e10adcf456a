"""Owns what `predict` says while it goes on: how far it is and how fast, and what the classifier tells, once."""

from __future__ import annotations

import re
import time
from typing import Self

from rich.console import Console

from ..plugin import events
from .progress import Watcher, sentence

# Seconds before anything is said, so that a few texts are answered without a word, and between two events.
_QUIET, _EVERY = 1.0, 0.3


class Pace:
    """An observer of a classifier at work; `at` tells it how far the rows are."""

    def __init__(self, console: Console) -> None:
        self._watcher = Watcher(console)
        self._told: set[str] = set()
        self._first = self._done = self._total = 0
        self._estimated = False
        self._tokens: float | None = None
        self._began = time.monotonic()
        self._shown = self._began + _QUIET - _EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._watcher.__exit__(*exc)

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Progress):
            if event.stage == "score":
                self._tokens = event.tokens_per_second
                self._show(self._done + event.done)
        elif isinstance(event, (events.Chosen, events.Warned)):
            # The same of each window is said once, whatever the numbers in it.
            key = re.sub(r"\d+", "#", sentence(event))
            if key not in self._told:
                self._told.add(key)
                self._watcher(event)

    def begin(self, done: int) -> None:
        """Count the rate from here: so many rows were done before."""
        self._first = self._done = done
        self._began = time.monotonic()

    def at(self, done: int, total: int | None = None, share: float | None = None) -> None:
        """Tell how many rows are done, of how many there are, or of how much of the file was read for them."""
        self._done = done
        if total is not None:
            self._total = total
        elif share:
            # Two digits of an estimate are enough, and do not flicker.
            guess = done / share
            self._total, self._estimated = int(float(f"{guess:.2g}")), True
        self._show(done)

    def _show(self, done: int) -> None:
        now = time.monotonic()
        if now - self._shown < _EVERY:
            return
        self._shown = now
        self._watcher(
            events.Progress(
                stage="predict",
                done=done,
                total=max(self._total, done) if self._total else 0,
                estimated=self._estimated,
                unit="texts",
                per_second=(done - self._first) / max(now - self._began, 1e-9),
                tokens_per_second=self._tokens,
            )
        )
