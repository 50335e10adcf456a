"""What a program makes an engine with, and asks of it, beside data: refused here where it makes no sense."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ..data.dataset import Dataset
from ..errors import RecipeError, kind_of
from ..model.classifier import Classifier
from ..plugin import single_file
from ..plugin.component import KINDS, Kind, Traits, has_hooks
from ..plugin.events import Event


def plugins_of(plugins: Iterable[object]) -> tuple[object, ...]:
    """Return what was given as plugins: modules, objects with hooks, and paths of Python files."""
    given = _several("plugins", plugins, _named(plugins))
    for i, one in enumerate(given):
        if isinstance(one, str | Path):
            _refuse_no_file(f"plugins[{i}]", str(one))
        elif not isinstance(one, ModuleType) and not has_hooks(one):
            raise RecipeError(
                f"plugins[{i}] is {_what(one)}, which has no hook; give a module, an object with hooks such as "
                f"textclf_encoders(), or the path of a Python file"
            )
    return given


def observers_of(observers: Iterable[Callable[[Event], None]]) -> tuple[Callable[[Event], None], ...]:
    """Return the observers; each can be called."""
    given = _several("observers", observers, _named(observers) if callable(observers) else "...")
    for i, one in enumerate(given):
        if not callable(one):
            raise RecipeError(f"observers[{i}] is {_what(one)}; give functions that take an event")
    return given


def stopping_of(stopping: Callable[[], bool]) -> Callable[[], bool]:
    """Return what is asked whether to stop; it can be called without arguments."""
    if not _answers(stopping):
        way = "give a function without arguments that returns True where a run is to stop"
        raise RecipeError(f"stopping is {_what(stopping)}; {way}")
    return stopping


def folder_of(name: str, folder: str | Path) -> Path:
    """Return a path that was given as an argument of that name."""
    path = os.fspath(folder) if isinstance(folder, str | os.PathLike) else None
    if isinstance(path, str) and "\0" not in path:
        return Path(path)
    found = "a text with a zero byte" if isinstance(path, str) else _what(folder)
    raise RecipeError(f"{name} is {found}; give the path of a folder")


def flag_of(name: str, value: bool) -> bool:
    """Return a flag: "no" would be taken for a yes."""
    if not isinstance(value, bool):
        raise RecipeError(f"{name} is {_what(value)}; give True or False")
    return value


def recipe_of(recipe: str | Path | Mapping[str, Any]) -> str | Path | Mapping[str, Any]:
    """Return what names or is a recipe."""
    empty = isinstance(recipe, str) and not recipe
    if isinstance(recipe, str | Path | Mapping) and not empty:
        return recipe
    found = "empty" if empty else _what(recipe)
    raise RecipeError(f"recipe is {found}; give a file, the name of a bundled recipe, or a mapping")


def overrides_of(overrides: Iterable[str], seed: int | None, seeds: Iterable[int] | None) -> list[str]:
    """Return what is asked beside a recipe, as `--set` takes it."""
    example = _named(overrides) if isinstance(overrides, str) else "'trainer.epochs=1'"
    asked = [*_several("overrides", overrides, example)]
    for i, one in enumerate(asked):
        if not isinstance(one, str):
            raise RecipeError(f"overrides[{i}] is {_what(one)}; give texts: overrides=['trainer.epochs=1']")
    asked += [] if seed is None else [f"seed={seed}"]
    return asked + ([] if seeds is None else [f"seeds=[{', '.join(map(str, _several('seeds', seeds, '1, 2, 3')))}]"])


def classifier_of(classifier: Classifier) -> Classifier:
    """Return a classifier; a run is none."""
    if not isinstance(classifier, Classifier):
        raise RecipeError(f"classifier is {_what(classifier)}; give result.classifier, or engine.load(run)")
    return classifier


def step_of(kind: Kind, step: Mapping[str, Any]) -> tuple[Kind, Mapping[str, Any]]:
    """Return a kind of component, and a step of that kind as `context.steps` tells it."""
    if kind not in KINDS:
        raise RecipeError(f"kind is {_what(kind)}; give one of {', '.join(KINDS)}")
    if not isinstance(step, Mapping):
        raise RecipeError(f"step is {_what(step)}; give what context.steps tells of the {kind}")
    return kind, step


def _refuse_no_file(place: str, file: str) -> None:
    """Raise a RecipeError where there is no such Python file; what is in it is looked at later."""
    if not file.endswith(".py") and _is_importable(file) and not Path(file).exists():
        raise RecipeError(f"{place} is '{file}', a module's name; import the module, and give it: plugins=[{file}]")
    single_file.refuse(file)


def _is_importable(name: str) -> bool:
    """Tell whether there is a top-level package or module that a dotted name begins with; nothing is imported."""
    top, *others = name.split(".")
    try:
        return all(map(str.isidentifier, (top, *others))) and importlib.util.find_spec(top) is not None
    except ValueError:  # it was imported, and has no spec
        return True


def _answers(asked: object) -> bool:
    """Tell whether something can be called without arguments, as far as it lets that be known."""
    try:
        inspect.signature(asked).bind()  # type: ignore[arg-type]
    except TypeError:
        return False
    except Exception:  # noqa: BLE001 - some of Python's own functions have no signature, and others may raise anything
        return True
    return True


def _several(name: str, values: Iterable[Any], example: str) -> tuple[Any, ...]:
    """Return the entries of an argument; one alone is no list of them. example: what such a list would hold."""
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Path | Mapping):
        return tuple(values)
    raise RecipeError(f"{name} is {_what(values)}, not a list; give {name}=[{example}]")


def _named(value: object) -> str:
    """Return what a program most likely writes for a value."""
    return repr(str(value)) if isinstance(value, str | Path) else str(getattr(value, "__name__", "..."))


def _what(value: object) -> str:
    """Say what a value is; modules, classes and functions by their names."""
    if isinstance(value, str | Path):
        return f"'{value}'"
    if isinstance(value, ModuleType):
        return f"the module '{value.__name__}'"
    if isinstance(value, type):
        return f"the class '{value.__name__}'"
    called = getattr(value, "__name__", "") if callable(value) else ""
    return f"the function '{called}'" if called else kind_of(value)


def traits_of(dataset: Dataset) -> Traits:
    """Return what the plan must know of given data."""
    return Traits(tasks=frozenset({dataset.labels.task}), pairs=dataset.train.texts.pairs)
