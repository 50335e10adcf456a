"""The optimiser's one pass does what clipping and AdamW, or BertAdam, do one after the other."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import loop, optimizer, precision, state
from textclf_torch.cpu import embeddings
from textclf_torch.job import Job, equipped
from textclf_torch.options import TorchOptions
from textclf_torch.trainer import make_job

from tests.plugins.sentiment import TEXTS, sentiment

CPU = torch.device("cpu")


def job_of(folder: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Job:
    task = sentiment(folder, dropout=0.0)
    torch.manual_seed(0)
    network = task.encoder.build_network(task.labels).to(dtype)
    with torch.no_grad():
        network.classifier.weight.mul_(1000)
    given = TorchOptions(batch_size=18, device="cpu", learning_rate=0.01, **options)
    numbers = precision.Arithmetic()
    return make_job(
        given, task.encoder, network, task.encoded, None, task.labels, numbers, CPU, "packed", task.context()
    )


@pytest.mark.parametrize("most", [0.01, 1000.0, None])
@pytest.mark.parametrize("large", [0, 1 << 20])
def test_a_step_is_that_of_clipping_and_then_adamw(most: float | None, large: int, tmp_path: Path, monkeypatch):
    """Both optimisers get the same gradients: Adam divides each by its size, and so makes a step of mere rounding."""
    monkeypatch.setattr("textclf_torch.cpu.embeddings.gradients_by_row.__wrapped__.__defaults__", (large,))
    ours, theirs = (job_of(tmp_path / name, max_grad_norm=most) for name in ("ours", "theirs"))
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
    ours, theirs = (job_of(tmp_path / name, torch.float64, **options) for name in ("ours", "theirs"))
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
    here, there = (job_of(tmp_path / name, optimizer="bertadam", max_grad_norm=most) for name in ("here", "there"))
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
    found = [job_of(tmp_path / str(at), **options) for at, options in enumerate(given)]
    assert [job.optimizer.defaults["eps"] for job in found] == [1e-8, 1e-6, 1e-7]


def test_a_table_that_another_module_reads_too_keeps_its_whole_gradient():
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.output = torch.nn.Embedding(9, 4), torch.nn.Linear(4, 9, bias=False)
            self.output.weight = self.table.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.output(self.table(ids))

    network = Tied()
    with embeddings.gradients_by_row(network, large=0) as rows:
        network(torch.tensor([1, 2])).sum().backward()
        assert rows.touched(network.table.weight) is None
    assert bool((network.table.weight.grad != 0).all())
