"""Owns what a program asks about runs: which, by which metrics and draws, refused here where it makes no sense."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeGuard

from ..errors import RecipeError, kind_of
from .contenders import Reference

LEAST_DRAWS = 100
_VERSUS = "vs"


class Kept(Protocol):
    """What has a run's folder: a Result, or a line of the list of runs."""

    @property
    def folder(self) -> Path: ...


One: TypeAlias = Reference | Kept
Side: TypeAlias = One | Sequence[One]


def sides_of(runs: Sequence[Side], others: Sequence[object] = ()) -> list[list[Reference]]:
    """Return the references of each side. others: what was given behind `runs`, and belongs into it."""
    if others or not _several(runs):
        found = "several arguments" if others else f"{kind_of(runs)}, not a list"
        raise RecipeError(f"runs is {found}; give one list of at least two runs: engine.compare([first, second])")
    return [
        [_one_of(one, f"runs[{i}][{j}]") for j, one in enumerate(side)] if _several(side)
        else [_one_of(side, f"runs[{i}]")]
        for i, side in enumerate(runs)
    ]  # fmt: skip


def metrics_of(metrics: Sequence[str]) -> list[str]:
    """Return the names of metrics; one alone is no list of them."""
    if isinstance(metrics, str):
        raise RecipeError(f"metrics is '{metrics}', not a list; give metrics=['{metrics}']")
    if not _several(metrics):
        raise RecipeError(f"metrics is {kind_of(metrics)}, not a list; give names: metrics=['accuracy']")
    for i, name in enumerate(metrics):
        if not isinstance(name, str):
            raise RecipeError(f"metrics[{i}] is {kind_of(name)}, not a metric's name; give names: metrics=['accuracy']")
    return [*metrics]


def draws_of(draws: int) -> int:
    """Return a number of bootstrap draws that an interval can be read from."""
    if not isinstance(draws, int) or isinstance(draws, bool):
        raise RecipeError(f"draws is {kind_of(draws)}, not a whole number; give at least {LEAST_DRAWS}")
    if draws < LEAST_DRAWS:
        raise RecipeError(f"draws is {draws}, too few for an interval; give at least {LEAST_DRAWS}")
    return draws


def reference_of(run: One) -> Reference:
    """Return a run's folder or name; of a Result, its folder."""
    reference = _reference(run, "run", "give a Result of engine.run, or a run's folder or name")
    try:
        Path(reference).exists()
    except OSError as error:
        raise RecipeError(f"run '{str(reference)[:60]}' cannot be read: {(error.strerror or '').lower()}") from None
    return reference


def _one_of(one: Any, place: str) -> Reference:
    if isinstance(one, str) and one == _VERSUS:
        raise RecipeError(
            f"{place} is 'vs', which only the command reads so; give each side's runs as a list: "
            f"engine.compare([[a1, a2], [b1, b2]])"
        )
    return _reference(one, place, "give a Result of engine.run, a run's folder or name, or a list of them")


def _reference(one: Any, place: str, way: str) -> Reference:
    if isinstance(one, str | Path):
        return one
    folder = getattr(one, "folder", None)
    if isinstance(folder, Path):
        return folder
    raise RecipeError(f"{place} is {kind_of(one)}; {way}")


def _several(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
