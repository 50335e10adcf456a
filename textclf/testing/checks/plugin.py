"""The clauses of every plugin module and of observers."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from ...errors import closest
from ...plugin import events
from ...plugin.component import LAYOUTS, Kind, Traits
from ...plugin.discovery import discover
from ...plugin.registry import Registration
from ...plugin.single_file import is_loose
from ...plugin.step import default_traits
from ...run.outputs import is_reserved
from ..contract import Broken, Check, Clause, NotApplicable
from ..sandbox import written_here
from .output import finished_folder
from .subject import schema_of


class PluginModule:
    """A plugin under check; the look from a fresh interpreter is taken once. others: what other plugins offer."""

    def __init__(self, module: ModuleType, others: Sequence[Registration] = ()) -> None:
        self.module, self.others, self._numbers = module, others, count()

    def __str__(self) -> str:
        file = Path(str(self.module.__file__)) if is_loose(self.module) else None
        return f"plugin {file.stem} ({file.name})" if file else f"plugin {self.module.__name__}"

    @cached_property
    def probed(self) -> dict[str, list[str]]:
        return _probe(self.module)

    @property
    def run(self) -> Path:
        """Return the folder of a run that nobody has observed; it is there for as long as the examination."""
        folder = self._finished.with_name(f"check-{next(self._numbers)}")
        shutil.copytree(self._finished, folder)
        (folder / "checkpoints" / "ck-000001").mkdir(parents=True)
        return folder

    @cached_property
    def _finished(self) -> Path:
        return finished_folder(Path(self._home.name).resolve() / "runs")

    @cached_property
    def _home(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="textclf-check-", ignore_cleanup_errors=True)


def _probe(module: ModuleType) -> dict[str, list[str]]:
    """Import the module and call its hooks in a fresh interpreter; return what that loaded and did."""
    loose = is_loose(module)
    if not loose and (module.__spec__ is None or find_spec(module.__name__) is None):
        raise NotApplicable("it cannot be imported by name")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # Not with -m: the package has imported the module by then, and Python warns of a module that runs twice.
    run = "import sys; from textclf.testing.sandbox import main; main(sys.argv[1])"
    command = [sys.executable, "-c", run, str(module.__file__) if loose else module.__name__]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise Broken(f"in a fresh interpreter it fails: {(said or 'no message').splitlines()[-1]}")
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


_PARTNERS: dict[Kind, Kind] = {"encoder": "trainer", "trainer": "encoder"}
# Of a slip of a letter; a word of a plugin's own may well be like a known one, as "token_ids" is.
_NEARNESS = 0.82


def _layouts_are_spelt(plugin: PluginModule) -> None:
    own = discover([plugin.module], entry_points=False).registrations
    mine = [(offer, _words(default_traits(offer))) for offer in own if offer.kind in _PARTNERS]
    if not mine:
        raise NotApplicable("it offers no encoder and no trainer")
    for offer, words in mine:
        partner = _PARTNERS[offer.kind]
        known = {*LAYOUTS, *_words_of(partner, (*own, *plugin.others))}
        for word in sorted(words - known):
            near = closest(word, sorted(known), nearness=_NEARNESS)
            if near:
                alone = f"no {partner} is known that {'reads' if partner == 'trainer' else 'makes'} '{word}'"
                name = f"{offer.kind} '{offer.component.name}'"
                raise Broken(f"{alone}; in the traits of {name}, is '{word}' meant to be '{near}'?")


def _words_of(kind: Kind, offers: Iterable[Registration]) -> set[str]:
    return {word for offer in offers if offer.kind == kind for word in _words(default_traits(offer))}


def _words(traits: Traits | None) -> set[str]:
    """Return the layouts that traits make or read; none where nobody can tell."""
    return set() if traits is None else {*traits.reads, *([traits.makes] if traits.makes else [])}


SPELT: tuple[Check[PluginModule], ...] = (
    Check(
        Clause("plugin.layouts", "no layout in its traits is a misspelt one", "no other step would fit"),
        _layouts_are_spelt,
        after=("plugin.loads",),
    ),
)


def _observer(plugin: PluginModule) -> Callable[[events.Event], object]:
    """Return what tells an event to the plugin's observers, as a run does, and gives the first answer."""
    observers = [observe for _, observe in discover([plugin.module], entry_points=False).observers]
    if not observers:
        raise NotApplicable("it observes nothing")

    def observe(event: events.Event) -> object:
        answers: list[object] = [one(event) for one in observers]
        return next((answer for answer in answers if answer is not None), None)

    return observe


