"""Trainings through compiled kernels: the same gradients, the same bits again, and torch where kernels cannot serve."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import loop
from textclf_torch.cpu import agreement, kernels
from textclf_torch.job import equipped
from textclf_torch.state import State

from tests.killing import forked
from tests.plugins.sentiment import TEXTS, Task, sentiment
from tests.plugins.torch.jobs import job_of, weights
from tests.plugins.torch.test_lanes import gradient
from textclf import Chosen, ResourceError, Stopped

pytest.importorskip("textclf_kernels", reason="textclf-kernels is not installed")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("most", [18, 4, 1])
@pytest.mark.parametrize("lanes", [1, 2])
def test_the_gradient_is_that_of_torch_however_a_batch_is_cut(lanes: int, most: int, tmp_path: Path):
    task = sentiment(tmp_path, dropout=0.0)
    wanted, losses = gradient(job_of(task))
    found, others = gradient(job_of(task, kernels="native", lanes=lanes), most)
    assert apart(found, wanted) <= 2e-6
    assert losses == pytest.approx(others, rel=1e-5)


@pytest.mark.parametrize("most", [18, 4])
@pytest.mark.parametrize("lanes", [1, 2])
def test_the_gradient_in_bf16_is_as_near_to_float32_as_that_of_autocast(lanes: int, most: int, tmp_path: Path):
    task = sentiment(tmp_path, dropout=0.0)
    wanted, _ = gradient(job_of(task))
    autocast, _ = gradient(job_of(task, precision="bf16"))
    found, _ = gradient(job_of(task, precision="bf16", kernels="native", lanes=lanes), most)
    assert apart(found, wanted) <= 1.2 * apart(autocast, wanted)


def test_what_is_frozen_gets_no_gradient_and_the_rest_its_own(tmp_path: Path):
    task = sentiment(tmp_path, dropout=0.0)
    layer = "bert.encoder.layer.0"
    parts = ("attention.self.key.weight", "output.dense.weight")
    frozen = ("bert.embeddings.word_embeddings.weight", *(f"{layer}.{part}" for part in parts))
    wanted, _ = gradient(job_of(task, frozen=frozen))
    job = job_of(task, frozen=frozen, kernels="native", lanes=2)
    found, _ = gradient(job)
    assert apart(found, wanted) <= 2e-6
    assert all(job.network.get_parameter(name).grad is None for name in frozen)


@pytest.mark.parametrize("firsts", [False, True])
def test_attention_gives_zeros_behind_the_last_text(firsts: bool):
    generator = torch.Generator().manual_seed(0)
    lengths, rest = (3, 1, 9), 3
    borders = torch.tensor([0, 3, 4, 13])
    asking = torch.arange(4) if firsts else borders
    query, key, value = (
        torch.randn(size, 16, generator=generator) for size in (3 if firsts else sum(lengths) + rest, 16, 16)
    )
    made = kernels.Attention(query, key, value, borders, asking, 2, 0.3)
    gradients = [torch.full_like(part, torch.nan) for part in (query, key, value)]
    made.backward(torch.ones_like(query), *gradients)
    assert not made.out[int(asking[-1]) :].any()
    assert not any(part[13:].any() for part in gradients[1:])
    assert all(part.isfinite().all() for part in (made.out, *gradients))


@pytest.mark.parametrize("threads", [2, 3])
def test_kernels_share_their_work_among_threads(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    task = sentiment(tmp_path, dropout=0.0)
    wanted, _ = gradient(job_of(task))
    monkeypatch.setattr(kernels, "GRAIN", 1)
    monkeypatch.setattr("textclf_torch.cpu.kernels._parts.__defaults__", (1,))
    monkeypatch.setattr("textclf_torch.cpu.kernels._divide.__defaults__", (1,))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = [gradient(job_of(task, kernels="native"))[0] for _ in range(2)]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert apart(found[0], wanted) <= 2e-6


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("lanes", [1, 2])
def test_the_same_seed_comes_to_the_same_bits_and_another_step_to_others(lanes: int, precision: str, task: Task):
    found = [
        gradient(job_of(task, kernels="native", lanes=lanes, precision=precision), 4, step=step)[0]
        for step in (1, 1, 2)
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("optimizer", ["adamw", "bertadam"])
def test_a_step_of_the_optimiser_is_the_one_of_torch(optimizer: str, tmp_path: Path):
    task = sentiment(tmp_path, dropout=0.0)
    moved = []
    for choice in ("torch", "native"):
        job = job_of(task, kernels=choice, optimizer=optimizer, learning_rate=1e-3, warmup=0.0, max_grad_norm=0.5)
        state = State(18)
        with equipped(job) as ready:
            for state.step in range(3):
                loop.take_step(ready, state, np.arange(len(TEXTS)))
        moved.append(torch.cat([p.detach().flatten() for p in job.network.parameters()]))
    assert apart(moved[1], moved[0]) <= 1e-4


def test_weights_that_change_in_any_way_are_those_of_the_next_products(tmp_path: Path):
    task = sentiment(tmp_path, dropout=0.0)
    job = job_of(task, kernels="native", precision="bf16")
    with equipped(job) as ready:
        ready.lanes.begin(0)
        loop.accumulate(ready, np.arange(len(TEXTS)), 18)
        job.network.load_state_dict({name: 0.9 * tensor for name, tensor in job.network.state_dict().items()})
        job.optimizer.zero_grad()
        ready.lanes.begin(0)
        _, _ = loop.accumulate(ready, np.arange(len(TEXTS)), 18)
        again = torch.cat([p.grad.flatten() for p in job.network.parameters() if p.grad is not None])
    other = job_of(task, kernels="native", precision="bf16")
    other.network.load_state_dict(job.network.state_dict())
    assert torch.equal(again, gradient(other)[0])


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_training_that_was_stopped_is_resumed_to_the_same_bits(lanes: int, precision: str, task: Task):
    options = {"kernels": "native", "lanes": lanes, "precision": precision, "epochs": 3, "micro_batch": 4}
    whole = task.train(task.context(), validate=True, **options)
    store = task.store()
    with pytest.raises(Stopped):
        task.train(task.context(checkpoints=store, stop_after=4), validate=True, **options)
    resumed = task.train(task.context(checkpoints=store), validate=True, **options)
    assert weights(whole) == weights(resumed)


def test_unfreezing_layer_by_layer_trains_through_kernels(task: Task):
    one, other = (task.train(kernels="native", unfreeze=0.5, epochs=3) for _ in range(2))
    assert weights(one) == weights(other)


def test_a_forked_process_trains_through_kernels_too(task: Task, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("textclf_torch.cpu.kernels._parts.__defaults__", (1,))
    monkeypatch.setattr("textclf_torch.cpu.kernels._divide.__defaults__", (1,))
    inputs = torch.randn(64, 32), torch.randn(32)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        wanted = kernels.gelu(*inputs)

        def child() -> None:
            assert torch.equal(kernels.gelu(*inputs), wanted)

        assert forked(child) == 0
    finally:
        torch.set_num_threads(before)


def chosen(task: Task, **options: Any) -> tuple[str, str]:
    context = task.context()
    task.train(context, **options)
    [event] = [e for e in context.events if isinstance(e, Chosen) and e.what == "kernels" and e.options]
    assert event.options == {"trainer.kernels": event.choice}
    return str(event.choice), event.why


def test_kernels_are_chosen_where_they_agree(task: Task):
    assert chosen(task) == ("native", f"they give the answers of torch, at level {kernels.level()}")
    assert chosen(task, kernels="torch") == ("torch", "as requested")


def test_kernels_whose_answers_differ_are_not_used(task: Task, monkeypatch: pytest.MonkeyPatch):
    right = kernels.gelu
    monkeypatch.setattr(kernels, "gelu", lambda product, bias: right(product, bias).abs())
    choice, why = chosen(task)
    assert choice == "torch"
    assert why.startswith("the output of a layer differs from torch's by ")
    with pytest.raises(ResourceError, match=r"trainer\.kernels is 'native', but the output of a layer differs"):
        task.train(kernels="native")


def test_attention_dropout_is_left_to_torch(tmp_path: Path):
    task = sentiment(tmp_path, attention_dropout=0.1)
    assert chosen(task) == ("torch", "they have no attention dropout, which is 0.1 here")


def test_without_the_distribution_torch_does_the_work_and_a_resumed_training_says_what_is_missing(
    task: Task, monkeypatch: pytest.MonkeyPatch
):
    store = task.store()
    with pytest.raises(Stopped):
        task.train(task.context(checkpoints=store, stop_after=4), kernels="native")

    def absent() -> None:
        raise ModuleNotFoundError

    monkeypatch.setattr(kernels, "load", absent)
    assert chosen(task) == ("torch", "textclf-kernels is not installed")
    with pytest.raises(ResourceError) as requested:
        task.train(kernels="native")
    assert str(requested.value) == (
        "trainer.kernels is 'native', but textclf-kernels is not installed; run `pip install ./kernels` in a clone of "
        "textclf, or set it to auto"
    )
    with pytest.raises(ResourceError) as resumed:
        task.train(task.context(checkpoints=store))
    assert str(resumed.value) == (
        "this training began with compiled kernels, but textclf-kernels is not installed; run `pip install ./kernels` "
        "in a clone of textclf, or begin a new run"
    )


def test_scores_are_those_of_torch(task: Task):
    model, other = task.train(epochs=1), task.train(epochs=1, kernels="torch")
    other.network.load_state_dict(model.network.state_dict())
    features = task.encoded.features
    one, two = (each.scores(features, task.context()) for each in (model, other))
    assert np.abs(one - two).max() <= 1e-6
    layers = agreement.layers_of(model.network, task.encoder)
    assert all("forward" in parts.module.__dict__ for parts in layers)


def test_a_model_that_has_scored_can_be_copied_and_its_copy_has_weights_of_its_own(task: Task):
    model = task.train()
    before = model.scores(task.encoded.features, task.context())
    copied = copy.deepcopy(model)
    assert np.array_equal(copied.scores(task.encoded.features, task.context()), before)
    with torch.no_grad():
        for parameter in copied.network.parameters():
            parameter.mul_(0.5)
    assert not np.array_equal(copied.scores(task.encoded.features, task.context()), before)
    assert np.array_equal(model.scores(task.encoded.features, task.context()), before)


def test_large_tables_get_their_rows_through_a_kernel_from_all_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    task = sentiment(tmp_path, dropout=0.0)
    wanted, _ = gradient(job_of(task))
    added: list[int] = []
    monkeypatch.setattr("textclf_torch.cpu.embeddings.gradients_by_row.__wrapped__.__defaults__", (0,))
    add = kernels.add_rows
    monkeypatch.setattr(kernels, "add_rows", lambda *given: (added.append(1), add(*given)))
    found, _ = gradient(job_of(task, kernels="native", lanes=2))
    assert added
    assert apart(found, wanted) <= 2e-6
