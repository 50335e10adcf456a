"""How several processes share a batch: the same gradient as one, the same rows named, memory that each has less of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import batches, loop, state
from textclf_torch.distributed import team
from textclf_torch.distributed.team import ProcessGroup
from textclf_torch.job import Job
from textclf_torch.options import TorchOptions
from textclf_torch.precision import Arithmetic
from textclf_torch.trainer import make_job

from tests.plugins.letters import Letters, LettersOptions
from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, Task, sentiment
from tests.plugins.test_torch_training import CPU, job_of
from textclf import DivergedError, Encoded, Labels, Texts

SEVERAL = Labels(("good", "film"), "multi-label")


def together(jobs: list[Job], folder: Path, act: Callable[[Job], Any]) -> list[Any]:
    """Let each job be one rank of a team, in a thread of its own, and return what `act` gave or raised in each.

    The groups of a team are objects and nothing of the process's, so that threads can be ranks.
    """
    found: list[Any] = [None] * len(jobs)
    folder.mkdir(exist_ok=True)

    def one(rank: int) -> None:
        group = team.connect(folder, rank, len(jobs), CPU)
        try:
            found[rank] = act(replace(jobs[rank], team=ProcessGroup(rank, len(jobs), group, CPU)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            found[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


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


def test_a_batch_is_shared_such_that_all_have_about_as_many_tokens():
    lengths = np.random.default_rng(0).integers(3, 512, 300)
    rows = np.random.default_rng(1).permutation(300)[:64]
    parts = batches.share(rows, lengths, 4)
    tokens = [int(lengths[part].sum()) for part in parts]
    assert sorted(np.concatenate(parts)) == sorted(rows)
    assert max(tokens) - min(tokens) <= 512
    assert min(len(part) for part in parts) >= 12
    assert [len(part) for part in batches.share(rows[:1], lengths, 3)] == [1, 0, 0]


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


def letters_task(folder: Path, labels: Labels = LABELS, truth: Any = TRUTH) -> Task:
    encoder = Letters(LettersOptions(dropout=0.0))
    return Task(folder, encoder, Encoded(encoder.encode(Texts(TEXTS), None), truth), labels)


def job_of_letters(task: Task, **options: Any) -> Job:
    torch.manual_seed(0)
    network = task.encoder.build_network(task.labels)
    given = TorchOptions(batch_size=18, device="cpu", learning_rate=3e-3, **options)
    return make_job(
        given, task.encoder, network, task.encoded, None, task.labels, Arithmetic(), CPU, "padded", task.context()
    )
