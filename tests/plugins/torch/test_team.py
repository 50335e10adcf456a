"""How several processes share a batch: the gradient of one, and the rows of all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import loop, state
from textclf_torch.distributed.team import ProcessGroup, SingleProcess
from textclf_torch.job import Job

from tests.plugins.sentiment import TEXTS, sentiment
from tests.plugins.torch.jobs import CPU, job_of, job_of_letters, letters_task, together
from textclf import DivergedError, Labels

SEVERAL = Labels(("good", "film"), "multi-label")


def test_a_checkpoint_of_another_number_of_processes_does_not_fit():
    """C05: the generators of processes that are not there any more cannot be gone on with."""
    with pytest.raises(ValueError, match=r"^it was made with trainer.devices 3, not 1$"):
        SingleProcess().restore([{}, {}], None)  # type: ignore[arg-type]


def test_a_gpu_is_asked_anew_which_parameters_take_part_when_others_are_trained():
    team = ProcessGroup(0, 2, None, torch.device("cuda"))
    one, two = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    assert team._taking_part([one], torch.tensor([2.0])) == [True]
    assert team._taking_part([one], torch.tensor([0.0])) == [True]
    assert team._taking_part([two, one], torch.tensor([0.0, 1.0])) == [False, True]


def gradient(job: Job, rows: np.ndarray, most: int = 3) -> tuple[torch.Tensor, list[float], list[int]]:
    job.network.zero_grad()
    losses, whose = job.team.total(job.network, *loop.accumulate(job, rows, most), rows)
    flat = torch.cat([p.grad.flatten() for p in job.network.parameters() if p.grad is not None])
    by_row = dict(zip(whose, losses.tolist(), strict=True))
    return flat, [by_row[row] for row in sorted(by_row)], sorted(by_row)


@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced", "label_smoothing": 0.1}])
def test_the_gradient_of_several_processes_is_that_of_one(options: dict[str, Any], tmp_path: Path):
    """T07: shares of a batch, unequal ones and empty ones too, add up to its gradient."""
    task = sentiment(tmp_path, truth=np.array([0] * 13 + [1] * 5), dropout=0.0)
    jobs = [job_of(task, **options) for _ in range(3)]
    for rows in (np.arange(18), np.array([3, 17, 4, 9, 0]), np.array([14])):
        alone, losses, whose = gradient(job_of(task, **options), rows)
        ranks = together(jobs, tmp_path / f"of-{len(rows)}", lambda job, rows=rows: gradient(job, rows))
        for flat, each, named in ranks:
            assert float((flat - alone).norm() / alone.norm()) <= 1e-6
            assert each == pytest.approx(losses, rel=1e-5)
            assert named == whose
        assert all(torch.equal(flat, ranks[0][0]) for flat, _, _ in ranks)


def test_the_gradient_of_several_labels_in_padded_batches_is_that_of_one_process(tmp_path: Path):
    """T07: as for single labels and packed rows."""
    truth = np.array([["good" in text, "film" in text] for text in TEXTS])
    task = sentiment(tmp_path, SEVERAL, truth, dropout=0.0)
    jobs = [replace(job_of(task, class_weight="balanced"), layout="padded") for _ in range(2)]
    alone, losses, _ = gradient(job_of(task, class_weight="balanced"), np.arange(11))
    for flat, each, _ in together(jobs, tmp_path / "team", lambda job: gradient(job, np.arange(11))):
        assert float((flat - alone).norm() / alone.norm()) <= 1e-6
        assert each == pytest.approx(losses, rel=1e-5)


def test_a_parameter_that_takes_no_part_is_left_without_a_gradient(tmp_path: Path):
    task = letters_task(tmp_path)
    jobs = [job_of_letters(task) for _ in range(2)]
    together(jobs, tmp_path / "team", lambda job: gradient(job, np.array([1])))
    for job in jobs:
        without = {name for name, p in job.network.named_parameters() if p.grad is None}
        assert without == {"unused.weight", "unused.bias"}


def test_the_first_process_has_all_threads_while_the_others_wait():
    before = torch.get_num_threads()
    with ProcessGroup(0, 2, None, CPU, threads=before + 1).waiting():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_all_processes_name_the_rows_of_a_loss_that_is_no_number(tmp_path: Path):
    """T01: the rows of another process are named by their own numbers, and nobody takes the step."""
    truth = np.array([["good" in text, "film" in text] for text in TEXTS])
    jobs = [job_of_letters(letters_task(tmp_path, SEVERAL, truth)) for _ in range(2)]
    for job in jobs:
        job.objective.targets[4] = torch.nan
    before = [job.network.head.weight.clone() for job in jobs]
    errors = together(
        jobs, tmp_path / "team", lambda job: loop.take_step(job, state.State(3), np.array([7, 4, 1, 9, 2]))
    )
    for error, job, weight in zip(errors, jobs, before, strict=True):
        assert isinstance(error, DivergedError)
        assert "the loss is nan at training rows 4 (counted from 0)" in str(error)
        assert torch.equal(job.network.head.weight, weight)


def test_a_process_without_enough_memory_halves_its_own_micro_batch(tmp_path: Path):
    """T02: the batch, and so the update, stays what it was."""
    task = letters_task(tmp_path)
    jobs, alone = [job_of_letters(task) for _ in range(2)], job_of_letters(task)

    def little(module: Any, args: Any, given: dict[str, torch.Tensor]) -> None:
        if len(given["ids"]) > 2:
            raise torch.OutOfMemoryError("no memory")

    jobs[1].network.register_forward_pre_hook(little, with_kwargs=True)
    many = [state.State(9), state.State(9)]
    rows = np.arange(10)
    together(jobs, tmp_path / "team", lambda job: loop.take_step(job, many[job.team.rank], rows))
    loop.take_step(alone, state.State(9), rows)
    assert [state.micro_batch for state in many] == [9, 2]
    for job in jobs:
        for name, tensor in job.network.state_dict().items():
            assert torch.allclose(tensor, alone.network.state_dict()[name], atol=1e-6), name
