"""Owns the clauses that every plugin module keeps, before any of its components is built."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from ...hooks import events
from ...hooks.discovery import discover
from ...hooks.loose import is_loose
from ...hooks.registry import Offer
from ..clauses import Broken, Check, Clause, NotApplicable
from ..elsewhere import written_here


class PluginModule:
    """A plugin under check; the look from a fresh interpreter is taken once. others: what other plugins offer."""

    def __init__(self, module: ModuleType, others: Sequence[Offer] = ()) -> None:
        self.module, self.others = module, others

    def __str__(self) -> str:
        file = Path(str(self.module.__file__)) if is_loose(self.module) else None
        return f"plugin {file.stem} ({file.name})" if file else f"plugin {self.module.__name__}"

    @cached_property
    def probed(self) -> dict[str, list[str]]:
        return _probe(self.module)

    @property
    def run(self) -> Path:
        """Return a run's folder, as observers are told of it; it is there for as long as the examination."""
        folder = Path(self._home.name).resolve() / "runs" / "check"
        (folder / "checkpoints" / "ck-000001").mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def _home(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="textclf-check-", ignore_cleanup_errors=True)


def _loads(plugin: PluginModule) -> None:
    for found in discover([plugin.module], entry_points=False).plugins:
        if found.broken:
            raise Broken(found.reason)


def _offers_the_same_again(plugin: PluginModule) -> None:
    one, other = (discover([plugin.module], entry_points=False) for _ in range(2))
    described = [[_described(offer.kind, offer.component) for offer in found.offers] for found in (one, other)]
    if described[0] != described[1] or sorted(one.recipes) != sorted(other.recipes):
        raise Broken("called twice, its hooks offer different things")


def _described(kind: str, component: Any) -> tuple[Any, ...]:
    return kind, component.name, component.summary, component.options.model_json_schema(), component.needs


def _names_are_single(plugin: PluginModule) -> None:
    names = [(offer.kind, offer.component.name) for offer in discover([plugin.module], entry_points=False).offers]
    twice = sorted({f"{kind} '{name}'" for kind, name in names if names.count((kind, name)) > 1})
    if twice:
        raise Broken(f"offered twice: {', '.join(twice)}")
    others = [offer for offer in plugin.others if (offer.kind, offer.component.name) in names]
    taken = [f"{offer.kind} '{offer.component.name}' by {offer.plugin}" for offer in others]
    if taken:
        raise Broken(f"offered by others too: {', '.join(taken)}; rename it")


def _is_light(plugin: PluginModule) -> None:
    heavy = ", ".join(plugin.probed["heavy"])
    if is_loose(plugin.module):
        found = f"; in a package it must not import {heavy}" if heavy else ""
        raise NotApplicable(f"it is a file, which is loaded only where it is asked for{found}")
    if heavy:
        raise Broken(f"importing it and calling its hooks imports {heavy}")


def _hooks_do_nothing(plugin: PluginModule) -> None:
    acts = plugin.probed["acts"]
    if acts:
        raise Broken(f"importing it and calling its hooks {'; '.join(acts)}")


def _leaves_the_process_alone(plugin: PluginModule) -> None:
    changed = plugin.probed["changed"]
    if changed:
        raise Broken(f"importing it and calling its hooks changes the process: {'; '.join(changed)}")


def _is_quiet(plugin: PluginModule) -> None:
    _observes_quietly(plugin)
    for printed in plugin.probed["printed"]:
        raise Broken(f"importing it and calling its hooks prints {printed[:60]!r}")


