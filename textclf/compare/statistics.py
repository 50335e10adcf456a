"""The statistics of comparisons: paired intervals, McNemar's exact test, Holm's correction.

What is compared is either two classifiers, one run each, whose score varies with the test texts alone, or two recipes,
several seeds each, whose mean score varies with the texts and with the seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..evaluation.metrics import CONFIDENCE, BootstrapSamples, interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class DifferenceEstimate:
    """By how much one side's metric exceeds the other's: its 95 % interval, and p where there is no gap in truth."""

    value: float
    low: float
    high: float
    p: float

    def different(self, corrected: float) -> bool:
        """Say whether there is a difference: the interval leaves out 0, and p, corrected, is below 0.05."""
        return (self.low > 0 or self.high < 0) and corrected < LEVEL


@dataclass(frozen=True, slots=True)
class McNemar:
    """Texts that only the first, or only the other classifier decides right, and the exact test's two-sided p."""

    first: int
    other: int
    p: float


def holm(values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values corrected for their number (Holm 1979): below 0.05 with 5 % risk of one false finding or more.

    What is not defined (NaN) stays so and counts as a test all the same.
    """
    order = sorted(range(len(values)), key=lambda i: (math.isnan(values[i]), values[i]))
    corrected, reached = [math.nan] * len(values), 0.0
    for rank, i in enumerate(order):
        if not math.isnan(values[i]):
            reached = corrected[i] = max(reached, min(1.0, (len(values) - rank) * values[i]))
    return tuple(corrected)


def mcnemar(
    first: NDArray[np.bool_], other: NDArray[np.bool_], unit_of_row: NDArray[np.int64] | None = None
) -> McNemar:
    """Test whether two classifiers decide equally many texts right (McNemar 1947, exact and two-sided).

    first, other: bool[n], whether each decides a text right. Without a difference each text that only one decides right
    could as well be the other's: a fair coin. Where texts come in units, as rows of one group do, a unit's texts have
    one coin in common, which is the exact permutation test of their sums; with units of one text it is the binomial.
    """
    import numpy as np

    change = other.astype(np.int64) - first.astype(np.int64)
    sums = change if unit_of_row is None else np.rint(np.bincount(unit_of_row, weights=change)).astype(np.int64)
    p = _two_sided(np.abs(sums[sums != 0]), abs(int(change.sum())))
    return McNemar(int((change < 0).sum()), int((change > 0).sum()), p)


def _two_sided(sizes: NDArray[np.int64], reached: int) -> float:
    """Return how often the sum of sizes, each with a random sign, is at least `reached` from 0."""
    import numpy as np
    from scipy.special import gammaln

    chances = np.ones(1)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        heads = np.arange(count + 1)
        each = np.zeros(size * count + 1)
        ways = gammaln(count + 1) - gammaln(heads + 1) - gammaln(count - heads + 1)
        each[::size] = np.exp(ways - count * math.log(2))
        chances = each if len(chances) == 1 else np.convolve(chances, each)
    sums = 2 * np.arange(len(chances)) - int(sizes.sum())
    return min(1.0, float(chances[np.abs(sums) >= reached].sum()))


def between_classifiers(first: BootstrapSamples, other: BootstrapSamples) -> DifferenceEstimate:
    """Return the gap of two classifiers: the percentile interval of the paired bootstrap, over texts alone.

    p is twice the share of draws on the far side of 0, itself counted as one.
    """
    import numpy as np

    gaps = other.draws - first.draws
    low, high = interval(gaps)
    defined = gaps[np.isfinite(gaps)]
    if len(defined) == 0:
        return DifferenceEstimate(other.value - first.value, low, high, math.nan)
    far = 1 + min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return DifferenceEstimate(other.value - first.value, low, high, min(1.0, 2 * far / (1 + len(defined))))


def between_recipes(
    first: Sequence[BootstrapSamples], other: Sequence[BootstrapSamples], units: int
) -> DifferenceEstimate:
    """Return the gap of two recipes' mean metrics over at least two seeds each, on the same texts: a t interval.

    Resampling two to five seeds gives intervals that are too narrow: a sample of three has two thirds of the variance
    that it was drawn from, and the quantiles want t. So seeds and texts are taken apart as in the analysis of several
    readers and the same cases, where each reader serves one method (Obuchowski and Rockette 1995; Hillis, Statistics in
    Medicine 33, 2014): the variance of the gap is the variance between seeds over their number, for both, and what
    runs of one recipe have in common on the bootstrap's draws of texts beyond what runs of both have. Degrees of
    freedom are Satterthwaite's, with a variance between seeds of each recipe's own (Welch). It holds its 5 % whether
    seeds matter much, little or not at all (`benchmarks/comparing.py`).
    """
    import numpy as np

    values = [np.array([run.value for run in side]) for side in (first, other)]
    gap = float(values[1].mean() - values[0].mean())
    drawn = np.array([run.draws for run in (*first, *other)])
    drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
    if drawn.shape[1] < 2 or not math.isfinite(gap):
        return DifferenceEstimate(gap, math.nan, math.nan, math.nan)
    of_seeds = [float(side.var(ddof=1)) / len(side) for side in values]
    of_texts = _shared_by_side(np.atleast_2d(np.cov(drawn)), len(first))
    variance = of_texts + sum(of_seeds)
    if variance == 0:
        # Nothing varies: without a difference, each text would have fallen to its side like a coin.
        return DifferenceEstimate(gap, gap, gap, 1.0 if gap == 0 else 2.0 ** (1 - units))
    parts = [(of_texts, units - 1), *((of, len(side) - 1) for of, side in zip(of_seeds, values, strict=True))]
    freedom = variance**2 / sum(of**2 / max(1, free) for of, free in parts)
    return _t_gap(gap, math.sqrt(variance), freedom)


def _shared_by_side(covariance: NDArray[np.float64], size: int) -> float:
    """Return the variance of the gap that comes with the texts; covariance: of all runs, the first `size` one side."""
    within = [_off_diagonal(side) for side in (covariance[:size, :size], covariance[size:, size:])]
    return max(0.0, sum(within) - 2 * float(covariance[:size, size:].mean()))


def _off_diagonal(square: Any) -> float:
    return float((square.sum() - square.trace()) / (len(square) * (len(square) - 1)))


def _t_gap(gap: float, error: float, freedom: float) -> DifferenceEstimate:
    from scipy.special import stdtr, stdtrit

    half = error * float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    return DifferenceEstimate(gap, gap - half, gap + half, 2 * float(stdtr(freedom, -abs(gap) / error)))
