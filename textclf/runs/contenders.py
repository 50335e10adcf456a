"""Owns who takes part in a comparison: single runs, or the runs of recipes with several seeds, and that they fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import ArtefactError, DataError, Problem, RecipeError, listing
from ..recipe.recipe import Recipe, Source, parse
from ..recipe.settings import StepSettings
from ..run.folder import RECIPE, RECORD, RunFolder, find_whole, open_run

# What tells runs of one recipe apart, or only how they are judged and what they leave.
_BESIDE = ("version", "name", "seed", "seeds", "metrics", "outputs", "report", "gates")

Reference: TypeAlias = str | Path


@dataclass(frozen=True, slots=True)
class Contender:
    """One run, which stands for its classifier, or several seeds' runs, which stand for their recipe."""

    name: str
    folders: tuple[Path, ...]
    seeds: tuple[int, ...]

    @property
    def label(self) -> str:
        return self.name if len(self.folders) == 1 else f"{self.name} ({len(self.folders)} seeds)"


def gather(runs: Path, references: Sequence[Reference | Sequence[Reference]]) -> tuple[Contender, ...]:
    """Return who is compared; a reference to a study means its runs, and several in a sequence are runs of one recipe.

    Refused: fewer than two, a run that is named twice, one run beside several, and runs on different test texts.
    """
    sides = [[reference] if isinstance(reference, str | Path) else list(reference) for reference in references]
    found = [[folder for reference in side for folder in find_whole(runs, reference)] for side in sides]
    if not all(sides):
        raise RecipeError("a comparison needs a run on either side of 'vs'")
    if len(found) < 2:
        raise RecipeError("a comparison needs at least two runs")
    _refuse_twice([folder for side in found for folder in side])
    _refuse_lost([folder for side in found for folder in side])
    _refuse_other_texts([folder for side in found for folder in side])
    _refuse_one_beside_several(found, sides)
    opened = [[open_run(folder) for folder in side] for side in found]
    names = _names(opened)
    return tuple(_contender(name, side) for name, side in zip(names, opened, strict=True))


def _refuse_one_beside_several(found: Sequence[Sequence[Path]], sides: Sequence[Sequence[Reference]]) -> None:
    single = [side for side, folders in zip(sides, found, strict=True) if len(folders) == 1]
    several = [side for side, folders in zip(sides, found, strict=True) if len(folders) > 1]
    if single and several:
        raise RecipeError(
            f"'{single[0][0]}' is one run, but {_quoted(several[0])} several: a classifier does not compare with a "
            f"recipe; name one run each, or several seeds of both (a study: `textclf run RECIPE --seeds 3`)"
        )


def _quoted(side: Sequence[Reference]) -> str:
    return f"'{side[0]}' is" if len(side) == 1 else f"beside '{side[0]}' there are"


def _refuse_twice(folders: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise RecipeError(f"{folder} is named twice; a run does not compare with itself")
        seen.add(folder.resolve())


def _refuse_lost(folders: Sequence[Path]) -> None:
    """Refuse a run that its study names and that is gone."""
    for folder in folders:
        if not (folder / RECORD).is_file():
            raise ArtefactError(f"{folder} is not there, or has lost its {RECORD}; run the recipe anew")


def _refuse_other_texts(folders: Sequence[Path]) -> None:
    records = [open_run(folder).record for folder in folders]
    tested = [record.get("splits", {}).get("test") for record in records]
    for folder, digest, record in zip(folders, tested, records, strict=True):
        if digest is None:
            raise ArtefactError(f"{folder} does not say which texts it was tested on; run the recipe anew")
        if digest != tested[0]:
            folds = record.get("fold") is not None or records[0].get("fold") is not None
            way = "compare runs without folds" if folds else "run both with the same dataset, clean and split"
            raise DataError(
                f"{folders[0]} and {folder} were tested on different texts, so their scores do not compare; {way}"
            )


def _names(sides: Sequence[Sequence[RunFolder]]) -> list[str]:
    """Return what the sides are called: their runs' names, with an id where a name does not tell which run is meant."""
    runs = [side[0] for side in sides]
    names = [run.name for run in runs]
    # A part of a study that stands alone is not the study, which has the name too.
    alone = [len(side) == 1 and bool(side[0].record.get("study")) for side in sides]
    studies = [side[0].record.get("study") if len(side) > 1 else None for side in sides]
    with_id = [f"{run.name}/{study or run.path.name}" for run, study in zip(runs, studies, strict=True)]
    named = [
        long if part or names.count(name) > 1 else name for name, long, part in zip(names, with_id, alone, strict=True)
    ]
    for longer in ([f"{run.name}/{run.path.name}" for run in runs], [str(run.path) for run in runs]):
        named = [long if named.count(name) > 1 else name for name, long in zip(named, longer, strict=True)]
    return named


def _contender(name: str, opened: Sequence[RunFolder]) -> Contender:
    recipes = [_recipe_of(run) for run in opened]
    # What a machine was measured to do best is no part of what was asked for.
    chosen = {place for run in opened for place in run.fixing()}
    for run, recipe in zip(opened[1:], recipes[1:], strict=True):
        different = [p for p in _differences(recipes[0].values, recipe.values) if p not in chosen]
        if different:
            raise RecipeError(
                f"{opened[0].path} and {run.path} are no runs of one recipe: they differ in {listing(different, 4)}; "
                f"put them on either side of 'vs', or leave one out"
            )
    return Contender(name, tuple(run.path for run in opened), tuple(recipe.settings.seed for recipe in recipes))


def _recipe_of(run: RunFolder) -> Recipe:
    path = run.path / RECIPE
    try:
        recipe = parse(Source(str(path), path.read_bytes()))
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}; run the recipe anew") from None
    except RecipeError as error:
        raise _damaged(path, error.problems[0]) from None
    if recipe.problems:
        raise _damaged(path, recipe.problems[0])
    return recipe


def _damaged(path: Path, problem: Problem) -> ArtefactError:
    return ArtefactError(f"{path} is damaged, run the recipe anew: {replace(problem, location=None)}")


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the places at which two recipes differ, beside what tells runs of one recipe apart."""
    mine, theirs = (dict(_leaves(values)) for values in (one, other))
    places = sorted({*mine, *theirs}, key=[*mine, *theirs].index)
    return [p for p in places if p.partition(".")[0] not in _BESIDE and mine.get(p) != theirs.get(p)]


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def metrics_named(contenders: Iterable[Contender]) -> list[StepSettings]:
    """Return the metrics that every run's recipe names, as the first run's says them."""
    each = [_recipe_of(open_run(folder)).settings.metrics for contender in contenders for folder in contender.folders]
    return [step for step in each[0] if all(any(step.use == one.use for one in other) for other in each)]