def _probe(module: ModuleType) -> dict[str, list[str]]:
    """Import the module and call its hooks in a fresh interpreter; return what that loaded and did."""
    loose = is_loose(module)
    if not loose and (module.__spec__ is None or find_spec(module.__name__) is None):
        raise NotApplicable("it cannot be imported by name")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "textclf.testing.probe", str(module.__file__) if loose else module.__name__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise Broken(f"in a fresh interpreter it fails: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _observer(plugin: PluginModule) -> Any:
    observe = getattr(plugin.module, "textclf_event", None)
    if observe is None:
        raise NotApplicable("it observes nothing")
    return observe


def _observes_in_peace(plugin: PluginModule) -> None:
    observe = _observer(plugin)
    for event in _one_of_each(plugin.run):
        answer = observe(event=event)
        if answer is not None:
            raise Broken(f"textclf_event answers {answer!r} to {type(event).__name__}")


def _observes_in_its_place(plugin: PluginModule) -> None:
    observe = _observer(plugin)
    with written_here() as written:
        for event in _one_of_each(plugin.run):
            observe(event=event)
    if written:
        names = ", ".join(written)
        raise Broken(f"textclf_event writes into the current folder: {names}; RunStarted has the run's: event.folder")


def _observes_quietly(plugin: PluginModule) -> None:
    with redirect_stdout(io.StringIO()) as printed, suppress(NotApplicable):
        observe = _observer(plugin)
        for event in _one_of_each(plugin.run):
            with suppress(Exception, SystemExit):  # whether it takes them is for another clause to say
                observe(event=event)
    if printed.getvalue():
        raise Broken(f"textclf_event prints {printed.getvalue()[:60]!r}; use logging, or a file in the run's folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unheard(events.Event):
    """A kind of event that no observer can know."""

    what: str = "something new"


def _lives_with_new_events(plugin: PluginModule) -> None:
    _observer(plugin)(event=_Unheard())


def _one_of_each(run: Path) -> list[events.Event]:
    return [
        events.RunStarted(name="check", folder=str(run)),
        events.StageStarted(stage="train"),
        events.Progress(stage="train", done=1, total=2, loss=0.5),
        events.EpochFinished(epoch=1, epochs=2, step=1, loss=0.5, validation={"accuracy": 0.5}),
        events.Chosen(what="device", choice="cpu"),
        events.Forecast(stage="train", seconds=60.0, memory=1, memory_free=2, advice={"less": 9.0}),
        events.Accounted(stage="train", tokens=9, seconds=1.0, tokens_per_second=9.0, parts={"forward": 1.0}),
        events.CheckpointSaved(step=1, folder=str(run / "checkpoints" / "ck-000001")),
        events.Warned(message="take care"),
        events.StageFinished(stage="train", seconds=1.0),
        events.RunFinished(folder=str(run), metrics={"accuracy": 0.5}, seconds=1.0),
        events.RunFailed(folder=str(run), error="no", exit_code=3),
    ]


MODULE: tuple[Check[PluginModule], ...] = (
    Check(
        Clause("plugin.loads", "every hook is one that exists and answers", "a broken plugin offers nothing"),
        _loads,
    ),
    Check(
        Clause("plugin.repeats", "hooks called twice offer the same", "every Engine calls them anew"),
        _offers_the_same_again,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.names", "no kind of component is offered twice under one name", "names decide, never order"),
        _names_are_single,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.light", "import and hooks load no machine-learning library", "`textclf --help` must be quick"),
        _is_light,
        after=("plugin.loads",),
    ),
    Check(
        Clause(
            "plugin.pure",
            "import and hooks write no file, open no socket and start no process; hooks read no file",
            "they return descriptions",
        ),
        _hooks_do_nothing,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.still", "import and hooks leave the process as it was", "others live in it too"),
        _leaves_the_process_alone,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.quiet", "import, hooks and observers print nothing", "stdout carries the answer of a command"),
        _is_quiet,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.observer", "an observer takes every event and answers nothing", "it watches, it does not steer"),
        _observes_in_peace,
        after=("plugin.loads",),
    ),
    Check(
        Clause("plugin.files", "an observer writes nothing into the current folder", "it sees all runs of its user"),
        _observes_in_its_place,
        after=("plugin.observer",),
    ),
    Check(
        Clause("plugin.newer", "an observer lives with kinds of events that are new to it", "versions bring new ones"),
        _lives_with_new_events,
        after=("plugin.observer",),
    ),
)
