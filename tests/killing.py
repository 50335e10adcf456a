"""A death at a chosen moment: a forked process that ends, unannounced, at its n-th change of the disk.

A change is a write, an fsync, a rename, and whatever makes or removes a file or folder. A process that dies at a write
leaves half of it.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
KILLED = 137


class Death:
    """What ends this process at its n-th change of the disk, counted from when it was armed."""

    def __init__(self, moment: int, *, armed: bool = True) -> None:
        self.left, self.armed = moment, armed
        self._lock = threading.Lock()

    def comes(self) -> bool:
        """Count a change, and tell whether it is the one."""
        with self._lock:
            self.left -= self.armed
            return self.armed and self.left == -1

    def change(self) -> None:
        if self.comes():
            os._exit(KILLED)

    def installed(self) -> None:
        """Let every change count that this process, which is about to die, makes from Python."""
        fsync, real = os.fsync, io.open

        def hear(event: str, args: tuple[object, ...]) -> None:
            if event in _CHANGES and not (event == "open" and args[1] == "r"):
                self.change()

        def sync(descriptor: int) -> None:
            self.change()
            fsync(descriptor)

        def opened(file: Any, mode: str = "r", *args: Any, **given: Any) -> Any:
            found = real(file, mode, *args, **given)
            return _Torn(found, self) if set(mode) & set("wax+") else found

        os.fsync = sync
        io.open = builtins.open = opened  # type: ignore[assignment]
        sys.addaudithook(hear)

    def in_file(self, write: Callable[[Any, Path], object]) -> Callable[[Any, Path], None]:
        """Return a function that writes a file outside of Python as one that can die half-way."""

        def writing(data: Any, path: Path) -> None:
            self.change()
            write(data, path)
            if self.comes():
                os.truncate(path, path.stat().st_size // 2)
                os._exit(KILLED)

        return writing


class _Torn:
    def __init__(self, file: Any, death: Death) -> None:
        self._file, self._death = file, death

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Torn:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, data: Any) -> Any:
        if not self._death.comes():
            return self._file.write(data)
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        os._exit(KILLED)


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

    def mortal() -> None:
        Death(moment).installed()
        act()

    return forked(mortal)


def forked(act: Callable[[], object]) -> int:
    """Run `act` in a forked process, and return its exit status: 1 where it raised."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it was, the parent goes on
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
