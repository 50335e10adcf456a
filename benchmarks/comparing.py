"""Calibrates `textclf compare`: how often it calls classifiers and recipes different that are not, and that are.

    python benchmarks/comparing.py
    python benchmarks/comparing.py --pairs 200 --draws 500

Simulates pairs on the same texts and prints, with the 95 % interval of the simulation itself, how often a difference is
found: between classifiers of equal true accuracy and 0.9 agreement, between ones 2 points apart, and between recipes of
three seeds each, whose seeds matter not, as usual, or more than the texts. Beside the recipes stands what resampling
seeds and texts alike would say, as the interval of a study's summary does.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textclf import Engine, Labels, Metric, Predictions, Texts
from textclf.compare.compare import compare_predictions
from textclf.compare.comparison import ComparedSystem, Comparison
from textclf.evaluation.metrics import bootstrap, interval
from textclf.run.predictions_file import usual_metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Right = NDArray[np.bool_]  # [seeds, texts]: whether each run decides each text right
    Pair = tuple[Right, Right]

ACCURACY, AGREEMENT, AHEAD, SEEDS = 0.85, 0.9, 0.02, 3
# How much recipes, and seeds of one, differ on single texts, in standard deviations of how hard texts are.
RECIPE, RUN = 0.25, 0.2
LABELS = Labels(("neg", "pos"))


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something was found in so many tries, with Wilson's 95 % interval."""

    found: int
    tries: int

    @property
    def interval(self) -> tuple[float, float]:
        z, share = 1.96, self.found / self.tries
        middle = (share + z * z / 2 / self.tries) / (1 + z * z / self.tries)
        half = z * math.sqrt(share * (1 - share) / self.tries + z * z / 4 / self.tries**2) / (1 + z * z / self.tries)
        return middle - half, middle + half

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.found / self.tries:5.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def classifiers(texts: int, ahead: float = 0.0) -> Callable[[np.random.Generator], Pair]:
    """Return who draws two classifiers that agree on 0.9 of the texts, the other so much more accurate."""
    apart = 1 - AGREEMENT
    shares = [ACCURACY - apart / 2, (apart - ahead) / 2, (apart + ahead) / 2, 1 - ACCURACY - apart / 2]

    def draw(generator: np.random.Generator) -> Pair:
        kind = generator.choice(4, texts, p=shares)
        return (kind <= 1)[None], ((kind == 0) | (kind == 2))[None]

    return draw


def recipes(texts: int, deviation: float, ahead: float = 0.0) -> Callable[[np.random.Generator], Pair]:
    """Return who draws two recipes of three seeds: a text is decided right where ease outweighs chance, by a probit.

    deviation: of seeds, in standard deviations of ease; 0.03 makes about two thirds of a point of accuracy.
    """
    from statistics import NormalDist

    spread = math.sqrt(1 + RECIPE**2 + RUN**2 + deviation**2)
    bars = [spread * NormalDist().inv_cdf(ACCURACY + more) for more in (0.0, ahead)]

    def side(generator: np.random.Generator, ease: NDArray[np.float64], bar: float) -> Right:
        own = bar + ease + generator.normal(0, RECIPE, texts)
        lucks = generator.normal(0, deviation, (SEEDS, 1)) + generator.normal(0, RUN, (SEEDS, texts))
        right: Right = own + lucks > 0
        return right

    def draw(generator: np.random.Generator) -> Pair:
        ease = generator.normal(0, 1, texts)
        return side(generator, ease, bars[0]), side(generator, ease, bars[1])

    return draw


def compared(
    draw: Callable[[np.random.Generator], Pair], pairs: int, draws: int, metrics: dict[str, Metric]
) -> Iterator[tuple[Comparison, bool]]:
    """Yield the comparison of each simulated pair, and whether for recipes plain resampling would leave out 0."""
    generator = np.random.default_rng(0)
    for _ in range(pairs):
        pair = draw(generator)
        sides = [[_predictions(run) for run in side] for side in pair]
        systems = [
            ComparedSystem(name, (Path(name),) * len(side), tuple(range(len(side))))
            for name, side in zip("AB", pair, strict=True)
        ]
        found = compare_predictions(systems, sides, metrics, draws)
        if found.speaks_of == "classifiers":
            yield found, False
            continue
        # The same resamples once more: a comparison does not hand out its draws.
        runs = [run for side in sides for run in side]
        drawn = [each["a"].draws for each in bootstrap({"a": metrics["accuracy"]}, runs, draws)]
        yield found, _resampled([drawn[:SEEDS], drawn[SEEDS:]])


def _predictions(right: NDArray[np.bool_]) -> Predictions:
    n = len(right)
    truth = np.arange(n) % 2
    blank = [""] * n
    return Predictions(
        LABELS, truth, np.where(right, truth, 1 - truth), np.zeros((n, 2), np.float32), Texts(blank), blank, None
    )


def _resampled(sides: Sequence[Sequence[NDArray[np.float64]]]) -> bool:
    """Say whether the percentile interval of resampled seeds and texts leaves out 0."""
    generator = np.random.default_rng(1)
    means = []
    for side in sides:
        drawn = np.array(side)
        picked = generator.integers(0, len(drawn), (drawn.shape[1], len(drawn)))
        means.append(drawn[picked, np.arange(drawn.shape[1])[:, None]].mean(axis=1))
    low, high = interval(means[1] - means[0])
    return low > 0 or high < 0


def measure(
    draw: Callable[[np.random.Generator], Pair], pairs: int, draws: int, metrics: dict[str, Metric]
) -> dict[str, Rate]:
    """Return how often each metric of simulated pairs is called different, and how often plain resampling says so."""
    found = dict.fromkeys([*metrics, "resampled"], 0)
    for comparison, resampled in compared(draw, pairs, draws, metrics):
        for name in metrics:
            found[name] += comparison.metrics[name][1].different
        found["resampled"] += resampled
    return {name: Rate(count, pairs) for name, count in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000, help="simulated pairs of each kind")
    parser.add_argument("--texts", type=int, default=2000, help="test texts of each pair")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws of each comparison")
    chosen = parser.parse_args()
    metrics = usual_metrics(Engine().registry)
    said = f"{chosen.pairs:,} pairs each, {chosen.texts:,} texts, accuracy {ACCURACY}, {chosen.draws:,} draws"
    print(f"{said}\ncalled different, of {'accuracy':>30} {'macro F1':>22} {'resampled seeds':>22}", flush=True)
    kinds: dict[str, Any] = {
        "classifiers, equal": classifiers(chosen.texts),
        "classifiers, 2 points apart": classifiers(chosen.texts, AHEAD),
        "recipes, equal, seeds alike": recipes(chosen.texts, 0.0),
        "recipes, equal, usual seeds": recipes(chosen.texts, 0.03),
        "recipes, equal, wild seeds": recipes(chosen.texts, 0.2),
        "recipes, 2 points apart": recipes(chosen.texts, 0.03, AHEAD),
    }
    for name, draw in kinds.items():
        rates = measure(draw, chosen.pairs, chosen.draws, metrics)
        plain = rates["resampled"] if name.startswith("recipes") else ""
        print(f"{name:30} {rates['accuracy']!s:>22} {rates['f1_macro']!s:>22} {plain!s:>22}", flush=True)


if __name__ == "__main__":
    main()
