"""The optimiser's one pass does what PyTorch's clipping and AdamW do one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from textclf_torch import TorchOptions, arithmetic, embeddings, loop, optimizer
from textclf_torch.job import Job, equipped
from textclf_torch.trainer import make_job

from tests.plugins.sentiment import TEXTS, sentiment

CPU = torch.device("cpu")


def job_of(folder: Path, **options: float) -> Job:
    task = sentiment(folder, dropout=0.0)
    torch.manual_seed(0)
    network = task.encoder.build_network(task.labels)
    with torch.no_grad():
        network.classifier.weight.mul_(1000)
    given = TorchOptions(batch_size=18, device="cpu", learning_rate=0.01, **options)
    numbers = arithmetic.Arithmetic()
    return make_job(
        given, task.encoder, network, task.encoded, None, task.labels, numbers, CPU, "packed", task.context()
    )


@pytest.mark.parametrize("most", [0.01, 1000.0, None])
@pytest.mark.parametrize("large", [0, 1 << 20])
def test_a_step_is_that_of_clipping_and_then_adamw(most: float | None, large: int, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("textclf_torch.embeddings.gradients_by_row.__wrapped__.__defaults__", (large,))
    ours, theirs = (job_of(tmp_path / name, max_grad_norm=most) for name in ("ours", "theirs"))
    with equipped(ours) as ready:
        for step in range(3):
            rows = np.arange(step, len(TEXTS))
            loop.accumulate(ready, rows, 18)
            touched = ready.lanes.rows.touched(ours.network.bert.embeddings.word_embeddings.weight)
            assert (touched is None) == bool(large)
            norm = optimizer.cut(ready)
            ready.optimizer.step()
            optimizer.forget(ready)
            loop.accumulate(theirs, rows, 18)
            expected = torch.nn.utils.clip_grad_norm_(theirs.network.parameters(), most or torch.inf)
            theirs.optimizer.step()
            theirs.optimizer.zero_grad()
            assert float(norm) == pytest.approx(float(expected), rel=1e-5)
    for (name, one), other in zip(ours.network.named_parameters(), theirs.network.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5), name
    assert all(p.grad is None or not p.grad.any() for p in ours.network.parameters())


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
