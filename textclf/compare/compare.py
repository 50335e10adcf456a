"""Comparison of runs: the sides, their metrics on the same texts, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..data.predictions import Predictions
from ..errors import ArtefactError, DataError, Problem, RecipeError, listing
from ..evaluation.metrics import CheckedMetric, Draws, bootstrap_together, units_of
from ..model.folder import restored_step
from ..plugin.protocols import Metric
from ..plugin.registry import Registry
from ..recipe.plan import unfit_for
from ..recipe.recipe import Recipe, Source, parse
from ..recipe.settings import StepSettings
from ..run.folder import EVENTS, RECIPE, RECORD, RunFolder, find, open_run
from ..run.journal import chosen_options, read_events
from ..run.predictions_file import read_predictions, usual_metrics
from ..run.study import seedless
from .comparison import Comparison, Contender, Difference
from .statistics import Gap, McNemar, between_classifiers, between_recipes, holm, mcnemar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# What tells runs of one recipe apart, or only how they are judged and what they leave.
_BESIDE = ("version", "name", "seed", "seeds", "metrics", "outputs", "report", "gates")

Reference: TypeAlias = str | Path


def gather(runs: Path, references: Sequence[Reference | Sequence[Reference]]) -> tuple[Contender, ...]:
    """Return who is compared; a reference to a study means its runs, and several in a sequence are runs of one recipe.

    Refused: fewer than two, a run that is named twice, one run beside several, and runs on different test texts.
    """
    sides = [[reference] if isinstance(reference, str | Path) else list(reference) for reference in references]
    found = [[folder for reference in side for folder in find(runs, reference, "study").members()] for side in sides]
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
    chosen = {place for run in opened for place in chosen_options(read_events(run.path / EVENTS))}
    for run, recipe in zip(opened[1:], recipes[1:], strict=True):
        different = [p for p in _recipe_differences(recipes[0].values, recipe.values) if p not in chosen]
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


def _recipe_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
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


def compare(
    runs: Path,
    references: Sequence[Reference | Sequence[Reference]],
    registry: Registry,
    draws: int,
    named: Sequence[str] = (),
) -> Comparison:
    """Compare finished runs, or studies, on the same test texts; see `contenders.gather` for what is refused.

    named: the metrics, the headline first; by default those that all their recipes name.
    """
    contenders = gather(runs, references)
    sides = [[read_predictions(open_run(folder)) for folder in side.folders] for side in contenders]
    _refuse_others([folder for side in contenders for folder in side.folders], [one for side in sides for one in side])
    return judge(contenders, sides, _metrics(contenders, named, registry, sides[0][0]), draws)


def judge(
    contenders: Sequence[Contender],
    sides: Sequence[Sequence[Predictions]],
    metrics: Mapping[str, Metric],
    draws: int,
) -> Comparison:
    """Hold predictions of the same texts, one run's or several seeds' a side, against those of the first side."""
    measured = iter(bootstrap_together(metrics, [predictions for side in sides for predictions in side], draws))
    return weigh(contenders, sides, metrics, [[next(measured) for _ in side] for side in sides])


def weigh(
    contenders: Sequence[Contender],
    sides: Sequence[Sequence[Predictions]],
    metrics: Mapping[str, Metric],
    drawn: Sequence[Sequence[Mapping[str, Draws]]],
) -> Comparison:
    """As `judge`, from each run's bootstrap draws, which are of the same resamples for all."""
    flat = [predictions for side in sides for predictions in side]
    single, units = len(flat) == len(sides), units_of(flat[0])
    tests = _mcnemar(flat, units) if single else ()
    found = {}
    for name in metrics:
        each = [[of[name] for of in side] for side in drawn]
        gaps = [_gap(each[0], other, int(units.max()) + 1) for other in each[1:]]
        # What is the share of texts decided right, by whatever name, is what McNemar's test is about.
        p_values = [of.p for of in (tests if single and _is_share(each, flat) else gaps)]
        found[name] = _differences(each, gaps, holm(p_values))
    corrected = holm([test.p for test in tests])
    return Comparison(
        runs=tuple(side.name for side in contenders),
        metrics=found,
        speaks_of="classifiers" if single else "recipes",
        contenders=tuple(contenders),
        mcnemar=tuple(replace(test, p=p) for test, p in zip(tests, corrected, strict=True)),
        falling=frozenset(name for name, metric in metrics.items() if not metric.greater_is_better),
        texts=len(flat[0]),
        resampled="texts" if flat[0].groups is None else "groups",
        draws=max(len(draws.draws) for draws in drawn[0][0].values()),
        warnings=tuple(_warnings(contenders, sides)),
    )


