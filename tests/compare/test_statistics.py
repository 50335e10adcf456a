"""The statistics of comparisons: they agree with textbooks and hold their error rates."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from textclf.compare.statistics import DifferenceEstimate, between_classifiers, between_recipes, holm, mcnemar
from textclf.evaluation.metrics import BootstrapSamples as Samples
from textclf.testing.toy import ToyAccuracy


def right(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return who decides which texts right: so many by both, by the first alone, by the other alone, by none."""
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_holm_corrects_the_smallest_by_all_and_never_turns_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.5, 0.6]) == (1.0, 1.0)
    assert holm([0.04]) == (0.04,)
    assert holm([]) == ()
    one, unknown = holm([0.01, math.nan])
    assert (one, math.isnan(unknown)) == (0.02, True)


@pytest.mark.parametrize(("first", "other"), [(0, 0), (0, 5), (1, 5), (10, 25), (3, 3), (400, 470)])
def test_mcnemar_is_the_two_sided_binomial_test_of_the_texts_only_one_decides_right(first: int, other: int) -> None:
    found = mcnemar(*right(50, first, other, 9))
    expected = stats.binomtest(first, first + other).pvalue if first + other else 1.0
    assert (found.first, found.other) == (first, other)
    assert found.p == pytest.approx(expected, rel=1e-9)


def test_the_texts_of_a_group_are_swapped_together() -> None:
    first, other = right(3, 1, 6, 2)
    unit = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4])
    sums = np.bincount(unit, weights=other.astype(int) - first.astype(int))
    every = [abs(np.dot(signs, sums)) >= abs(sums.sum()) for signs in product((-1, 1), repeat=5)]
    assert mcnemar(first, other, unit).p == pytest.approx(np.mean(every), rel=1e-12)
    assert mcnemar(first, other, np.arange(12)).p == mcnemar(first, other).p


def test_two_classifiers_are_compared_on_paired_draws() -> None:
    draws = np.random.default_rng(0).normal(size=2000)
    found = between_classifiers(Samples(0.5, draws), Samples(0.8, draws + 0.3))
    assert found == DifferenceEstimate(pytest.approx(0.3), pytest.approx(0.3), pytest.approx(0.3), 2 / 2001)  # type: ignore[arg-type]
    assert found.different(found.p)
    assert not found.different(0.05)
    same = between_classifiers(Samples(0.5, draws), Samples(0.5, draws))
    assert same == DifferenceEstimate(0, 0, 0, 1)
    assert not same.different(same.p)


def test_recipes_whose_texts_do_not_matter_are_compared_by_welch_s_t_test() -> None:
    one, other = [0.80, 0.82, 0.85], [0.86, 0.88, 0.87]
    still = np.zeros(100)
    found = between_recipes([Samples(v, still + v) for v in one], [Samples(v, still + v) for v in other], 1000)
    expected = stats.ttest_ind(other, one, equal_var=False)
    low, high = expected.confidence_interval()
    assert (found.value, found.p) == pytest.approx((np.mean(other) - np.mean(one), expected.pvalue))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_recipes_whose_seeds_do_not_matter_are_compared_as_two_classifiers_are() -> None:
    generator = np.random.default_rng(1)
    texts = generator.normal(0, 0.01, 4000)
    first, other = (
        Samples(0.8, 0.8 + texts),
        Samples(0.82, 0.82 + texts + generator.normal(0, 0.008, 4000)),
    )
    alone = between_classifiers(first, other)
    found = between_recipes([first, first], [other, other], 5000)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=5e-4)


def test_what_is_not_defined_is_never_different() -> None:
    undefined = Samples(math.nan, np.full(10, math.nan))
    for found in (between_classifiers(undefined, undefined), between_recipes([undefined] * 2, [undefined] * 2, 10)):
        assert math.isnan(found.p)
        assert not found.different(found.p)


def test_recipes_that_nothing_varies_differ_by_exactly_what_they_differ_by() -> None:
    still = np.zeros(10)
    zero, one = [Samples(0.0, still)] * 2, [Samples(1.0, still + 1)] * 2
    assert between_recipes(zero, zero, 10) == DifferenceEstimate(0, 0, 0, 1)
    assert between_recipes(zero, one, 10) == DifferenceEstimate(1, 1, 1, 2 / 2**10)


BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PAIRS, DRAWS, TEXTS = 200, 200, 500
# 5 % of 200 are 10; so many or more come by chance in fewer than one of a hundred such tests.
TOO_MANY = 19


@pytest.fixture
def comparing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import comparing

    return comparing


def test_equal_classifiers_are_rarely_called_different_and_ones_apart_often(comparing: ModuleType) -> None:
    metrics = {"accuracy": ToyAccuracy()}
    equal = comparing.measure(comparing.classifiers(TEXTS), PAIRS, DRAWS, metrics)["accuracy"]
    apart = comparing.measure(comparing.classifiers(TEXTS, 0.06), PAIRS, DRAWS, metrics)["accuracy"]
    assert 0 < equal.found < TOO_MANY
    assert apart.found > 0.9 * PAIRS


@pytest.mark.parametrize("deviation", [0.0, 0.06, 0.2])
def test_equal_recipes_of_three_seeds_are_rarely_called_different(comparing: ModuleType, deviation: float) -> None:
    found = comparing.measure(comparing.recipes(TEXTS, deviation), PAIRS, DRAWS, {"accuracy": ToyAccuracy()})
    assert 0 < found["accuracy"].found < TOO_MANY
    if deviation == 0.2:
        # What resampling three seeds would say: the reason why `compare` does otherwise.
        assert found["resampled"].found > TOO_MANY


def test_the_simulation_s_own_interval_is_wilson_s(comparing: ModuleType) -> None:
    assert str(comparing.Rate(50, 1000)) == "  5.0 % (3.8 to 6.5)"
