"""Comparison of runs: references resolved into sides, and the sides compared on the same test texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..data.predictions import Predictions
from ..errors import ArtefactError, DataError, Problem, RecipeError, listing
from ..evaluation.metrics import BootstrapSamples, CheckedMetric, bootstrap, units_of
from ..model.folder import restored_step
from ..plugin.protocols import Metric
from ..plugin.registry import Registry
from ..recipe.plan import Placed, check_task
from ..recipe.recipe import Recipe, Source, parse
from ..run.folder import EVENTS, RECIPE, RECORD, RunFolder, find, open_run
from ..run.journal import chosen_options, read_events
from ..run.predictions_file import read_predictions, usual_metrics
from ..run.study import seedless
from .comparison import ComparedSystem, Comparison, Difference
from .statistics import DifferenceEstimate, between_classifiers, between_recipes, holm, mcnemar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Reference: TypeAlias = str | Path

# Keys in which runs of one recipe may differ: how they are called, seeded and evaluated, and what they leave.
_FREE_KEYS = ("version", "name", "seed", "seeds", "metrics", "outputs", "report", "gates")


@dataclass(frozen=True, slots=True)
class _Side:
    """The open runs of one compared system, and the recipe of each."""

    system: ComparedSystem
    runs: tuple[RunFolder, ...]
    recipes: tuple[Recipe, ...]


def compare(
    runs: Path,
    references: Sequence[Sequence[Reference]],
    registry: Registry,
    draws: int,
    names: Sequence[str] = (),
) -> Comparison:
    """Compare finished runs, or studies, on the same test texts; see `_resolve_sides` for what is refused.

    references: one sequence for each side. names: the metrics, the headline first; by default those that all recipes
    of the runs name.
    """
    sides = _resolve_sides(runs, references)
    predictions = [[read_predictions(run) for run in side.runs] for side in sides]
    _refuse_different_truth([run for side in sides for run in side.runs], [one for side in predictions for one in side])
    metrics = _metrics(sides, names, registry, predictions[0][0])
    return compare_predictions([side.system for side in sides], predictions, metrics, draws)


def compare_predictions(
    systems: Sequence[ComparedSystem],
    sides: Sequence[Sequence[Predictions]],
    metrics: Mapping[str, Metric],
    draws: int,
) -> Comparison:
    """Compare predictions of the same texts with those of the first side.

    sides: for each system the predictions of one run, or of each seed. draws: bootstrap resamples of the texts, the
    same for all, so that the differences are paired.
    """
    flat = [predictions for side in sides for predictions in side]
    single, units = len(flat) == len(sides), units_of(flat[0])
    samples = iter(bootstrap(metrics, flat, draws))
    by_side = [[next(samples) for _ in side] for side in sides]
    correct = [_correct(predictions) for predictions in flat]
    tests = [mcnemar(correct[0], other, units) for other in correct[1:]] if single else []
    differences = {}
    for name in metrics:
        each = [[of_run[name] for of_run in side] for side in by_side]
        estimates = [_difference(each[0], other, int(units.max()) + 1) for other in each[1:]]
        # McNemar's exact test is about the share of texts that are decided right, whatever the metric is called.
        exact = single and all(abs(of[0].value - c.mean()) < 1e-12 for of, c in zip(each, correct, strict=True))
        differences[name] = _differences(each, estimates, holm([one.p for one in (tests if exact else estimates)]))
    corrected = holm([test.p for test in tests])
    return Comparison(
        runs=tuple(system.name for system in systems),
        metrics=differences,
        speaks_of="classifiers" if single else "recipes",
        contenders=tuple(systems),
        mcnemar=tuple(replace(test, p=p) for test, p in zip(tests, corrected, strict=True)),
        falling=frozenset(name for name, metric in metrics.items() if not metric.greater_is_better),
        texts=len(flat[0]),
        resampled="texts" if flat[0].groups is None else "groups",
        draws=draws,
        warnings=tuple(_warnings(systems, sides)),
    )


def _correct(predictions: Predictions) -> NDArray[np.bool_]:
    """Return which texts are decided right, bool[n]: of several labels all; an abstention is not right."""
    equal = predictions.truth == predictions.predicted
    whole: NDArray[np.bool_] = equal.all(axis=1) if equal.ndim == 2 else equal
    return whole


def _difference(first: Sequence[BootstrapSamples], other: Sequence[BootstrapSamples], units: int) -> DifferenceEstimate:
    return between_classifiers(first[0], other[0]) if len(first) == 1 else between_recipes(first, other, units)


def _differences(
    each: Sequence[Sequence[BootstrapSamples]], estimates: Sequence[DifferenceEstimate], corrected: Sequence[float]
) -> tuple[Difference, ...]:
    values = [sum(run.value for run in side) / len(side) for side in each]
    others = (
        Difference(value, one.value, one.low, one.high, p, one.different(p))
        for value, one, p in zip(values[1:], estimates, corrected, strict=True)
    )
    return Difference(values[0], 0.0, 0.0, 0.0), *others


def _warnings(systems: Sequence[ComparedSystem], sides: Sequence[Sequence[Predictions]]) -> Iterator[str]:
    for system, predictions in zip(systems, sides, strict=True):
        if len(set(system.seeds)) < len(system.seeds):
            yield (
                f"several runs of '{system.name}' have the same seed: they are not independent, so the interval is too "
                f"narrow; give each run a seed of its own"
            )
        elif len(predictions) > 1 and all((one.scores == predictions[0].scores).all() for one in predictions):
            yield seedless(system.name)


def _resolve_sides(runs: Path, references: Sequence[Sequence[Reference]]) -> list[_Side]:
    """Return the sides with their runs open; a reference to a study means its runs.

    Refused: fewer than two sides, a run that is named twice, a single run beside several, runs on different test
    texts, and runs of different recipes on one side.
    """
    if not all(references):
        raise RecipeError("a comparison needs a run on either side of 'vs'")
    if len(references) < 2:
        raise RecipeError("a comparison needs at least two runs")
    wholes = [[find(runs, reference, "study") for reference in side] for side in references]
    folders = [[folder for whole in side for folder in whole.members()] for side in wholes]
    flat = [folder for side in folders for folder in side]
    if twice := next((f for i, f in enumerate(flat) if f.resolve() in [other.resolve() for other in flat[:i]]), None):
        raise RecipeError(f"{twice} is named twice; a run does not compare with itself")
    # A study may name a run that has since been deleted.
    if lost := next((folder for folder in flat if not (folder / RECORD).is_file()), None):
        raise ArtefactError(f"{lost} is not there, or has lost its {RECORD}; run the recipe again")
    opened = [[open_run(folder) for folder in side] for side in folders]
    _refuse_different_texts([run for side in opened for run in side])
    _refuse_single_beside_several(folders, references)
    return [_side(name, side) for name, side in zip(_names(opened), opened, strict=True)]


def _refuse_different_texts(runs: Sequence[RunFolder]) -> None:
    first = runs[0]
    for run in runs:
        digest = run.record.get("splits", {}).get("test")
        if digest is None:
            raise ArtefactError(f"{run.path} does not say which texts it was tested on; run the recipe again")
        if digest != first.record["splits"]["test"]:
            folds = run.record.get("fold") is not None or first.record.get("fold") is not None
            hint = "compare runs without folds" if folds else "run both with the same dataset, clean and split"
            raise DataError(
                f"{first.path} and {run.path} were tested on different texts, so their scores do not compare; {hint}"
            )


def _refuse_single_beside_several(folders: Sequence[Sequence[Path]], references: Sequence[Sequence[Reference]]) -> None:
    single = [side for side, found in zip(references, folders, strict=True) if len(found) == 1]
    several = [side for side, found in zip(references, folders, strict=True) if len(found) > 1]
    if single and several:
        study, *others = several[0]
        many = f"beside '{study}' there are" if others else f"'{study}' is"
        raise RecipeError(
            f"'{single[0][0]}' is one run, but {many} several: a classifier does not compare with a recipe; name one "
            f"run each, or several seeds of both (a study: `textclf run RECIPE --seeds 3`)"
        )


def _names(sides: Sequence[Sequence[RunFolder]]) -> list[str]:
    """Return what the sides are called: their runs' names, with an id where a name does not tell which run is meant."""
    runs = [side[0] for side in sides]
    names = [run.name for run in runs]
    # A study and each of its runs have the same name, so a run that stands alone needs its id.
    alone = [len(side) == 1 and bool(side[0].record.get("study")) for side in sides]
    studies = [side[0].record.get("study") if len(side) > 1 else None for side in sides]
    with_id = [f"{run.name}/{study or run.path.name}" for run, study in zip(runs, studies, strict=True)]
    found = [
        long if part or names.count(name) > 1 else name for name, long, part in zip(names, with_id, alone, strict=True)
    ]
    # Two runs of one study share even that; then their own ids, and at last their paths, tell them apart.
    for longer in ([f"{run.name}/{run.path.name}" for run in runs], [str(run.path) for run in runs]):
        found = [long if found.count(name) > 1 else name for name, long in zip(found, longer, strict=True)]
    return found


