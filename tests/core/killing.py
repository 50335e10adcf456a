"""Owns a death at a chosen moment: a forked process that ends, unannounced, at its n-th change of the disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

_CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}
KILLED = 137


def deaths(act: Callable[[], object], *, stride: int = 1) -> Iterator[int]:
    """Run `act` in a new process again and again, killed at change 0, then `stride`, ...; yield after each death.

    The iteration ends when `act` came to its end by itself.
    """
    moment = 0
    while die_at(act, moment) == KILLED:
        yield moment
        moment += stride


def die_at(act: Callable[[], object], moment: int) -> int:
    """Run `act` in a forked process that dies at that change, and return its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _die_after(moment)
            act()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_after(moment: int) -> None:
    left = moment
    real = os.fsync

    def change() -> None:
        nonlocal left
        if left == 0:
            os._exit(KILLED)
        left -= 1

    def hear(event: str, args: tuple[object, ...]) -> None:
        if event in _CHANGES and not (event == "open" and args[1] == "r"):
            change()

    def fsync(descriptor: int) -> None:
        change()
        real(descriptor)

    # Only this process, which is about to die, sees its own fsync.
    os.fsync = fsync
    sys.addaudithook(hear)
