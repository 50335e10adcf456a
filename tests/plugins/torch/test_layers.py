"""What depth decides: layers below the head learn more slowly, and are frozen until their turn."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import forecast, layers, loop, meter, optimizer, state
from textclf_torch.job import Job, equipped
from textclf_torch.layers import UnfreezeSchedule
from textclf_torch.options import TorchOptions

from tests.plugins.sentiment import TEXTS, Task, sentiment
from tests.plugins.torch.jobs import job_of, job_of_letters, letters_task, together
from textclf import PluginError

FROZEN = "bert.embeddings.word_embeddings.weight"


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path, dropout=0.0)


def deep_job(task: Task, **options: Any) -> Job:
    return job_of(task, **{"batch_size": 6, "epochs": 8, "learning_rate": 1e-3} | options)


def moved(job: Job) -> Iterator[set[str]]:
    """Take one step after the other, and yield the names of the parameters that it has moved."""
    with equipped(job) as ready:
        for step in range(job.steps):
            before = {name: p.detach().clone() for name, p in job.network.named_parameters()}
            loop.take_step(ready, state.State(6, step=step), job.rows(step))
            yield {name for name, p in job.network.named_parameters() if not torch.equal(p, before[name])}


def names(job: Job, *depths: int) -> set[str]:
    """Return the names of the parameters in layers, counted as the encoder does."""
    found = {id(p) for depth in depths for p in job.encoder.layers(job.network)[depth]}
    return {name for name, p in job.network.named_parameters() if id(p) in found}


def test_each_layer_learns_at_a_share_of_the_rate_above_it(task: Task):
    job = deep_job(task, layer_decay=0.5, schedule="constant", warmup=0)
    optimizer.set_rates(job, 0)
    rates = {id(p): group["lr"] for group in job.optimizer.param_groups for p in group["params"]}
    found = [{rates[id(p)] for p in layer} for layer in job.encoder.layers(job.network)]
    assert found == [{1e-3 / 8}, {1e-3 / 4}, {1e-3 / 2}, {1e-3}]
    assert sum(len(group["params"]) for group in job.optimizer.param_groups) == len(list(job.network.parameters()))
    decays = {p.ndim > 1: group["weight_decay"] for group in job.optimizer.param_groups for p in group["params"]}
    assert decays == {True: 0.01, False: 0.0}


def test_layers_begin_at_equal_distances_the_head_first(task: Task):
    thaw = UnfreezeSchedule.over(task.encoder.layers(task.encoder.build_network(task.labels)), 0.75, 40)
    assert thaw.begins == [30, 20, 10, 0]
    assert UnfreezeSchedule.over(thaw.layers, 0.99, 3).begins == [2, 1, 0, 0]
    assert UnfreezeSchedule.over(thaw.layers, None, 40) == UnfreezeSchedule()


@pytest.mark.parametrize("lanes", [1, 2])
def test_what_is_frozen_neither_moves_nor_decays(lanes: int, task: Task):
    job = deep_job(task, unfreeze=0.75, lanes=lanes)
    assert job.steps == 24
    for step, found in enumerate(moved(job)):
        depths = [depth for depth, first in enumerate((18, 12, 6, 0)) if step >= first]
        # What no batch reaches decays all the same, and the rate of the warm-up's first steps is never zero.
        assert found == names(job, *depths), step
    assert all(p.requires_grad for p in job.network.parameters())


def test_the_backward_pass_ends_above_what_is_frozen(task: Task):
    job, seen = deep_job(task, unfreeze=0.75), []
    stack = job.network.bert.encoder.layer
    for layer in stack:
        layer.register_forward_hook(lambda module, args, output: seen.append(output.requires_grad))
    for step in (0, 6, 12, 18):
        job.unfreezing.begin(step)
        loop.accumulate(job, np.arange(6), 6)
    assert seen == [False, False, False, True, True, True, True, True]


def test_two_lanes_find_the_gradient_of_one_while_layers_are_frozen(task: Task):
    """T07: also where some parameters have none."""
    found = []
    for lanes in (1, 2):
        job = deep_job(task, unfreeze=0.75, lanes=lanes)
        with equipped(job) as ready:
            job.unfreezing.begin(7)
            ready.lanes.begin(7)
            loop.accumulate(ready, np.arange(len(TEXTS)), 18)
            found.append({name: p.grad for name, p in job.network.named_parameters() if p.grad is not None})
    one, two = found
    assert set(one) == set(two) == names(job, 2, 3)
    for name, gradient in one.items():
        assert torch.allclose(gradient, two[name], atol=1e-6), name


def test_what_the_encoder_has_frozen_stays_frozen(task: Task):
    job = deep_job(task, frozen=(FROZEN,), unfreeze=0.5, layer_decay=0.9, optimizer="bertadam")
    everything: set[str] = set()
    for found in moved(job):
        everything |= found
    assert everything == names(job, 0, 1, 2, 3) - {FROZEN}
    assert not job.network.get_parameter(FROZEN).requires_grad


def test_a_layer_that_is_frozen_as_a_whole_is_none_to_wait_for(task: Task):
    network = task.encoder.build_network(task.labels)
    for parameter in network.bert.embeddings.parameters():
        parameter.requires_grad_(False)
    found = layers.layers_of(task.encoder, network, TorchOptions(unfreeze=0.5))
    assert [len(layer) > 0 for layer in found] == [False, True, True, True]
    assert UnfreezeSchedule.over(found, 0.5, 40).begins == [20, 10, 0]


def test_processes_that_share_batches_thaw_together_and_end_where_one_does(tmp_path: Path):
    """T07: which parameters take part changes from step to step, and is the same in all."""
    options = {"unfreeze": 0.7, "optimizer": "bertadam", "layer_decay": 0.5, "epochs": 6}
    task = letters_task(tmp_path)

    def train(job: Job) -> None:
        for step in range(job.steps):
            loop.take_step(job, state.State(18, step=step), job.rows(step))

    alone, jobs = job_of_letters(task, **options), [job_of_letters(task, **options) for _ in range(2)]
    train(alone)
    assert together(jobs, tmp_path / "team", train) == [None, None]
    for job in jobs:
        for name, tensor in job.network.state_dict().items():
            assert torch.allclose(tensor, alone.network.state_dict()[name], atol=1e-5), name


def test_steps_that_train_few_layers_count_as_the_part_of_the_work_that_they_are(task: Task):
    job = deep_job(task, unfreeze=0.75)
    sizes = [sum(p.numel() for p in layer) for layer in job.encoder.layers(job.network)]
    head, two = sizes[3] / sum(sizes[1:]), sum(sizes[2:]) / sum(sizes[1:])
    expected = [(1 + 2 * part) / 3 for part in (head, two, 1, 1)]
    assert [job.unfreezing.work(step) for step in (0, 6, 12, 18)] == pytest.approx(expected)
    assert job.unfreezing.mean_work(0, 24) == pytest.approx(sum(expected) / 4)
    assert job.unfreezing.mean_work(3, 9) == pytest.approx((expected[0] + expected[1]) / 2)
    assert deep_job(task).unfreezing.mean_work(0, 24) == 1.0


def test_the_time_to_go_counts_that_later_steps_train_more(task: Task, monkeypatch: pytest.MonkeyPatch):
    said = {}
    for unfreeze in (None, 0.75):
        now = [0.0]
        monkeypatch.setattr(meter.time, "perf_counter", lambda now=now: now[0])
        job = deep_job(task, unfreeze=unfreeze, epochs=40)
        first_steps, steps = meter.FirstSteps(partial(forecast.announce_time, job, 0), soon=0.1), 0
        while not first_steps.add(int(job.lengths[job.rows(steps)].sum())):
            steps, now[0] = steps + 1, now[0] + 0.1
        said[unfreeze] = job.context.events[-1].seconds
    work = job.unfreezing.mean_work(11, 120) / job.unfreezing.work(0)
    assert work > 2
    assert said[0.75] / said[None] == pytest.approx(work, rel=0.05)


def test_a_network_of_one_layer_has_nothing_to_unfreeze(task: Task, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(task.encoder, "layers", lambda network: [list(network.parameters())])
    job = deep_job(task, unfreeze=0.5)
    assert job.context.warnings == [
        "trainer.unfreeze does nothing here: the network has no more than one layer to train"
    ]
    assert all(found == names(job, 0) for found in moved(job))


def test_layers_that_leave_a_parameter_out_are_the_plugins_fault(task: Task, monkeypatch: pytest.MonkeyPatch):
    whole = task.encoder.layers
    monkeypatch.setattr(task.encoder, "layers", lambda network: whole(network)[:-1])
    with pytest.raises(PluginError) as error:
        deep_job(task, layer_decay=0.9)
    assert str(error.value) == (
        "the encoder's layers hold parameter 'bert.pooler.dense.weight' 0 times, not once, so they cannot be told "
        "apart; set trainer.layer_decay to 1 and trainer.unfreeze to null"
    )
