"""Owns what one call of the command carries along: its terminal, its signals and how it makes an engine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import Cancelled, RecipeError, Stopped, TextclfError
from .anywhere import taken
from .interrupts import Interrupts
from .terminal import Terminal

if TYPE_CHECKING:
    from ..engine import Engine
    from .progress import Watcher


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
