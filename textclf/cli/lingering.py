"""Owns the end of a process in which a plugin's thread goes on: Python waits for it, and the command never returns."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PATIENCE = 5.0  # seconds that a thread has to end by itself, such as one that sends the last of something


def end_without_threads(code: int, note: Callable[[str], None]) -> None:
    """See to it that this process ends with the exit code soon after its main thread, whatever other threads do.

    The pools of `concurrent.futures` are no such threads: the interpreter ends them, once it waits for all.
    """
    if _lingering():
        threading.Thread(target=_end, args=(code, note), daemon=True, name="textclf: end").start()


def _lingering() -> list[threading.Thread]:
    """Return the threads, but for the main one, that Python waits for."""
    return [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]


def _end(code: int, note: Callable[[str], None]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        time.sleep(0.05)
        if not _lingering():
            return
    names = ", ".join(f"'{thread.name}'" for thread in _lingering()[:3])
    with suppress(OSError, ValueError):
        note(f"warning: textclf ends without the threads {names}, which go on; a plugin starts them with daemon=True")
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
