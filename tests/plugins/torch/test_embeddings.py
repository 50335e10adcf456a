"""Gradients of large tables by row are those of the whole table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from textclf_torch import loop
from textclf_torch.cpu import embeddings
from textclf_torch.job import Job

from tests.plugins.sentiment import TEXTS, Task, sentiment
from tests.plugins.torch.jobs import job_of


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


def gradients(job: Job, most: int) -> torch.Tensor:
    job.network.zero_grad()
    loop.accumulate(job, np.arange(len(TEXTS)), most)
    return torch.cat([p.grad.flatten() for p in job.network.parameters() if p.grad is not None])


def test_gradients_by_row_are_the_gradients_of_the_whole_table(task: Task):
    """T07: adding to the rows a batch touched leaves the gradient as it is, padding without any."""
    job = job_of(sentiment(task.folder / "still", dropout=0.0), label_smoothing=0.1)
    whole = gradients(job, 5)
    with embeddings.gradients_by_row(job.network, large=0):
        assert "forward" in vars(job.network.bert.embeddings.word_embeddings)
        by_row = gradients(job, 5)
    assert "forward" not in vars(job.network.bert.embeddings.word_embeddings)
    assert float((by_row - whole).norm() / whole.norm()) <= 1e-6


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
