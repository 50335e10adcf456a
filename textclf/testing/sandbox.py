"""What a plugin does to the process, the current folder and a fresh interpreter.

By Python's audit events and by calls that raise none; nothing of it can be undone, so it is for a process that ends.

In place of a module, the path of a Python file may be given.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import io
import json
import locale
import logging
import os
import random
import shutil
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from ..plugin import single_file
from ..plugin.discovery import discover

_SMALL = 64 * 1024  # a file of that size is copied, so that writing over it is seen and harms nobody


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Folders that stand for those in which a check was begun, for as long as it lives."""

    _places: dict[Path, TemporaryDirectory[str]] = field(default_factory=dict)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in a folder with links to all that is in the current one, where the system has links."""
        here = Path.cwd()
        if here not in self._places:
            self._places[here] = TemporaryDirectory(prefix="textclf-folder-")
        there = Path(self._places[here].name)
        try:
            _furnish(here, there)
        except OSError:
            there = here
        os.chdir(there)
        try:
            with written_here() as written:
                yield
        finally:
            os.chdir(here)
            # What the next clause finds there is the user's, and not what this one left.
            for name in written if there != here else ():
                _remove(there / name)


def _furnish(here: Path, there: Path) -> None:
    known = {place.name for place in there.iterdir()}
    for entry in os.scandir(here):
        if entry.name in known:
            continue
        with suppress(PermissionError, shutil.SpecialFileError):
            if entry.is_file() and entry.stat().st_size <= _SMALL:
                shutil.copy2(entry.path, there / entry.name)
                continue
        (there / entry.name).symlink_to(entry.path, target_is_directory=entry.is_dir())


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def leads_out(values: Any) -> bool:
    """Tell whether a path among options begins in the folder above, which is another one elsewhere."""
    if isinstance(values, Mapping):
        return any(map(leads_out, values.values()))
    if isinstance(values, (list, tuple)):
        return any(map(leads_out, values))
    return isinstance(values, str) and ".." in Path(values).parts and not Path(values).is_absolute()


@contextmanager
def written_here() -> Iterator[list[str]]:
    """Yield a list that, when the block has ended, names what it has written into the folder that was current."""
    here, written = Path.cwd(), list[str]()
    before = _stamps(here)
    try:
        yield written
    finally:
        after = _stamps(here)
        written += sorted(name for name, stamp in after.items() if stamp != before.get(name))


def _stamps(folder: Path) -> dict[str, object]:
    """Return what tells whether something was written: a file by its time and size, a folder by being there."""
    found: dict[str, object] = {}
    for entry in os.scandir(folder):
        if not entry.is_symlink() and entry.name != "__pycache__":
            about = entry.stat()
            found[entry.name] = "folder" if entry.is_dir() else (about.st_ino, about.st_size, about.st_mtime_ns)
    return found


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
    """Restore what the block changes of the process, and name it in the yielded list."""
    changed: list[str] = []
    environment, paths, hook, folder = dict(os.environ), list(sys.path), sys.excepthook, Path.cwd()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield changed
    except KeyboardInterrupt:
        handlers = {}  # the second Ctrl-C has changed them on purpose
        raise
    finally:
        now = dict(os.environ)
        names = sorted(name for name in {**environment, **now} if environment.get(name) != now.get(name))
        changed += [f"the environment variable '{name}'" for name in names]
        if names:
            os.environ.clear()
            os.environ.update(environment)
        if sys.path != paths:
            changed.append("sys.path")
            sys.path[:] = paths
        if sys.excepthook is not hook:
            changed.append("sys.excepthook")
            sys.excepthook = hook
        if not folder.samefile("."):
            changed.append("the current folder")
            os.chdir(folder)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                changed.append(f"the handler of {signal.Signals(number).name}")
                signal.signal(number, handler)


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
    resolved, connected = socket.getaddrinfo, socket.socket.connect

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
        socket.getaddrinfo, socket.socket.connect = resolved, connected  # type: ignore[method-assign]


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
        self._listening = False
        self._follow_calls()
        sys.addaudithook(self._audit)

    def begin(self) -> None:
        """Listen from here on: the import comes next."""
        self._before, self._listening = _state(), True

    def act(self, what: str) -> None:
        """Note what it does to the world outside the process."""
        self.acts.setdefault(what, self._place())

    def end(self) -> None:
        """Add what is another than before; whatever follows is not the plugin's."""
        after, self._listening = _state(), False
        for what in {**self._before, **after}:
            if self._before.get(what) != after.get(what):
                self.changes.setdefault(what, "")
        # Whoever has neither seeded nor drawn from numpy's generator left it where a new one stands.
        numpy = sys.modules.get("numpy.random")
        if numpy is not None and numpy.get_state()[2] != numpy.RandomState().get_state()[2]:
            self.changes.setdefault("the generator of numpy.random", "")

    def _change(self, what: str) -> None:
        if self._listening:
            self.changes.setdefault(what, self._place())

    def _place(self) -> str:
        """Return the innermost line of the plugin's own that runs, or nothing."""
        for frame in _frames():
            file = frame.f_code.co_filename
            if any(file == root or file.startswith(root + os.sep) for root in self._roots):
                return f"{Path(file).name}:{frame.f_lineno}"
        return ""

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._listening:
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


_HEAVY = (
    "catboost", "datasets", "fasttext", "gensim", "jax", "lightgbm", "matplotlib", "nltk", "numpy", "onnxruntime",
    "pandas", "polars", "pyarrow", "scipy", "sentence_transformers", "sklearn", "spacy", "tensorflow", "tokenizers",
    "torch", "transformers", "xgboost",
)  # fmt: skip


def observe(name: str) -> dict[str, list[str]]:
    """Import the module, call its hooks, and return which libraries that loaded and what import and hooks did."""
    trail = Trail(name)
    with watch(trail.act) as seen:
        trail.begin()
        module = single_file.load(name) if name.endswith(".py") else importlib.import_module(name)
        trail.hooks = True
        found = discover([module], entry_points=False)
        trail.end()
    needed = {library for offer in found.registrations for library in offer.component.needs}
    heavy = sorted(library for library in {*_HEAVY, *needed} if library in sys.modules)
    printed = [seen.printed] if seen.printed else []
    return {"heavy": heavy, "acts": _described(trail.acts), "changed": _described(trail.changes), "printed": printed}


def _described(noticed: dict[str, str]) -> list[str]:
    return [f"{what} ({place})" if place else what for what, place in noticed.items()]


def answer(name: str) -> None:
    """Write what `observe` returns to a descriptor of its own, with what was written to stdout past `sys.stdout`."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out, TemporaryFile() as caught:
        os.dup2(caught.fileno(), 1)
        found = observe(name)
        with suppress(Exception):  # the plugin may have closed it
            sys.__stdout__.flush()  # type: ignore[union-attr]
        caught.seek(0)
        raw = caught.read().decode("utf-8", "replace")
        found["printed"] = ["".join([*found["printed"], raw])] if raw else found["printed"]
        out.write(json.dumps(found))


def main(plugin: str) -> None:
    """Print as JSON what a plugin does in this interpreter, and end it."""
    answer(plugin)
    os._exit(0)  # threads that the plugin has started would keep the interpreter