def right(predictions: Predictions) -> NDArray[np.bool_]:
    """Return which texts are decided right, bool[n]: of several labels all; an abstention is not right."""
    equal = predictions.truth == predictions.predicted
    whole: NDArray[np.bool_] = equal.all(axis=1) if equal.ndim == 2 else equal
    return whole


def _mcnemar(read: Sequence[Predictions], units: NDArray[np.int64]) -> tuple[McNemar, ...]:
    first = right(read[0])
    return tuple(mcnemar(first, right(other), units) for other in read[1:])


def _is_share(each: Sequence[Sequence[Draws]], read: Sequence[Predictions]) -> bool:
    return all(abs(side[0].value - right(one).mean()) < 1e-12 for side, one in zip(each, read, strict=True))


def _refuse_others(folders: Sequence[Path], read: Sequence[Predictions]) -> None:
    first = read[0]
    for folder, other in zip(folders, read, strict=True):
        if other.labels != first.labels:
            raise DataError(f"{folders[0]} and {folder} have other labels, so their scores do not compare")
        if (other.groups is None) != (first.groups is None) or list(other.groups or ()) != list(first.groups or ()):
            raise DataError(
                f"{folders[0]} and {folder} group their test texts otherwise; run both with the same dataset options"
            )
        # Their digests say that they were tested on the same texts with the same labels.
        if (other.truth != first.truth).any():
            raise ArtefactError(
                f"{folders[0]} and {folder} say other labels of the same test texts: one of the two is damaged; "
                f"run both recipes anew"
            )


def _metrics(
    contenders: Sequence[Contender], named: Sequence[str], registry: Registry, read: Predictions
) -> dict[str, Metric]:
    said = {step.use: step.options for step in metrics_named(contenders)}
    for name in named:
        if name not in said and name not in registry.names("metric"):
            raise RecipeError(registry.missing("metric", name))
    steps = [
        restored_step("metric", {"use": name, "options": said.get(name, {})}, registry) for name in named or said
    ]
    for problem in unfit_for(read.labels.task, False, [((), step, step.traits) for step in steps]):
        raise DataError(problem.message)
    return {step.name: CheckedMetric(step) for step in steps} or usual_metrics(registry)


def _gap(first: Sequence[Draws], other: Sequence[Draws], units: int) -> Gap:
    return between_classifiers(first[0], other[0]) if len(first) == 1 else between_recipes(first, other, units)


def _differences(
    each: Sequence[Sequence[Draws]], gaps: Sequence[Gap], corrected: Sequence[float]
) -> tuple[Difference, ...]:
    values = [sum(of.value for of in side) / len(side) for side in each]
    others = (
        Difference(value, gap.value, gap.low, gap.high, p, gap.different(p))
        for value, gap, p in zip(values[1:], gaps, corrected, strict=True)
    )
    return Difference(values[0], 0.0, 0.0, 0.0), *others


def _warnings(contenders: Sequence[Contender], read: Sequence[Sequence[Predictions]]) -> Iterator[str]:
    for side, predictions in zip(contenders, read, strict=True):
        if len(set(side.seeds)) < len(side.seeds):
            yield (
                f"several runs of '{side.name}' have the same seed: they are not independent, so the interval is too "
                f"narrow; give each a seed of its own"
            )
        elif len(predictions) > 1 and all((one.scores == predictions[0].scores).all() for one in predictions):
            yield seedless(side.name)
