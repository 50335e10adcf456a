"""Owns what is noticed of a plugin in an interpreter of its own: what it does and changes, and in which of its lines.

By Python's audit events and by calls that raise none; nothing of it can be undone, so it is for a process that ends.
"""

from __future__ import annotations

import functools
import importlib.util
import locale
import logging
import os
import random
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..plugin import guard

_IMPORTED = (".py", ".pyc", ".so", ".pyd", ".zip")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {"os.remove": "removes", "os.rename": "renames", "os.mkdir": "makes", "os.rmdir": "removes"}
_PROCESSES = ("os.system", "os.exec", "os.fork", "os.forkpty")
_ENVIRONMENT = "the environment variable '{}'"


class Trail:
    """What was noticed, in words, each once with its place where that is known; `hooks` begin after the import."""

    def __init__(self, name: str) -> None:
        self.acts: dict[str, str] = {}
        self.changes: dict[str, str] = {}
        self.hooks = False
        self._roots = _roots(name)
        self._before: dict[str, object] = {}
        self._heard = False
        self._follow_calls()
        sys.addaudithook(self._hear)

    def begin(self) -> None:
        """Listen from here on: the import comes next."""
        self._before, self._heard = _state(), True

    def act(self, what: str) -> None:
        """Note what it does to the world outside the process."""
        self.acts.setdefault(what, self._place())

    def end(self) -> None:
        """Add what is another than before; whatever follows is not the plugin's."""
        after, self._heard = _state(), False
        for what in {**self._before, **after}:
            if self._before.get(what) != after.get(what):
                self.changes.setdefault(what, "")
        # Whoever has neither seeded nor drawn from numpy's generator left it where a new one stands.
        numpy = sys.modules.get("numpy.random")
        if numpy is not None and numpy.get_state()[2] != numpy.RandomState().get_state()[2]:
            self.changes.setdefault("the generator of numpy.random", "")

    def _change(self, what: str) -> None:
        # What the core puts back is none of the plugin's.
        if self._heard and not any(frame.f_code.co_filename == guard.__file__ for frame in _frames()):
            self.changes.setdefault(what, self._place())

    def _place(self) -> str:
        """Return the innermost line of the plugin's own that runs, or nothing."""
        for frame in _frames():
            file = frame.f_code.co_filename
            if any(file == root or file.startswith(root + os.sep) for root in self._roots):
                return f"{Path(file).name}:{frame.f_lineno}"
        return ""

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._heard:
            return
        if event == "open":
            self._opened(*args)
        elif event == "os.putenv":
            self._change(_ENVIRONMENT.format(os.fsdecode(args[0])))
        elif event == "os.unsetenv":
            # Libraries set some while they are loaded; what is missed afterwards is seen at the end.
            self.changes.pop(_ENVIRONMENT.format(os.fsdecode(args[0])), None)
        elif event == "os.chdir":
            self._change("the current folder")
        elif event in _PATHS and not _compiled(str(args[0])):
            self.act(f"{_PATHS[event]} '{args[0]}'")
        elif event == "socket.bind":
            self.act(f"listens at {args[1]!r}")
        elif event == "subprocess.Popen":
            self.act(f"starts {args[1]!r}")
        elif event in _PROCESSES:
            self.act(f"starts a process by {event}")

    def _opened(self, path: object, mode: str | None, flags: int) -> None:
        file = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        # What is imported is read, and compiled into __pycache__, by Python itself.
        if not file or file == os.devnull or _compiled(file) or file.endswith(_IMPORTED):
            return
        writes = any(letter in mode for letter in "wax+") if mode else flags & _WRITING
        if writes or self.hooks:
            self.act(f"{'writes' if writes else 'reads'} '{file}'")

    def _follow_calls(self) -> None:
        """Follow what raises no audit event, or changes nothing here since it was changed before this process began."""

        def setting(owner: Any, name: str, what: Callable[..., str]) -> None:
            called = getattr(owner, name)

            @functools.wraps(called)
            def followed(*args: Any, **named: Any) -> Any:
                changed = what(*args, **named)
                if changed:
                    self._change(changed)
                return called(*args, **named)

            setattr(owner, name, followed)

        setting(os._Environ, "setdefault", lambda environ, key, *rest: _ENVIRONMENT.format(key))
        setting(signal, "signal", lambda number, handler: f"the handler of {signal.Signals(number).name}")
        setting(random, "seed", lambda *args, **named: "the generator of random")
        setting(locale, "setlocale", lambda category, to=None: "the locale" if to is not None else "")
        for name in ("simplefilter", "filterwarnings"):
            setting(warnings, name, lambda *args, **named: "the filters of warnings" if self._calls() else "")

    def _calls(self) -> bool:
        """Tell whether a line of the plugin's own makes the call, and no library that it imports."""
        caller = sys._getframe(3).f_code.co_filename
        return any(caller == root or caller.startswith(root + os.sep) for root in self._roots)


def _frames() -> Any:
    frame = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


def _compiled(path: str) -> bool:
    return "__pycache__" in path


def _roots(name: str) -> list[str]:
    """Return the files or folders a plugin's own code is in."""
    if name.endswith(".py"):
        return [str(Path(name).absolute())]
    spec = importlib.util.find_spec(name.partition(".")[0])
    if spec is None:
        return []
    return [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else ())]


def _state() -> dict[str, object]:
    """Return what of the process others share, in words, and how it is."""
    return {
        **{_ENVIRONMENT.format(name): value for name, value in os.environ.items()},
        **{f"the handler of {n.name}": signal.getsignal(n) for n in signal.valid_signals() if hasattr(n, "name")},
        **{f"the thread '{thread.name}', which runs on": thread.ident for thread in threading.enumerate()},
        "the current folder": os.getcwd(),  # noqa: PTH109 - a folder that is gone has no path
        "the generator of random": random.getstate(),
        "sys.path": tuple(sys.path),
        "sys.excepthook": sys.excepthook,
        "sys.stdout": sys.stdout,
        "sys.stderr": sys.stderr,
        "the limit of recursion": sys.getrecursionlimit(),
        "the time-out of sockets": socket.getdefaulttimeout(),
        "the root logger": (logging.root.level, tuple(logging.root.handlers)),
    }
