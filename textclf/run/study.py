"""Studies: several seeds or folds of one recipe, each an ordinary run, and their summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..evaluation.evaluate import Evaluation
from ..evaluation.metrics import BootstrapSamples, interval
from ..evaluation.report import Member, Spread, Summary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """What tells one run of a study from the others."""

    seed: int
    fold: int | None = None

    def label(self, seeds: int) -> str:
        words = [] if self.fold is None else [f"fold {self.fold + 1}"]
        return " ".join([*words, f"seed {self.seed}"] if seeds > 1 or not words else words)

    def suffix(self) -> str:
        return f"-s{self.seed}" + ("" if self.fold is None else f"-f{self.fold + 1}")


def members(seed: int, seeds: Sequence[int] | None, folds: int | None) -> list[MemberPlan]:
    """Return the runs that a recipe asks for: one, or each seed and fold."""
    return [
        MemberPlan(each, fold) for each in seeds or (seed,) for fold in (range(folds) if folds else (None,))
    ]


def summarise(
    name: str, plans: Sequence[MemberPlan], folders: Sequence[str], evaluations: Sequence[Evaluation]
) -> Summary:
    """Return mean, spread and interval of each metric over the runs.

    The interval resamples the texts within each run and then the runs: with the same test texts in each run, a draw
    uses the same resample of them in all.
    """
    seeds = len({plan.seed for plan in plans})
    rows = [
        Member(plan.label(seeds), folder, {metric: draws.value for metric, draws in evaluation.draws.items()})
        for plan, folder, evaluation in zip(plans, folders, evaluations, strict=True)
    ]
    draws = min(len(d.draws) for e in evaluations for d in e.draws.values())
    spreads = {}
    for metric in evaluations[0].draws:
        spreads[metric] = spread([evaluation.draws[metric] for evaluation in evaluations], draws)
    warnings = (seedless(name),) if seeds > 1 and _agree(plans, evaluations) else ()
    return Summary(name=name, members=tuple(rows), metrics=spreads, warnings=warnings)


def seedless(name: str) -> str:
    """Say that runs which differ in their seed do not differ in anything else."""
    return f"the runs of '{name}' agree in every score: training by this recipe does not depend on the seed"


def _agree(plans: Sequence[MemberPlan], evaluations: Sequence[Evaluation]) -> bool:
    """Tell whether all runs on the same split have the same scores."""
    first: dict[int | None, NDArray[np.float32]] = {}
    each = [(plan.fold, evaluation.predictions.scores) for plan, evaluation in zip(plans, evaluations, strict=True)]
    return all((first.setdefault(fold, scores) == scores).all() for fold, scores in each)


def spread(runs: Sequence[BootstrapSamples], draws: int) -> Spread:
    """Return mean, deviation and interval of one metric over runs, by so many of their bootstrap draws."""
    import numpy as np

    # The runs of a draw are the same for every metric.
    picked = np.random.default_rng(0).integers(0, len(runs), (draws, len(runs)))
    values = np.array([run.value for run in runs])
    low, high = interval(_mean_of_picked(np.array([run.draws[:draws] for run in runs]), picked))
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Spread(float(values.mean()), deviation, low, high)


def _mean_of_picked(resampled: NDArray[np.float64], picked: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each draw the mean over the runs picked in it; resampled: [runs, draws], picked: [draws, runs]."""
    import numpy as np

    columns = np.arange(resampled.shape[1])[:, None]
    mean: NDArray[np.float64] = resampled[picked, columns].mean(axis=1)
    return mean
