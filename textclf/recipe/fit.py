"""Owns what must fit between the steps of a plan: features, tasks, pairs and validation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..data.dataset import Task
from ..errors import KeyPath, PluginError, Problem, closest, did_you_mean, listing
from ..plugin.component import LAYOUTS, Kind, Traits
from ..plugin.registry import Registry
from ..plugin.step import Step, default_traits
from .settings import Settings

Placed = tuple[KeyPath, Step[Any], Traits]


def unread_features(encoder: Placed, trainer: Placed, registry: Registry) -> list[Problem]:
    """Say that a trainer cannot read what an encoder makes, and which trainers can."""
    (_, maker, making), (path, reader, reading) = encoder, trainer
    if making.makes is None:
        what = f"encoder '{maker.name}' ({maker.offer.plugin}) does not say what its features are"
        return [Problem(what, encoder[0], exit_code=5)]
    if _reads(reading, making.makes):
        return []
    traits = {name: _default_traits(registry, "trainer", name) for name in registry.names("trainer")}
    fitting = [name for name, its in traits.items() if _reads(its, making.makes)]
    reads = " or ".join(sorted(reading.reads)) or "nothing"
    message = f"trainer '{reader.name}' reads {reads}, but encoder '{maker.name}' makes {making.makes}"
    meant = _misspelt_layout(maker, making, traits.values()) or _misspelt_layout(reader, reading, traits.values())
    known = f" (trainers that read {making.makes}: {listing(fitting) or 'none installed'})"
    return [Problem(f"{message}{known}{meant}", path)]


def _misspelt_layout(step: Step[Any], traits: Traits, readers: Iterable[Traits | None]) -> str:
    """Say which word for a layout is unknown to all others and most like one that is known, or nothing."""
    words = traits.reads if step.kind == "trainer" else {str(traits.makes)}
    read = {word for other in readers if other for word in other.reads}
    known = sorted({*LAYOUTS, *(read - traits.reads)})
    for word in sorted(words.difference(known)):
        near = closest(word, known)
        if near:
            return f"; in the traits of {step.kind} '{step.name}', is '{word}' meant to be '{near}'?"
    return ""


def untaught_objectives(encoder: Placed, trainer: Placed, registry: Registry) -> list[Problem]:
    """Say that a trainer would pass over what an encoder's network is to learn before the labels."""
    (path, maker, making), (_, reader, reading) = encoder, trainer
    if not making.objectives or reading.objectives:
        return []
    traits = {name: _default_traits(registry, "trainer", name) for name in registry.names("trainer")}
    teaching = listing([name for name, its in traits.items() if its and its.objectives]) or "none installed"
    message = f"encoder '{maker.name}' has something to learn before the labels, which trainer '{reader.name}' does"
    return [Problem(f"{message} not teach (trainers that do: {teaching})", path)]


def unfit_for(task: Task | None, pairs: bool, steps: Iterable[Placed]) -> list[Problem]:
    """Say which steps cannot do the data's task, or cannot read pairs of texts."""
    problems = []
    for path, step, traits in steps:
        if task is not None and task not in traits.tasks:
            can = " and ".join(sorted(traits.tasks))
            problems.append(Problem(f"the data is {task}, but {step.kind} '{step.name}' does {can} only", path))
        if pairs and step.kind == "encoder" and not traits.pairs:
            message = f"the data is pairs of texts, but encoder '{step.name}' reads single texts only"
            problems.append(Problem(message, path))
    return problems


def readers_of_validation(settings: Settings, trainer: Step[Any] | None, traits: Traits | None) -> list[str]:
    """Return in words who reads a validation split."""
    readers = []
    if trainer is not None and traits is not None and traits.uses_validation:
        readers.append(f"trainer '{trainer.name}'")
    if settings.select is not None:
        readers.append(f"select: {settings.select}")
    if settings.decide.threshold == "tuned":
        readers.append("decide.threshold: tuned")
    return readers


def wrong_shares(settings: Settings, readers: Sequence[str]) -> list[Problem]:
    """Say that there is no validation for those who read it, or nothing left to train on."""
    split = settings.split
    problems = []
    if readers and split.validation == 0:
        verb = "reads" if len(readers) == 1 else "read"
        message = f"0 leaves no validation split, but {' and '.join(readers)} {verb} one"
        problems.append(Problem(message, ("split", "validation")))
    if (split.test or 0) + (split.validation or 0) >= 1:
        problems.append(Problem("test and validation together leave nothing to train on", ("split", "test")))
    return problems


def unknown_metrics(settings: Settings, names: Sequence[str]) -> list[Problem]:
    """Say that `select` or a gate names a metric that the recipe does not compute."""
    named: list[tuple[str, KeyPath]] = [(gate, ("gates", gate)) for gate in settings.gates]
    if settings.select is not None:
        named.insert(0, (settings.select, ("select",)))
    problems = []
    for name, path in named:
        if name not in names:
            way_out = did_you_mean(name, names) or "; add it to metrics"
            problems.append(Problem(f"'{name}' is not among the recipe's metrics ({listing(names)}){way_out}", path))
    return problems


def _reads(traits: Traits | None, layout: str) -> bool:
    if traits is None:
        return False
    return layout in traits.reads or (layout == "counts" and "matrix" in traits.reads)


def _default_traits(registry: Registry, kind: Kind, name: str) -> Traits | None:
    """Return a component's traits with default options, or None where they cannot be told."""
    try:
        return default_traits(registry.find(kind, name))
    except PluginError:
        return None
