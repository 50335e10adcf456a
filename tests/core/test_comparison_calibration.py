"""What `compare` calls different is so: simulated pairs without a difference are called different as rarely as said."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from textclf.testing.toy import ToyAccuracy

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
