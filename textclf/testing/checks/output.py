"""The clauses of outputs."""

from __future__ import annotations

import copy
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...data.dataset import Task, Texts
from ...engine import Engine, Result
from ...plugin.component import Component, Traits
from ...plugin.events import Event
from ...plugin.protocols import Finished
from ...recipe.settings import DEFAULT_METRICS
from ...run.outputs import is_reserved
from .. import toy
from ..contract import Broken, Check, Clause, NotApplicable, raised
from ..samples import HOSTILE
from ..sandbox import written_here
from .subject import Subject

_RECIPE: Mapping[str, Any] = {
    "name": "finished", "dataset": {"use": "toy_texts", "size": 90, "labels": 3, "names": ["bad", "[b]fair[/b]", "=1"]},
    "encoder": "toy_words", "trainer": {"use": "toy_linear", "epochs": 5}, "report": {"draws": 100},
}  # fmt: skip
_BOTH: frozenset[Task] = frozenset({"single-label", "multi-label"})


@dataclass(slots=True)
class _Kept:
    """An output that keeps what it is given."""

    given: list[Finished] = field(default_factory=list)

    def write(self, finished: Finished, folder: Path) -> None:
        self.given.append(finished)


def _unheard(event: Event) -> None:
    """Ignore the events of the run: its warnings are no findings."""


def finished_run(task: Task = "single-label") -> Finished:
    """Return a finished run of three labels, one with markup in its name, and of a text without a label."""
    kept = _Kept()
    keeping = types.ModuleType("textclf_kept")
    component: Component[Any, Any] = Component(name="kept", build=lambda options: kept, traits=Traits(tasks=_BOTH))
    keeping.textclf_outputs = lambda: [component]  # type: ignore[attr-defined]
    with TemporaryDirectory(prefix="textclf-finished-") as folder:
        _run(Path(folder), keeping, task=task, outputs=["kept"])
    return kept.given[0]


def finished_folder(runs: Path) -> Path:
    """Return the folder of such a run, made among the given ones."""
    return _run(runs).folder


def _run(runs: Path, *plugins: types.ModuleType, task: Task = "single-label", **changes: Any) -> Result:
    around: dict[str, Any] = {"runs": runs, "cache": runs / "cache", "offline": True}
    engine = Engine(plugins=[toy, *plugins], observers=[_unheard], **around)
    offered = {offer.component.name for offer in engine.registry.registrations if offer.kind == "metric"}
    usual = [name for name in DEFAULT_METRICS if name in offered]
    dataset = {**_RECIPE["dataset"], "multi_label": task == "multi-label"}
    decide = {"abstain_below": 0.7} if task == "single-label" else {}
    metrics = [*usual, "toy_accuracy"]
    return engine.run({**_RECIPE, "dataset": dataset, "decide": decide, "metrics": metrics, **changes})


def finished_for(subject: Subject) -> Finished:
    """Return the run to write of: the one given, else the toy's."""
    if "finished" not in subject.memory:
        given = subject.stand_ins.finished or finished_run(_tasks(subject)[0])
        subject.memory["finished"], subject.memory["content"] = given, _content(given)
    finished: Finished = subject.memory["finished"]
    return finished


def _tasks(subject: Subject) -> list[Task]:
    """Return what its traits say it can do, single labels first."""
    return sorted(subject.traits.tasks, reverse=True)


def _write(subject: Subject, finished: Finished) -> Path:
    """Let it write into an empty folder with nothing beside it."""
    folder = subject.folder() / "run"
    folder.mkdir()
    subject.build().write(finished, folder)
    return folder


def _writes_into_its_folder(subject: Subject) -> None:
    finished = finished_for(subject)
    with written_here() as astray:
        folder = _write(subject, finished)
    if not any(folder.iterdir()):
        raise Broken("it writes nothing into the folder it is given")
    beside = [path.name for path in folder.parent.iterdir() if path != folder]
    if beside:
        raise Broken(f"it writes outside of the folder it is given: {', '.join(beside)}")
    if astray:
        raise Broken(f"it writes into the current folder, not into the one it is given: {', '.join(astray)}")


def _leaves_names_to_the_run(subject: Subject) -> None:
    folder = _write(subject, finished_for(subject))
    taken = sorted(path.name for path in folder.iterdir() if is_reserved(path.name))
    if taken:
        raise Broken(f"it writes {', '.join(taken)}, which the run writes itself: choose another name")


def _writes_again(subject: Subject) -> None:
    folder = _write(subject, finished_for(subject))
    subject.build().write(finished_for(subject), folder)


def _leaves_its_input(subject: Subject) -> None:
    finished = finished_for(subject)
    _write(subject, finished)
    if _content(finished) != subject.memory["content"]:
        raise Broken("write changes the predictions, the history or the recipe it is given")


def _content(finished: Finished) -> tuple[object, ...]:
    predictions = finished.predictions
    arrays = (predictions.truth, predictions.predicted, predictions.scores)
    texts = (list(predictions.texts.first), list(predictions.texts.second or ()), list(predictions.ids))
    values = copy.deepcopy((list(finished.history), dict(finished.recipe)))
    return (*(array.tobytes() for array in arrays), texts, values)


def _takes_hostile_texts(subject: Subject) -> None:
    finished = finished_for(subject)
    predictions = finished.predictions
    texts = [HOSTILE[row % len(HOSTILE)][:2000] for row in range(len(predictions))]
    second = None if predictions.texts.second is None else texts
    _write(subject, replace(finished, predictions=replace(predictions, texts=Texts(texts, second))))


def _does_several(subject: Subject) -> None:
    if len(_tasks(subject)) == 1:
        raise NotApplicable(f"its traits say it does {_tasks(subject)[0]} only")
    if subject.stand_ins.finished is not None:
        raise NotApplicable("the run to write of is given")


def _writes_of_every_task(subject: Subject) -> None:
    for task in _tasks(subject)[1:]:
        finished = finished_run(task)
        try:
            _write(subject, finished)
        except Exception as error:
            raise Broken(f"{task}: {raised(error, subject.component)}; Traits(tasks=...) says it can") from error


OUTPUT: tuple[Check[Subject], ...] = (
    Check(
        Clause("output.folder", "it writes into the folder it is given, and only there", "a run folder is whole"),
        _writes_into_its_folder,
    ),
    Check(
        Clause("output.tasks", "it writes of a run of each task of its traits", "the plan refuses it no such run"),
        _writes_of_every_task,
        after=("output.folder",),
        applies=_does_several,
    ),
    Check(
        Clause("output.names", "it writes under no name that is the run's own", "one of both would be lost"),
        _leaves_names_to_the_run,
        after=("output.folder",),
    ),
    Check(
        Clause("output.again", "what an earlier try has written does not stop it", "a killed run is resumed"),
        _writes_again,
        after=("output.folder",),
    ),
    Check(
        Clause("output.input", "what it is given stays as it is", "other outputs read the same run"),
        _leaves_its_input,
        after=("output.folder",),
    ),
    Check(
        Clause("output.hostile", "it writes of empty and hostile texts too", "users have such texts"),
        _takes_hostile_texts,
        after=("output.folder",),
    ),
)
