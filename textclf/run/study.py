"""Studies: several seeds or folds of one recipe, each an ordinary run, and their summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ..evaluation.evaluate import Evaluation
from ..evaluation.metrics import BootstrapSamples, interval
from ..evaluation.report import Member, Spread, Summary
from ..recipe.plan import Plan
from ..recipe.settings import Settings
from .folder import RunFolder, open_run
from .journal import recorded
from .predictions_file import evaluation_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """What distinguishes one run of a study from the others."""

    seed: int
    fold: int | None = None

    def label(self, seeds: int) -> str:
        words = [] if self.fold is None else [f"fold {self.fold + 1}"]
        return " ".join([*words, f"seed {self.seed}"] if seeds > 1 or not words else words)

    def suffix(self) -> str:
        return f"-s{self.seed}" + ("" if self.fold is None else f"-f{self.fold + 1}")


def members(settings: Settings) -> list[MemberPlan]:
    """Return the runs of a recipe: one, or one for each seed and fold."""
    folds = range(settings.split.folds) if settings.split.folds else (None,)
    return [MemberPlan(seed, fold) for seed in settings.seeds or (settings.seed,) for fold in folds]


def run_study(
    plan: Plan,
    study: RunFolder,
    create: Callable[[Plan, MemberPlan], RunFolder],
    run: Callable[[Plan, RunFolder, MemberPlan], T],
) -> tuple[Summary, tuple[T, ...]]:
    """Run each member of a study that is not finished, and return their summary and what `run` returned of each.

    create: makes a member's folder beside the study's. The study's record names it before the member runs, so that an
    interrupted study resumes the same runs. run: runs a member, resumes it, or loads one that is finished.
    """
    each = members(plan.settings)
    with study.locked(), recorded(study):
        study.update(state="running", error=None)
        folders, results = [], []
        for member in each:
            one = plan.with_seed(member.seed)
            begun: dict[str, str] = study.record.get("members", {})
            if member.suffix() not in begun:
                made = create(one, member)
                study.update(members={**begun, member.suffix(): made.path.name})
            folder = open_run(study.path.with_name(study.record["members"][member.suffix()]))
            results.append(run(one, folder, member))
            folders.append(folder)
        evaluations = [evaluation_of(folder, plan) for folder in folders]
        summary = summarise(plan.settings.name, each, [str(folder.path) for folder in folders], evaluations)
        summary.save(study.path)
        study.update(state="finished")
    return summary, tuple(results)


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
    """Return the warning for runs that differ in their seed and in nothing else."""
    return f"the runs of '{name}' agree in every score: training by this recipe does not depend on the seed"


def _agree(plans: Sequence[MemberPlan], evaluations: Sequence[Evaluation]) -> bool:
    """Tell whether all runs on the same split have the same scores."""
    first: dict[int | None, NDArray[np.float32]] = {}
    each = [(plan.fold, evaluation.predictions.scores) for plan, evaluation in zip(plans, evaluations, strict=True)]
    return all((first.setdefault(fold, scores) == scores).all() for fold, scores in each)


def spread(runs: Sequence[BootstrapSamples], draws: int) -> Spread:
    """Return mean, deviation and interval of one metric over runs, by the first `draws` of their bootstrap draws."""
    import numpy as np

    # One seed for all metrics, so that a draw picks the same runs for each of them.
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