def _side(name: str, runs: Sequence[RunFolder]) -> _Side:
    """Return a side of runs that have one recipe; a RecipeError where their recipes differ."""
    recipes = tuple(_recipe(run.path / RECIPE) for run in runs)
    # Options that textclf chose for a machine are written into the recipe of the run: nobody asked for them.
    events = [read_events(run.path / EVENTS) for run in runs] if len(runs) > 1 else []
    chosen = {place for of_run in events for place in chosen_options(of_run)}
    for run, recipe in zip(runs[1:], recipes[1:], strict=True):
        different = [place for place in _recipe_differences(recipes[0].values, recipe.values) if place not in chosen]
        if different:
            raise RecipeError(
                f"{runs[0].path} and {run.path} are not runs of one recipe: they differ in {listing(different, 4)}; "
                f"put them on either side of 'vs', or leave one out"
            )
    seeds = tuple(recipe.settings.seed for recipe in recipes)
    return _Side(ComparedSystem(name, tuple(run.path for run in runs), seeds), tuple(runs), recipes)


def _recipe(path: Path) -> Recipe:
    try:
        recipe = parse(Source(str(path), path.read_bytes()))
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}; run the recipe again") from None
    except RecipeError as error:
        raise _damaged(path, error.problems[0]) from None
    if recipe.problems:
        raise _damaged(path, recipe.problems[0])
    return recipe