def _observes_in_peace(plugin: PluginModule) -> None:
    observe = _observer(plugin)
    for event in _one_of_each(plugin.run):
        answer = observe(event)
        if answer is not None:
            raise Broken(f"textclf_event answers {answer!r} to {type(event).__name__}")


def _observes_in_its_place(plugin: PluginModule) -> None:
    observe = _observer(plugin)
    with written_here() as written:
        for event in _one_of_each(plugin.run):
            observe(event)
    if written:
        names = ", ".join(written)
        raise Broken(f"textclf_event writes into the current folder: {names}; the run's is event.run")


def _leaves_the_run_whole(plugin: PluginModule) -> None:
    observe, run = _observer(plugin), plugin.run
    before = _contents(run)
    for event in _one_of_each(run):
        if not isinstance(event, events.RunFailed):  # of that there is nothing to load
            observe(event)
    after = _contents(run)
    others = sorted({name for name in {**before, **after} if before.get(name) != after.get(name)})
    lost = list(dict.fromkeys(Path(name).parts[0] for name in others if is_reserved(Path(name).parts[0])))
    if lost:
        names = ", ".join(lost)
        raise Broken(f"textclf_event changes or removes {names}, which the run writes itself: choose other names")


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def observes_quietly(plugin: PluginModule) -> None:
    with redirect_stdout(io.StringIO()) as printed, suppress(NotApplicable):
        observe = _observer(plugin)
        for event in _one_of_each(plugin.run):
            with suppress(Exception, SystemExit):  # whether it takes them is for another clause to say
                observe(event)
    if printed.getvalue():
        raise Broken(f"textclf_event prints {printed.getvalue()[:60]!r}; use logging, or a file in the run's folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unheard(events.Event):
    """A kind of event that no observer can know."""

    what: str = "something new"


def _lives_with_new_events(plugin: PluginModule) -> None:
    _observer(plugin)(_Unheard(run=str(plugin.run)))


def _one_of_each(run: Path) -> list[events.Event]:
    sent: list[events.Event] = [
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
    return [replace(event, run=str(run)) for event in sent]


OBSERVER: tuple[Check[PluginModule], ...] = (
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
        Clause("plugin.whole", "an observer leaves the run's own files as they are", "a damaged run cannot be loaded"),
        _leaves_the_run_whole,
        after=("plugin.observer",),
    ),
    Check(
        Clause("plugin.newer", "an observer lives with kinds of events that are new to it", "versions bring new ones"),
        _lives_with_new_events,
        after=("plugin.observer",),
    ),
)


def _loads(plugin: PluginModule) -> None:
    for found in discover([plugin.module], entry_points=False).plugins:
        if found.broken:
            raise Broken(found.error)


def _offers_the_same_again(plugin: PluginModule) -> None:
    one, other = (discover([plugin.module], entry_points=False) for _ in range(2))
    described = [[_described(offer.kind, offer.component) for offer in found.registrations] for found in (one, other)]
    if described[0] != described[1] or sorted(one.recipes) != sorted(other.recipes):
        raise Broken("called twice, its hooks offer different things")


def _described(kind: str, component: Any) -> tuple[Any, ...]:
    return kind, component.name, component.summary, schema_of(component.options), component.needs


def _names_are_single(plugin: PluginModule) -> None:
    own = discover([plugin.module], entry_points=False).registrations
    names = [(offer.kind, offer.component.name) for offer in own]
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
    observes_quietly(plugin)
    for printed in plugin.probed["printed"]:
        raise Broken(f"importing it and calling its hooks prints {printed[:60]!r}")


MODULE: tuple[Check[PluginModule], ...] = (
    Check(
        Clause("plugin.loads", "every hook is one that exists and answers", "a broken plugin offers nothing"),
        _loads,
    ),
    Check(
        Clause("plugin.repeats", "hooks called twice offer the same", "every Engine calls them again"),
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
    *OBSERVER,
)
