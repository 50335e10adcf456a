"""Owns how a component tells how far it is: events at most three times a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from textclf import Context, Progress


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
