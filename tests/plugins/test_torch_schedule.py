"""The learning rates of all schedules are those of PyTorch's and of transformers' own, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from textclf_torch.optimizer import Schedule, rate
from torch.optim import lr_scheduler

STEPS = 60
Make = Callable[[torch.optim.Optimizer], Any]


def ours(schedule: Schedule, warmup: float, steps: int = STEPS) -> list[float]:
    return [rate(step, steps, warmup, schedule) for step in range(steps)]


def theirs(make: Make, steps: int = STEPS) -> list[float]:
    """Return the rates of another scheduler for a highest rate of 1."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def near(rates: list[float]) -> Any:
    return pytest.approx(rates, rel=1e-12, abs=1e-13)


def test_without_a_warm_up_linear_cosine_and_constant_are_those_of_pytorch():
    assert ours("linear", 0) == near(theirs(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, STEPS)))
    assert ours("cosine", 0) == near(theirs(lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)))
    assert ours("constant", 0) == near(theirs(lambda o: lr_scheduler.ConstantLR(o, 1.0)))


@pytest.mark.parametrize("steps", [2, 11, STEPS])
@pytest.mark.parametrize("warmup", [0.1, 0.25, 0.3, 0.5])
def test_one_cycle_is_that_of_pytorch(warmup: float, steps: int):
    if warmup * steps <= 1:
        # A rise that is over before the first step: PyTorch's begins a little below the top, or divides by zero.
        assert ours("one_cycle", warmup, steps)[0] == 1.0
        return
    expected = theirs(lambda o: lr_scheduler.OneCycleLR(o, 1.0, steps, pct_start=warmup), steps)
    assert ours("one_cycle", warmup, steps) == near(expected)


def test_one_cycle_that_only_rises_ends_at_the_top():
    rates = ours("one_cycle", 1.0, 11)
    assert rates == sorted(rates)
    assert (rates[0], rates[5], rates[10]) == (pytest.approx(0.04), pytest.approx(0.52), 1.0)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
def test_with_a_warm_up_they_are_those_of_transformers_but_for_its_first_step_of_zero(
    schedule: Schedule, warmup: float
):
    import transformers

    rising = round(warmup * STEPS)
    make: dict[str, Make] = {
        "linear": lambda o: transformers.get_linear_schedule_with_warmup(o, rising, STEPS),
        "cosine": lambda o: transformers.get_cosine_schedule_with_warmup(o, rising, STEPS),
        "constant": lambda o: transformers.get_constant_schedule_with_warmup(o, rising),
    }
    found, expected = ours(schedule, warmup), theirs(make[schedule])
    assert found[rising:] == near(expected[rising:])
    assert found[:rising] == near(expected[1 : rising + 1])
    assert all(found)


def test_a_training_of_one_step_takes_the_highest_rate():
    schedules: list[Schedule] = ["linear", "cosine", "constant", "one_cycle"]
    assert [rate(0, 1, warmup, each) for each in schedules for warmup in (0.0, 0.1, 1.0)] == [1.0] * 12
