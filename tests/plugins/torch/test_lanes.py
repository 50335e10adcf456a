"""Lanes: threads that each carry a share of a batch have the gradient of one, and the same bits each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import loop
from textclf_torch import state as states
from textclf_torch.cpu import lanes
from textclf_torch.job import Job, equipped
from textclf_torch.options import TorchOptions

from tests.plugins.sentiment import TEXTS, Task, sentiment
from tests.plugins.torch.jobs import job_of
from textclf import Chosen, ResourceError, Stopped


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


def gradient(job: Job, most: int = 18, rows: Any = None, step: int = 0) -> tuple[torch.Tensor, dict[int, float]]:
    with equipped(job) as ready:
        ready.lanes.begin(step)
        losses, whose = loop.accumulate(ready, np.arange(len(TEXTS)) if rows is None else rows, most)
    flat = [p.grad.flatten() for p in job.network.parameters() if p.grad is not None]
    return torch.cat(flat), dict(zip(whose, losses.tolist(), strict=True))


@pytest.mark.parametrize("most", [18, 4, 1])
def test_two_lanes_find_the_gradient_and_the_losses_of_one(most: int, tmp_path: Path):
    """T07: how a batch is carried through the network changes its gradient by rounding only."""
    task = sentiment(tmp_path, dropout=0.0)
    one, losses = gradient(job_of(task, lanes=1))
    two, others = gradient(job_of(task, lanes=2), most)
    assert float((two - one).norm() / one.norm()) <= 1e-6
    # A loss is a difference of logits, and each of them a sum: some dozens of roundings of float32, of 1.2e-7 each.
    assert losses == pytest.approx(others, rel=1e-5)


def test_a_batch_of_one_text_leaves_a_lane_empty(tmp_path: Path):
    task = sentiment(tmp_path, dropout=0.0)
    one, _ = gradient(job_of(task, lanes=1), rows=np.array([3]))
    two, losses = gradient(job_of(task, lanes=3), rows=np.array([3]))
    assert float((two - one).norm() / one.norm()) <= 1e-6
    assert list(losses) == [3]


def test_large_tables_get_their_rows_from_all_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    task = sentiment(tmp_path, dropout=0.0)
    one, _ = gradient(job_of(task, lanes=1))
    monkeypatch.setattr("textclf_torch.cpu.embeddings.LARGE", 0)
    monkeypatch.setattr("textclf_torch.cpu.embeddings.gradients_by_row.__wrapped__.__defaults__", (0,))
    two, _ = gradient(job_of(task, lanes=2))
    assert float((two - one).norm() / one.norm()) <= 1e-6


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_lanes_come_to_the_same_bits_each_time_and_another_step_to_others(precision: str, task: Task):
    found = [gradient(job_of(task, lanes=2, precision=precision), step=step)[0] for step in (1, 1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[3])


def test_a_training_in_lanes_is_resumed_to_the_same_bits(task: Task):
    """C01: dropout, micro-batches and the order of sums are those of the run that was left alone."""
    whole = task.train(task.context(), lanes=2, epochs=3, micro_batch=4)
    store = task.store()
    with pytest.raises(Stopped):
        task.train(task.context(checkpoints=store, stop_after=4), lanes=2, epochs=3, micro_batch=4)
    resumed = task.train(task.context(checkpoints=store), lanes=2, epochs=3, micro_batch=4)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name


def test_an_error_in_another_lane_ends_the_step_when_all_lanes_have_ended(task: Task):
    """T02: what runs out of memory in one lane is done again by all, in smaller micro-batches."""
    job, seen, most = job_of(task, lanes=2), [], 3

    def hook(module: Any, args: Any, given: dict[str, Any], output: Any) -> None:
        seen.append(len(given["text_lengths"]))
        if len(given["text_lengths"]) > most:
            raise torch.OutOfMemoryError("no memory for so many texts")

    job.network.register_forward_hook(hook, with_kwargs=True)
    state = states.State(18)
    with equipped(job) as ready:
        loop.gradient(ready, state, np.arange(len(TEXTS)))
    assert state.micro_batch == 3
    assert sorted(seen[-6:]) == [3] * 6
    state.micro_batch, most = 1, 0
    with equipped(job) as ready, pytest.raises(ResourceError):
        loop.gradient(ready, state, np.arange(len(TEXTS)))


class Plain:
    """An encoder that says nothing of threads."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        if name == "concurrent":
            raise AttributeError(name)
        return getattr(self._encoder, name)


def chosen(task: Task, encoder: Any = None, **options: Any) -> tuple[int, str]:
    context, job = task.context(), job_of(task, lanes=1)
    found = lanes.choose(
        TorchOptions(**options), job.arithmetic, job.network, encoder or task.encoder, task.encoded.features, "packed",
        context,
    )  # fmt: skip
    event = context.events[-1]
    assert isinstance(event, Chosen)
    assert event.choice == found.lanes == event.options["trainer.lanes"]
    return found.lanes, event.why


def test_lanes_are_chosen_where_they_are_safe_and_pay(task: Task, monkeypatch: pytest.MonkeyPatch):
    assert chosen(task) == (1, "there is one thread")
    assert chosen(task, lanes=2) == (2, "as requested")
    assert chosen(task, Plain(task.encoder), lanes=2) == (
        1, "the encoder does not say that threads may share its network",
    )  # fmt: skip
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert chosen(task) == (1, "the network is small")
    assert chosen(task, devices=4) == (1, "there is one thread")
    monkeypatch.setattr(lanes, "LARGE", 1)
    assert chosen(task) == (2, "one product on all threads makes them wait")


def test_a_network_that_draws_random_numbers_of_its_own_has_one_lane(tmp_path: Path):
    before = torch.get_rng_state()
    assert chosen(sentiment(tmp_path, attention_dropout=0.1), lanes=2) == (
        1, "the network draws random numbers in no fixed order",
    )  # fmt: skip
    assert torch.equal(before, torch.get_rng_state())


def test_lanes_leave_the_threads_of_a_process_as_they_were(task: Task):
    before = torch.get_num_threads()
    gradient(replace(job_of(task, lanes=2)))
    assert torch.get_num_threads() == before
