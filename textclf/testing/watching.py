"""Owns the watch over a component at work: what it does to the process beside its work."""

from __future__ import annotations

import io
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from ..plugin.guard import put_back
from .elsewhere import written_here


@dataclass(slots=True)
class Watched:
    """What was seen: by clause, in words; nothing where there was nothing to see."""

    world: list[str] = field(default_factory=list)
    chance: list[str] = field(default_factory=list)
    printed: str = ""
    written: list[str] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)


@contextmanager
def put_right() -> Iterator[list[str]]:
    """Put right what the block changes of the process, and say in the yielded list what that was."""
    environment, paths, hook = dict(os.environ), list(sys.path), sys.excepthook
    with put_back() as changed:
        try:
            yield changed
        finally:
            now = dict(os.environ)
            if now != environment:
                names = sorted(name for name in {**environment, **now} if environment.get(name) != now.get(name))
                changed += [f"the environment variable '{name}'" for name in names]
                os.environ.clear()
                os.environ.update(environment)
            if sys.path != paths:
                changed.append("sys.path")
                sys.path[:] = paths
            if sys.excepthook is not hook:
                changed.append("sys.excepthook")
                sys.excepthook = hook


@contextmanager
def watch(note: Callable[[str], None] | None = None) -> Iterator[Watched]:
    """Yield what is seen until the block ends, and put right what it changed; no connection can be opened meanwhile.

    note: what is told of each connection when it is tried.
    """
    seen, out = Watched(), io.StringIO()
    with _shaken() as draws, written_here() as written, put_right() as changed:
        seen.world, seen.written = changed, written
        try:
            with redirect_stdout(out), _alone(note or seen.connections.append):
                yield seen
        finally:
            seen.printed, now = out.getvalue(), _draws()
            seen.chance += [f"the generator of {name}" for name in now if draws.get(name, now[name]) != now[name]]


def _draws() -> dict[str, object]:
    """Return where the global generators stand: Python's, and numpy's where that is loaded."""
    found: dict[str, object] = {"random": random.getstate()}
    if "numpy" in sys.modules:
        import numpy as np

        name, keys, *rest = np.random.get_state(legacy=True)
        found["numpy.random"] = (name, np.asarray(keys).tobytes(), *rest)
    return found


@contextmanager
def _shaken() -> Iterator[dict[str, object]]:
    """Yield where the generators stand, for a while at a place that no seed leads to: who seeds them is seen."""
    python = random.getstate()
    random.seed(os.urandom(16))
    numpy = None
    if "numpy" in sys.modules:
        import numpy as np

        numpy = np.random.get_state(legacy=True)
        np.random.seed(int.from_bytes(os.urandom(4), "little"))
    try:
        yield _draws()
    finally:
        random.setstate(python)
        if numpy is not None:
            np.random.set_state(numpy)


@contextmanager
def _alone(note: Callable[[str], None]) -> Iterator[None]:
    """Refuse every connection to another machine, and tell to which."""
    asked, connected = socket.getaddrinfo, socket.socket.connect

    def ask(host: Any, *rest: Any, **named: Any) -> Any:
        note(f"asks where '{host}' is")
        raise OSError("offline: no connection may be opened")

    def connect(self: socket.socket, address: Any) -> None:
        if self.family not in (socket.AF_INET, socket.AF_INET6):
            return connected(self, address)
        note(f"opens a connection to {address!r}")
        raise OSError("offline: no connection may be opened")

    socket.getaddrinfo, socket.socket.connect = ask, connect  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        socket.getaddrinfo, socket.socket.connect = asked, connected  # type: ignore[method-assign]
