"""The training loop: the gradient of a batch however it is cut, memory that does not suffice, epochs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import divergence, loop, optimizer
from textclf_torch import state as states
from textclf_torch.job import Job
from textclf_torch.options import TorchOptions
from textclf_torch.precision import Arithmetic
from textclf_torch.trainer import make_job
from textclf_transformers.batch import DeviceIds
from textclf_transformers.packed import attention, last_layer
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from tests.plugins.sentiment import TEXTS, TRUTH, Task, sentiment
from tests.plugins.torch.jobs import CPU, Changed, job_of, job_on_gpu, with_memory_for
from textclf import (
    DivergedError,
    EpochFinished,
    Judgement,
    Labels,
    ResourceError,
    Stopped,
    Texts,
)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


def test_the_best_epoch_by_validation_is_kept(task: Task):
    seen: list[dict[str, list[float]]] = []
    values = iter([0.2, 0.9, 0.4, 0.3])
    context = task.context()
    context.judging = lambda scores: (seen.append(scores.tolist()), Judgement({"m": 0.0}, next(values)))[1]
    model = task.train(context, validate=True, epochs=4)
    finished = [event for event in context.events if isinstance(event, EpochFinished)]
    assert [event.best for event in finished] == [True, True, False, False]
    assert model.scores(task.encoded.features, context).tolist() == seen[1]


def test_early_stopping_ends_after_so_many_epochs_without_a_better_validation(task: Task):
    context = task.context()
    values = iter([0.5, 0.4, 0.6, 0.6, 0.1, 0.9])
    context.judging = lambda scores: Judgement({}, next(values))
    task.train(context, validate=True, epochs=6, early_stopping=2)
    assert [event.epoch for event in context.events if isinstance(event, EpochFinished)] == [1, 2, 3, 4, 5]


def test_half_an_epoch_is_half_the_steps(task: Task):
    context = task.context()
    task.train(context, epochs=1.5)
    assert [e.step for e in context.events if isinstance(e, EpochFinished)] == [3, 5]


def gradients(job: Job, most: int) -> torch.Tensor:
    job.network.zero_grad()
    loop.accumulate(job, np.arange(len(TEXTS)), most)
    return torch.cat([p.grad.flatten() for p in job.network.parameters() if p.grad is not None])


@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced", "label_smoothing": 0.1}])
def test_the_accumulated_gradient_is_the_big_batchs(options: dict[str, Any], tmp_path: Path):
    """T07: micro-batches change the gradient by rounding only."""
    uneven = np.array([0] * 13 + [1] * 5)
    job = job_of(sentiment(tmp_path, truth=uneven, dropout=0.0), **options)
    whole = gradients(job, 18)
    for most in (1, 4, 7):
        difference = (gradients(job, most) - whole).norm() / whole.norm()
        assert float(difference) <= 1e-6, most


def test_the_gradient_is_that_of_the_plain_mean_loss(tmp_path: Path):
    """T07: grouping by length inside the batch leaves the gradient that transformers computes."""
    task = sentiment(tmp_path, dropout=0.0)
    job = job_of(task)
    ours = gradients(job, 5)
    job.network.zero_grad()
    batch = task.encoder.collate(task.encoded.features, np.arange(len(TEXTS)), "padded", CPU)
    job.network(**batch, labels=torch.from_numpy(TRUTH)).loss.backward()
    theirs = torch.cat([p.grad.flatten() for p in job.network.parameters()])
    assert float((ours - theirs).norm() / theirs.norm()) <= 1e-6


@pytest.fixture
def still(tmp_path: Path) -> Task:
    """Return a task whose networks have no dropout."""
    return sentiment(tmp_path, dropout=0.0)


def test_a_loss_that_is_no_number_stops_before_the_step_and_names_the_rows(still: Task):
    """T01: the step is not taken, the rows are named, the last checkpoint stays the last."""
    poison = still.encoder.encode(Texts(["the film was bad"]), still.context()).ids.tolist()
    poisoned = [row for row in range(18) if still.encoded.features.row(row).tolist() == poison]
    assert poisoned == [9]

    steps = []

    def answer(ids: list[torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        steps.append(len(ids))
        if sum(steps) <= 18:
            return logits
        bad = torch.tensor([row[1 : len(poison) + 1].tolist() == poison for row in ids])
        return torch.where(bad[:, None], torch.nan, logits)

    context = still.context(checkpoints=still.store())
    with pytest.raises(DivergedError) as error:
        still.train(context, encoder=Changed(still.encoder, answer), checkpoint_every=1)
    step = int(str(error.value).split("step ")[1].split()[0])
    assert str(error.value) == (
        f"training diverged at step {step} of 6: the loss is nan at training rows 9 (counted from 0); the step was not "
        "taken; lower trainer.learning_rate (now 0.003) or set trainer.precision to float32"
    )
    newest = still.store().latest()
    assert newest is not None
    assert newest.name == f"ck-{step - 1:06d}"
    assert 4 <= step <= 6


def test_weights_that_overflow_are_a_divergence_and_not_a_model(still: Task):
    """T01: an infinite gradient is not stepped along either."""
    def answer(ids: list[torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        logits.register_hook(lambda gradient: gradient * torch.inf)
        return logits

    with pytest.raises(DivergedError, match="the gradient is not finite at training rows"):
        still.train(encoder=Changed(still.encoder, answer))


def test_without_enough_memory_the_micro_batch_is_halved_and_the_training_is_the_same(still: Task):
    """T02: out of memory halves the micro-batch, keeps the effective batch, and warns."""
    context = still.context()
    small = still.train(context, encoder=Changed(still.encoder, with_memory_for(2)))
    assert context.warnings == [
        "not enough memory on cpu for 6 texts at once: trainer.micro_batch is now 3, the batch of 6 stays",
        "not enough memory on cpu for 3 texts at once: trainer.micro_batch is now 2, the batch of 6 stays",
    ]
    whole = still.train().network.state_dict()
    for name, tensor in small.network.state_dict().items():
        assert torch.allclose(tensor, whole[name], atol=1e-4), name


def test_a_training_that_was_halved_is_resumed_in_halves_to_the_same_bits(still: Task):
    """T02: what memory suffices for is part of the state, and is not tried anew."""
    limited = Changed(still.encoder, with_memory_for(2))
    whole = still.train(encoder=limited)
    with pytest.raises(Stopped):
        still.train(still.context(checkpoints=still.store(), stop_after=2), encoder=limited)
    context = still.context(checkpoints=still.store())
    resumed = still.train(context, encoder=limited)
    assert context.warnings == []
    for name, tensor in resumed.network.state_dict().items():
        assert torch.equal(tensor, whole.network.state_dict()[name]), name


def test_memory_that_never_suffices_is_a_resource_error(still: Task):
    """T02: after a few halvings the run ends and says what to do."""
    with pytest.raises(ResourceError) as error:
        still.train(encoder=Changed(still.encoder, with_memory_for(0)))
    assert str(error.value) == (
        "not enough memory on cpu for 1 texts at once; lower encoder.max_length or take a smaller checkpoint"
    )


@pytest.mark.gpu
def test_gradients_of_packed_rows_are_those_of_padded_batches_in_float32(tmp_path):
    """T07: as near as bf16 comes, which padded batches in bf16 come too."""
    task = sentiment(tmp_path, dropout=0.0)
    jobs = {name: job_on_gpu(task, precision=name) for name in ("bf16", "float32")}
    assert {name: job.layout for name, job in jobs.items()} == {"bf16": "packed", "float32": "padded"}
    jobs["padded bf16"] = replace(jobs["bf16"], layout="padded")
    found = {}
    for name, job in jobs.items():
        job.network.load_state_dict(jobs["float32"].network.state_dict())
        job.network.zero_grad()
        loop.accumulate(job, np.arange(18), 18)
        found[name] = torch.cat([p.grad.flatten() for p in job.network.parameters() if p.grad is not None])
    apart = {name: float((g - found["float32"]).norm() / found["float32"].norm()) for name, g in found.items()}
    assert apart["bf16"] <= 2 * apart["padded bf16"] + 0.01


@pytest.mark.gpu
@pytest.mark.parametrize("micro_batch", [None, 3])
def test_no_step_waits_for_the_gpu(micro_batch, tmp_path, monkeypatch):
    monkeypatch.setattr(divergence, "SECONDS", 3600.0)
    task = sentiment(tmp_path)
    job = job_on_gpu(task, precision="bf16", micro_batch=micro_batch)
    assert job.layout == "packed"
    state = states.State(micro_batch or 6)
    for step in range(6):
        if step == 2:  # by then ids, averages and pinned memory are where they stay
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("error")
        try:
            state.step = step
            loop.take_step(job, state, job.rows(step))
        finally:
            if step == 5:
                torch.cuda.set_sync_debug_mode("default")
    assert state.loss_rows == 0
    job.divergence.flush(job, state)
    assert state.loss_rows == 36


def test_weights_are_cast_once_a_step_whatever_the_number_of_micro_batches(tmp_path: Path, monkeypatch: Any):
    """T07: and the gradient of bf16 micro-batches is that of each one cast by itself."""
    # Several labels: the gradients of two classes in balance would cancel, and only rounding be left.
    truth = np.array([["film" in text, "good" in text] for text in TEXTS])
    still = sentiment(tmp_path, Labels(("film", "good"), "multi-label"), truth, dropout=0.0)
    jobs: list[Job] = []
    monkeypatch.setattr(loop, "run", lambda job, state: jobs.append(job))
    still.train(precision="bf16")
    job, counts = jobs[0], []
    weights = {p.data_ptr() for p in job.network.parameters() if p.ndim == 2}

    class Casts(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function is torch.ops.aten._to_copy.default and args[0].data_ptr() in weights:
                counts[-1] += (kwargs or {}).get("dtype") is torch.bfloat16
            return function(*args, **(kwargs or {}))

    found = []
    for most in (18, 3):
        counts.append(0)
        job.network.zero_grad()
        with Casts():
            loop.accumulate(job, np.arange(18), most)
        found.append(torch.cat([p.grad.flatten() for p in job.network.parameters() if p.grad is not None]))
    products = sum(isinstance(module, torch.nn.Linear) for module in job.network.modules())
    assert counts == [products, products]
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 0.02


def without_values(network: torch.nn.Module, mode: FakeTensorMode) -> None:
    for module in network.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                fake = None if tensor is None else mode.from_tensor(tensor.detach())
                tensors[name] = torch.nn.Parameter(fake) if isinstance(tensor, torch.nn.Parameter) else fake


@pytest.mark.slow
def test_a_step_of_packed_rows_reads_no_value_before_the_next_look(tmp_path, monkeypatch):
    task = sentiment(tmp_path)
    network = task.encoder.build_network(task.labels)
    asked: list[tuple[int, ...]] = []

    def on_a_gpu(query, key, value, lengths, borders, rule):
        asked.append(tuple(query.shape))
        return attention.by_borders(query, key, value, lengths, borders, rule)

    # As on a GPU: its attention, ids that lie there, the gradient cut there, and looks that wait.
    for place in (attention, last_layer):
        monkeypatch.setattr(place, "within", on_a_gpu)
    monkeypatch.setattr(
        optimizer, "clip_gradients", lambda job: torch.nn.utils.clip_grad_norm_(job.network.parameters(), 1.0)
    )
    monkeypatch.setattr(divergence, "can_wait", lambda job: True)
    monkeypatch.setattr(divergence, "SECONDS", 3600.0)
    lengths, rows, state = task.encoder.lengths(task.encoded.features), np.array([0, 1, 2, 9, 12, 5]), states.State(6)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        without_values(network, mode)
        specials = task.encoder._preprocessor.collator.single.flat
        ids = DeviceIds.of(task.encoded.features.ids, specials, CPU)
        monkeypatch.setattr(task.encoder._cache, "source", lambda *asked: ids)
        job = make_job(
            TorchOptions(batch_size=6), task.encoder, network, task.encoded, None, task.labels, Arithmetic("bf16"), CPU,
            "packed", task.context(),
        )  # fmt: skip
        for step in range(2):
            state.step = step
            loop.take_step(job, state, rows)
        assert asked == [(int(lengths[rows].sum()), 2, 16), (6, 2, 16)] * 2
        with pytest.raises(DataDependentOutputException):
            job.divergence.flush(job, state)
