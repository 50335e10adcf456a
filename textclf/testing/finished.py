"""Owns a finished run for outputs to write of, and its folder for observers: the toy plugin, really run."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..data.dataset import Task
from ..engine import Engine, Result
from ..plugin.component import Component, Traits
from ..plugin.events import Event
from ..plugin.protocols import Finished
from ..recipe.settings import DEFAULT_METRICS
from . import toy

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
    """Take what is told of the run: its warnings are no findings."""


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
    offered = {offer.component.name for offer in engine.registry.offers if offer.kind == "metric"}
    usual = [name for name in DEFAULT_METRICS if name in offered]
    dataset = {**_RECIPE["dataset"], "multi_label": task == "multi-label"}
    decide = {"abstain_below": 0.7} if task == "single-label" else {}
    metrics = [*usual, "toy_accuracy"]
    return engine.run({**_RECIPE, "dataset": dataset, "decide": decide, "metrics": metrics, **changes})
