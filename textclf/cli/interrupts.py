"""Owns what Ctrl-C and SIGTERM mean: first finish the step and save, then stop now."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_FIRST = "\nstopping after this step, and saving; {} to stop now\n"


class Interrupts:
    """The signals a command received. Outside of `patiently` the first one already stops the command."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._patient = False

    def stopping(self) -> bool:
        return self.received is not None

    @property
    def exit_code(self) -> int:
        return 75 if self.received == signal.SIGTERM else 130

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Receive signals in this block; only a process's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """Let the first signal in this block ask the run to stop by itself."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first, self.received = self.received is None, number
        if first and self._patient:
            # Not print: the signal may have come in the middle of another write to the same stream.
            again = "press Ctrl-C again" if number == signal.SIGINT else "signal again"
            with suppress(OSError):
                os.write(2, _FIRST.format(again).encode())
            return
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt
