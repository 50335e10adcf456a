"""The session of one call: its terminal, signals, global options, and the engine it makes."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import Cancelled, RecipeError, Stopped, TextclfError
from .terminal import Terminal

if TYPE_CHECKING:
    from ..engine import Engine
    from .progress import Watcher


_PLUGIN = "--plugin"


@dataclass(frozen=True, slots=True)
class Anywhere:
    """What of a call's arguments was such an option, and the words that are left.

    options: all words before `--`.
    """

    options: tuple[str, ...]
    words: tuple[str, ...]
    debug: bool
    plugins: tuple[str, ...]


def taken(arguments: Sequence[str]) -> Anywhere:
    """Take the options out of the arguments; a `--plugin` that names no file is left as the only word."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    options, words, plugins = tuple(arguments[:end]), [], []
    rest = iter(options)
    for word in rest:
        if word == _PLUGIN:
            file = next(rest, None)
            if file is None:
                return Anywhere(options, (_PLUGIN,), "--debug" in options, ())
            plugins.append(file)
        elif word.startswith(f"{_PLUGIN}="):
            plugins.append(word.removeprefix(f"{_PLUGIN}="))
        elif word != "--debug":
            words.append(word)
    return Anywhere(options, (*words, *arguments[end:]), "--debug" in options, tuple(plugins))


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


class Session:
    """One call of the command, reached by commands through `Session.of(ctx)`."""

    def __init__(self, arguments: Sequence[str]) -> None:
        given = taken(arguments)
        # A file that is given twice, by whatever names, counts once.
        once = {os.path.realpath(file): file for file in reversed(given.plugins)}
        self.words, self.debug, self.plugins = given.words, given.debug, tuple(reversed(once.values()))
        self.terminal = Terminal(as_json="--json" in given.options)
        self.interrupts = Interrupts()

    @classmethod
    def of(cls, ctx: typer.Context) -> Session:
        session = ctx.obj
        assert isinstance(session, cls)
        return session

    @property
    def name(self) -> str:
        """Return how a command begins that is to be typed next: with the same plugins."""
        return self.name_with(self.plugins)

    def name_with(self, files: Collection[str]) -> str:
        """As `name`, with those of the plugin files alone that are among these."""
        kept = [file for file in self.plugins if file in files]
        return " ".join(["textclf", *(f"--plugin {shlex.quote(file)}" for file in kept)])

    def engine(
        self, *, runs: str = "runs", offline: bool = False, observers: Sequence[Callable[[Any], None]] = ()
    ) -> Engine:
        from ..engine import Engine

        return Engine(
            plugins=self.plugins, runs=runs, offline=offline, observers=observers, stopping=self.interrupts.stopping
        )

    @contextmanager
    def watching(self) -> Iterator[Watcher]:
        """Show a run's progress on stderr, and let Ctrl-C end it in order."""
        from .progress import Watcher

        with self.interrupts.patiently(), Watcher(self.terminal.notes) as watcher:
            try:
                yield watcher
            except Stopped as stop:
                raise self._stopped(str(stop), watcher.run) from None
            except KeyboardInterrupt:
                raise self._stopped("stopped at once", watcher.run) from None

    def _stopped(self, message: str, run: str) -> Stopped:
        hint = f"; go on with: {self.name} resume {shlex.quote(_whole(run))}" if run else ""
        kind = Stopped if self.interrupts.exit_code == Stopped.exit_code else Cancelled
        return kind(message.partition("; `textclf resume`")[0] + hint)


def _whole(run: str) -> str:
    """Return the study's folder where the run is a member of one."""
    from ..run.folder import open_run

    try:
        study = open_run(Path(run)).record.get("study")
    except TextclfError:
        return run
    return str(Path(run).with_name(study)) if study else run


class Command(TyperCommand):
    """A command whose stdout carries only its answer."""

    def invoke(self, ctx: Any) -> Any:
        session = Session.of(ctx)
        _refuse_launchers()
        with session.terminal.answering():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                raise (Stopped if session.interrupts.exit_code == Stopped.exit_code else Cancelled)("stopped") from None


class Group(TyperGroup):
    """A group of commands that answers itself where none of them is named."""

    def invoke(self, ctx: Any) -> Any:
        _refuse_launchers()
        return super().invoke(ctx)


def _refuse_launchers() -> None:
    if "RANK" in os.environ:
        raise RecipeError(
            "textclf starts its own workers and cannot run under a launcher such as torchrun (RANK is set): "
            "start it once, without the launcher, or unset RANK"
        )