def _damaged(path: Path, problem: Problem) -> ArtefactError:
    return ArtefactError(f"{path} is damaged, run the recipe again: {replace(problem, location=None)}")


def _recipe_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys in which two recipes differ, but for those that runs of one recipe may differ in."""
    mine, theirs = (dict(_leaves(values)) for values in (one, other))
    keys = dict.fromkeys([*mine, *theirs])
    return [key for key in keys if key.partition(".")[0] not in _FREE_KEYS and mine.get(key) != theirs.get(key)]


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _refuse_different_truth(runs: Sequence[RunFolder], predictions: Sequence[Predictions]) -> None:
    first, path = predictions[0], runs[0].path
    for run, other in zip(runs, predictions, strict=True):
        if other.labels != first.labels:
            raise DataError(f"{path} and {run.path} have different labels, so their scores do not compare")
        if (other.groups is None) != (first.groups is None) or list(other.groups or ()) != list(first.groups or ()):
            raise DataError(
                f"{path} and {run.path} group their test texts differently; run both with the same dataset options"
            )
        # The digests in the records cover texts and labels: where the labels differ, a file has changed since.
        if (other.truth != first.truth).any():
            raise ArtefactError(
                f"{path} and {run.path} have different labels for the same test texts: one of the two is damaged; run "
                f"both recipes again"
            )


def _metrics(
    sides: Sequence[_Side], names: Sequence[str], registry: Registry, predictions: Predictions
) -> dict[str, Metric]:
    """Return the named metrics, or those that every recipe names, with the options of the first recipe."""
    first, *others = [recipe.settings.metrics for side in sides for recipe in side.recipes]
    common = {step.use: step.options for step in first if all(step.use in [o.use for o in each] for each in others)}
    for name in names:
        if name not in common and name not in registry.names("metric"):
            raise RecipeError(registry.missing("metric", name))
    steps = [
        restored_step("metric", {"use": name, "options": common.get(name, {})}, registry) for name in names or common
    ]
    for problem in check_task(predictions.labels.task, False, [Placed((), step, step.traits) for step in steps]):
        raise DataError(problem.message)
    return {step.name: CheckedMetric(step) for step in steps} or usual_metrics(registry)
