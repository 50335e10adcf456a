"""The optimiser clips and steps in one pass; its learning rates are those of PyTorch and transformers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import loop, optimizer, state
from textclf_torch.job import Job, equipped
from textclf_torch.optimizer import Schedule, rate
from textclf_torch.options import TorchOptions
from torch.optim import lr_scheduler

from tests.plugins.sentiment import TEXTS, Task, sentiment
from tests.plugins.torch.jobs import CPU, job_of

STEPS = 60
Make = Callable[[torch.optim.Optimizer], Any]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


def test_the_learning_rate_rises_and_falls():
    assert [rate(step, 10, 0.2, "linear") for step in (0, 1, 2, 6, 9)] == [0.5, 1.0, 1.0, 0.5, 0.125]
    assert [round(rate(step, 10, 0, "cosine"), 3) for step in (0, 5, 9)] == [1.0, 0.5, 0.024]
    assert [rate(step, 4, 0.5, "constant") for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


def test_biases_and_norms_do_not_decay(task: Task):
    decaying, free = job_of(task, weight_decay=0.3).optimizer.param_groups
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decaying["params"]} == {2}
    assert {p.ndim for p in free["params"]} == {1}


def steep_job(folder: Path, **options: Any) -> Job:
    return job_of(sentiment(folder, dropout=0.0), scale=1000, learning_rate=0.01, **options)


@pytest.mark.parametrize("most", [0.01, 1000.0, None])
@pytest.mark.parametrize("large", [0, 1 << 20])
def test_a_step_is_that_of_clipping_and_then_adamw(most: float | None, large: int, tmp_path: Path, monkeypatch):
    """Both optimisers get the same gradients: Adam divides each by its size, and so makes a step of mere rounding."""
    monkeypatch.setattr("textclf_torch.cpu.embeddings.gradients_by_row.__wrapped__.__defaults__", (large,))
    ours, theirs = (steep_job(tmp_path / name, max_grad_norm=most) for name in ("ours", "theirs"))
    with equipped(ours) as ready:
        for step in range(3):
            rows = np.arange(step, len(TEXTS))
            loop.accumulate(ready, rows, 18)
            touched = ready.lanes.rows.touched(ours.network.bert.embeddings.word_embeddings.weight)
            assert (touched is None) == bool(large)
            loop.accumulate(theirs, rows, 18)
            hand_over(ours.network, theirs.network)
            norm = optimizer.clip_gradients(ready)
            ready.optimizer.step()
            optimizer.zero_grad(ready)
            expected = torch.nn.utils.clip_grad_norm_(theirs.network.parameters(), most or torch.inf)
            theirs.optimizer.step()
            theirs.optimizer.zero_grad()
            assert float(norm) == pytest.approx(float(expected), rel=1e-5)
    for (name, one), other in zip(ours.network.named_parameters(), theirs.network.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-6), name
    assert all(p.grad is None or not p.grad.any() for p in ours.network.parameters())


def hand_over(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    """See that two networks have the same gradient but for rounding, and give theirs the very numbers of ours."""
    pairs = [(p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
    pairs = [(one, other) for one, other in pairs if one is not None or other is not None]
    one, other = (torch.cat([gradient.flatten() for gradient in side]) for side in zip(*pairs, strict=True))
    # Their weights are apart by the rounding of the steps before, which the network makes a little larger.
    assert float((one - other).norm() / other.norm()) <= 1e-5
    for gradient, taken in pairs:
        taken.copy_(gradient)


def reference(parameter: torch.Tensor, averages: list[torch.Tensor], rate: float, most: float, decay: float) -> None:
    """Take BertAdam's step in wholes: what optimization.py of pytorch-pretrained-bert 0.6 computes, in float64."""
    gradient = parameter.grad.double()
    gradient = gradient * min(1.0, most / (float(gradient.norm()) + 1e-6))
    averages[0] = 0.9 * averages[0] + 0.1 * gradient
    averages[1] = 0.999 * averages[1] + 0.001 * gradient**2
    update = averages[0] / (averages[1].sqrt() + 1e-6) + decay * parameter.data.double()
    parameter.data.copy_(parameter.data.double() - rate * update)


