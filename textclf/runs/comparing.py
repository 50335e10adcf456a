"""Owns comparing: finished runs are read, and each side's metrics held against the first side's on the same texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.predictions import Predictions
from ..errors import ArtefactError, DataError, RecipeError
from ..evaluation.metrics import CheckedMetric, Draws, bootstrap_together, units_of
from ..model.folder import restored_step
from ..plugin.protocols import Metric
from ..plugin.registry import Registry
from ..recipe.plan import unfit_for
from ..run.predictions_file import read_predictions, usual_metrics
from ..run.study import seedless
from .comparison import Comparison, Difference
from .contenders import Contender, Reference, gather, metrics_named
from .statistics import Gap, McNemar, between_classifiers, between_recipes, holm, mcnemar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    sides = [[read_predictions(folder) for folder in side.folders] for side in contenders]
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
