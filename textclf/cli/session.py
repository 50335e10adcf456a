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
    from .progress import RunProgress

_PLUGIN = "--plugin"


class Session:
    """One call of the command, reached by commands through `Session.of(ctx)`."""

    def __init__(self, arguments: Sequence[str]) -> None:
        found = split_global_options(arguments)
        # A file that is passed twice, by whatever names, counts once.
        once = {os.path.realpath(file): file for file in reversed(found.plugins)}
        self.words, self.debug, self.plugins = found.words, found.debug, tuple(reversed(once.values()))
        self.terminal = Terminal(as_json="--json" in found.options)
        self.interrupts = Interrupts()

    @classmethod
    def of(cls, ctx: typer.Context) -> Session:
        session = ctx.obj
        assert isinstance(session, cls)
        return session

    @property
    def name(self) -> str:
        """Return how the next command to type begins: with the same plugins."""
        return self.name_with(self.plugins)

    def name_with(self, files: Collection[str]) -> str:
        """As `name`, with only those of the plugin files that are among these."""
        needed = [file for file in self.plugins if file in files]
        return " ".join(["textclf", *(f"--plugin {shlex.quote(file)}" for file in needed)])

    def engine(
        self, *, runs: str = "runs", offline: bool = False, observers: Sequence[Callable[[Any], None]] = ()
    ) -> Engine:
        from ..engine import Engine

        return Engine(
            plugins=self.plugins, runs=runs, offline=offline, observers=observers, stopping=self.interrupts.stopping
        )

    @contextmanager
    def watching(self) -> Iterator[RunProgress]:
        """Show a run's progress on stderr, and let Ctrl-C end it in order."""
        from .progress import RunProgress

        with self.interrupts.patiently(), RunProgress(self.terminal.notes) as progress:
            try:
                yield progress
            except (Stopped, KeyboardInterrupt) as stop:
                message = str(stop).partition("; `textclf resume`")[0] or "stopped at once"
                hint = f"; resume with: {self.name} resume {shlex.quote(_whole(progress.run))}" if progress.run else ""
                raise self.interrupts.stopped(message + hint) from None


def _whole(run: str) -> str:
    """Return the study's folder where the run is a member of one."""
    from ..run.folder import open_run

    try:
        study = open_run(Path(run)).record.get("study")
    except TextclfError:
        return run
    return str(Path(run).with_name(study)) if study else run


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """The options that may stand anywhere in a call. options: all words before `--`; words: what is left for typer."""

    options: tuple[str, ...]
    words: tuple[str, ...]
    debug: bool
    plugins: tuple[str, ...]


def split_global_options(arguments: Sequence[str]) -> GlobalOptions:
    """Split the global options off; a `--plugin` without a file is left as the only word, for typer to refuse."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    options, words, plugins = tuple(arguments[:end]), [], []
    rest = iter(options)
    for word in rest:
        if word == _PLUGIN:
            file = next(rest, None)
            if file is None:
                return GlobalOptions(options, (_PLUGIN,), "--debug" in options, ())
            plugins.append(file)
        elif word.startswith(f"{_PLUGIN}="):
            plugins.append(word.removeprefix(f"{_PLUGIN}="))
        elif word != "--debug":
            words.append(word)
    return GlobalOptions(options, (*words, *arguments[end:]), "--debug" in options, tuple(plugins))


class Interrupts:
    """The signals a command received. Outside of `patiently` the first one stops the command."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._patient = False

    def stopping(self) -> bool:
        return self.received is not None

    def stopped(self, message: str = "stopped") -> Stopped:
        """Return the error that ends the command, with the exit code of the signal."""
        return Stopped(message) if self.received == signal.SIGTERM else Cancelled(message)

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
            again = "press Ctrl-C again" if number == signal.SIGINT else "signal again"
            # Not print: the signal may interrupt another write to the same stream.
            with suppress(OSError):
                os.write(2, f"\nstopping after this step, and saving; {again} to stop now\n".encode())
            return
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt


class Command(TyperCommand):
    """A command whose stdout carries only its answer."""

    def invoke(self, ctx: Any) -> Any:
        session = Session.of(ctx)
        _refuse_launchers()
        with session.terminal.answering():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                # typer would turn it into an Abort, which has no exit code of ours.
                raise session.interrupts.stopped() from None


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