@pytest.mark.parametrize(
    ("most", "large", "scaled"),
    [(0.01, 0, False), (0.01, 1 << 20, True), (1000.0, 0, True), (None, 1 << 20, False)],
)
def test_bertadam_is_that_of_pytorch_pretrained_bert(
    most: float | None, large: int, scaled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """No bias correction, decay apart from the averages, each gradient cut by itself; also behind a gradient scaler.

    In float64: Adam divides a gradient by its size, so that a gradient near zero, such as that of a bias of all keys,
    which changes no attention, goes where rounding sends it. In float32 that is as far as the learning rate, and
    another way on each processor; in float64 such a gradient is far below epsilon, and goes nowhere.
    """
    monkeypatch.setattr("textclf_torch.cpu.embeddings.gradients_by_row.__wrapped__.__defaults__", (large,))
    options: dict[str, Any] = {"optimizer": "bertadam", "max_grad_norm": most, "epochs": 6}
    ours, theirs = (steep_job(tmp_path / name, dtype=torch.float64, **options) for name in ("ours", "theirs"))
    ours = replace(ours, scaler=torch.amp.GradScaler("cpu", enabled=scaled))
    averages = {p: [torch.zeros_like(p, dtype=torch.float64)] * 2 for p in theirs.network.parameters()}
    with equipped(ours) as ready:
        for step in range(6):
            rows = np.arange(step, len(TEXTS))
            loop.take_step(ready, state.State(18, step=step), rows)
            loop.accumulate(theirs, rows, 18)
            now = 0.01 * optimizer.rate(step, 6, 0.1, "linear")
            for parameter, two in averages.items():
                if parameter.grad is not None:
                    reference(parameter, two, now, most or math.inf, 0.01 if parameter.ndim > 1 else 0.0)
            theirs.network.zero_grad()
    for (name, one), other in zip(ours.network.named_parameters(), theirs.network.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9), name


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.0), (0.5, 1 - 1e-9)])
def test_bertadam_knows_no_bias_correction_whatever_its_betas(betas: tuple[float, float]):
    network = torch.nn.Linear(3, 1, bias=False).double()
    given = TorchOptions(optimizer="bertadam", betas=betas, weight_decay=0, learning_rate=0.1)
    made, gradient = optimizer.make_optimizer(network, given), torch.tensor([[0.5, -2.0, 3.0]], dtype=torch.float64)
    expected, mean, square = network.weight.detach().clone(), torch.zeros(1, 3), torch.zeros(1, 3)
    for _ in range(4):
        network.weight.grad = gradient
        made.step()
        mean, square = mean * betas[0] + gradient * (1 - betas[0]), square * betas[1] + gradient**2 * (1 - betas[1])
        expected -= 0.1 * mean / (square.sqrt() + 1e-6)
    assert torch.allclose(network.weight, expected, rtol=1e-9, atol=0)
    assert float(made.state[network.weight]["step"]) == optimizer.AGED


@pytest.mark.parametrize("most", [0.01, 1.0, None])
def test_bertadam_cuts_without_waiting_for_a_gpu_as_it_does_on_the_cpu(most: float | None, tmp_path: Path):
    here, there = (steep_job(tmp_path / name, optimizer="bertadam", max_grad_norm=most) for name in ("here", "there"))
    found = []
    for job in (here, replace(there, device=torch.device("cuda"))):
        loop.accumulate(replace(job, device=CPU), np.arange(len(TEXTS)), 18)
        norm = optimizer.clip_gradients(job)
        found.append([norm, *(p.grad for p in job.network.parameters() if p.grad is not None)])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=0)
    longest = max(float(gradient.norm()) for gradient in found[0][1:])
    assert longest <= (most or math.inf) * (1 + 1e-5)
    assert float(found[0][0]) > 1


def test_each_optimiser_has_an_epsilon_of_its_own_unless_it_is_given(tmp_path: Path):
    given: list[dict[str, Any]] = [{}, {"optimizer": "bertadam"}, {"optimizer": "bertadam", "eps": 1e-7}]
    found = [steep_job(tmp_path / str(at), **options) for at, options in enumerate(given)]
    assert [job.optimizer.defaults["eps"] for job in found] == [1e-8, 1e-6, 1e-7]


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
