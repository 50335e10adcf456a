"""The comparison of what both sides have learnt: losses after some steps, and accuracy on the test texts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import texts
from expert import search
from measuring import Extent, Peak, Shape, say
from peers.talking import Side
from sides import Case, Training, launch_ours, launch_trainer, ours, step_size, trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Learnt:
    """What one training came to on the test texts: bool[n], and the mean loss."""

    right: NDArray[np.bool_]
    loss: float


def judge(case: Case, extent: Extent, seeds: int, steps: int) -> None:
    """Train both sides with each seed, and print the differences with their errors."""
    case = replace(case, total=steps)
    truth = np.array(texts.read(case.folder)["test"].labels)
    with launch_ours() as mine, launch_trainer() as theirs:
        ours(mine, case).end()
        best = extent.settings
        if best is None:
            modes = Peak(Shape(6, 384, 1536), 1024, case.device).burst()
            best, _ = search(replace(case, total=100_000), modes, extent.seconds, say, short=extent.short)
        case = replace(case, batch_size=step_size(best))
        found: dict[str, list[Learnt]] = {"ours": [], "expert": []}
        for seed in range(1, seeds + 1):
            one = replace(case, seed=seed)
            logits = str(case.folder / "logits.npy")
            found["ours"].append(_learn(mine, ours(mine, one, logits=logits), steps, logits, truth))
            found["expert"].append(_learn(theirs, trainer(theirs, one, best, logits=logits), steps, logits, truth))
            say(f"seed {seed}: " + ", ".join(f"{side} {_say(each[-1])}" for side, each in found.items()))
    _report(found, steps, say)


def _learn(side: Side, training: Training, steps: int, logits: str, truth: NDArray[np.int64]) -> Learnt:
    training.run(steps)
    side.ask("end")
    return learnt(np.load(logits), truth)


def learnt(logits: NDArray[Any], truth: NDArray[np.int64]) -> Learnt:
    logits = logits.astype(np.float64)
    likely = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
    return Learnt(logits.argmax(axis=1) == truth, float(-likely[np.arange(len(truth)), truth].mean()))


def _say(one: Learnt) -> str:
    return f"loss {one.loss:.4f}, accuracy {one.right.mean():.4f}"


def _report(found: dict[str, list[Learnt]], steps: int, say: Any) -> None:
    losses = {side: np.array([one.loss for one in each]) for side, each in found.items()}
    difference = losses["ours"].mean() - losses["expert"].mean()
    error = math.sqrt(sum(each.var(ddof=1) / len(each) for each in losses.values())) if len(losses["ours"]) > 1 else 0.0
    within = "within" if abs(difference) <= 2 * error else "not within"
    for side, each in losses.items():
        say(f"{side}: mean loss on the test texts after {steps} steps {each.mean():.4f}")
    say(f"difference of mean losses: {difference:+.4f}, two standard errors {2 * error:.4f}: {within}")
    low, middle, high = accuracy_difference(found["ours"], found["expert"])
    lower = "lower" if high < 0 else "not lower"
    say(f"difference of accuracies: {middle:+.4f} (95 % interval {low:+.4f} to {high:+.4f}): {lower}")


def accuracy_difference(ours: list[Learnt], theirs: list[Learnt], draws: int = 2000) -> tuple[float, float, float]:
    """Return the difference of mean accuracy with its interval, over texts drawn anew, the same for both sides."""
    each = np.mean([one.right for one in ours], axis=0) - np.mean([one.right for one in theirs], axis=0)
    drawn = np.random.default_rng(0).choice(each, (draws, len(each))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(each.mean()), float(high)
