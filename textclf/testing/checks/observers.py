"""Owns the clauses of observers: what they may do while a run tells them of itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ...plugin import events
from ...plugin.discovery import discover
from ...run.outputs import is_reserved
from ..clauses import Broken, Check, Clause, NotApplicable
from ..elsewhere import written_here
from .module import PluginModule


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
    told: list[events.Event] = [
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
    return [replace(event, run=str(run)) for event in told]


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
