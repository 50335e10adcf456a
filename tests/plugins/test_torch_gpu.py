"""What the trainer `torch` does on an NVIDIA GPU: run with `pytest -m gpu`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from textclf_torch import checkpoint, divergence, loop
from textclf_torch import state as states
from textclf_torch.job import Job
from textclf_transformers.batch import DeviceIds, TokenCache

from tests.plugins.sentiment import TRUTH, Task, sentiment
from textclf import Chosen, DivergedError, Stopped, Tokens

pytestmark = pytest.mark.gpu

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_a_tiny_network_learns_a_tiny_task_on_cuda(precision, tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    model = task.train(context, epochs=12, device="cuda", precision=precision)
    scores = model.scores(task.encoded.features, context)
    assert (scores.argmax(axis=1) == TRUTH).all()
    assert next(model.network.parameters()).device.type == "cuda"


def test_bertadam_one_cycle_decay_by_layer_and_unfreezing_learn_it_on_cuda_too(tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    model = task.train(
        context, epochs=12, device="cuda", precision="fp16", optimizer="bertadam", learning_rate=1e-3,
        schedule="one_cycle", warmup=0.3, layer_decay=0.9, unfreeze=0.3,
    )  # fmt: skip
    assert (model.scores(task.encoded.features, context).argmax(axis=1) == TRUTH).all()


def test_a_model_trained_on_cuda_scores_the_same_on_the_cpu(tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    model = task.train(context, epochs=4, device="cuda")
    here = model.scores(task.encoded.features, context)
    model.network.cpu()
    model.device = next(model.network.parameters()).device
    assert np.abs(here - model.scores(task.encoded.features, context)).max() <= 1e-4


def test_cuda_is_taken_where_there_is_one_and_trains_in_bf16(tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    task.train(context, epochs=1, device="auto")
    chosen = {event.what: event.choice for event in context.events if isinstance(event, Chosen)}
    assert chosen == {"arithmetic": "bf16, highest matmul", "layout": "packed"}


def job_on_gpu(task: Task, **options: Any) -> Job:
    """Return the job that the trainer would run."""
    found: list[Job] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "run", lambda job, state: found.append(job))
        task.train(device=GPU.type, **options)
    return found[0]


def test_packed_rows_are_taken_in_bf16_where_they_give_what_padded_batches_give(tmp_path):
    """T08: attention of variable length, its gradients, and the logits, tried on the GPU itself."""
    task = sentiment(tmp_path)
    network = task.encoder.build_network(task.labels).to(GPU)
    assert task.encoder.why_padded(network.train(), torch.bfloat16) == ""
    assert task.encoder.why_padded(network.eval(), torch.float16) == ""
    assert task.encoder.why_padded(network, torch.float32) == "attention of variable length knows no float32"


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


def test_attention_dropout_keeps_batches_padded_and_the_run_says_why(tmp_path):
    task = sentiment(tmp_path, attention_dropout=0.1)
    context = task.context()
    task.train(context, epochs=1, device="cuda", precision="bf16")
    (told,) = [event for event in context.events if isinstance(event, Chosen) and event.what == "layout"]
    why = "attention of variable length has no dropout, and attention_dropout is 0.1"
    assert (told.choice, told.why) == ("padded", why)


def test_batches_made_on_the_gpu_are_those_made_on_the_cpu(tmp_path):
    task = sentiment(tmp_path, pairs=True, max_length=9, truncate="head_tail")
    task.encoder.build_network(task.labels)
    rows = np.array([3, 17, 0, 3])
    for layout in ("packed", "padded"):
        here, there = (task.encoder.collate(task.encoded.features, rows, layout, d) for d in (GPU, CPU))
        assert here.keys() == there.keys()
        for name, values in there.items():
            if isinstance(values, torch.Tensor):
                assert here[name].device.type == GPU.type
                assert here[name].dtype == values.dtype
                assert torch.equal(here[name].cpu(), values), name
            else:
                assert here[name] == values


def test_the_ids_of_a_split_are_copied_to_the_gpu_once():
    tokens = Tokens(np.arange(40, dtype=np.uint16), np.array([0, 15, 40]))
    specials = np.array([7, 8])
    cache = TokenCache()
    first = cache.source(tokens, lambda: specials, GPU)
    assert isinstance(first, DeviceIds)
    assert first.flat.device.type == "cuda"
    assert first.flat.tolist() == [*range(40), 7, 8]
    assert cache.source(tokens, lambda: specials, GPU) is first


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


@pytest.mark.parametrize("precision", ["bf16", "float32", "fp16"])
def test_a_step_that_diverges_on_the_gpu_is_not_taken_nor_any_after_it(precision, tmp_path, monkeypatch):
    """T01: the rows of the first bad step are named, and the weights are those before it."""
    monkeypatch.setattr(divergence, "SECONDS", 3600.0)
    task = sentiment(tmp_path)
    job = job_on_gpu(task, precision=precision)
    kept: list[dict[str, torch.Tensor]] = []

    def spoil(module: Any, arguments: Any, output: Any) -> Any:
        if len(kept) >= 3:
            output.logits = output.logits * torch.nan
        return output

    job.network.register_forward_hook(spoil)
    state = states.State(6)

    def take_steps() -> None:
        for step in range(6):
            state.step = step
            kept.append({name: t.clone() for name, t in job.network.state_dict().items()})
            loop.take_step(job, state, job.rows(step))
        job.divergence.flush(job, state)

    with pytest.raises(DivergedError, match="diverged at step 3 of 6: the loss is nan at training rows"):
        take_steps()
    assert len(kept) == (3 if precision == "fp16" else 6)
    for name, tensor in job.network.state_dict().items():
        assert torch.equal(tensor, kept[2][name]), name
    assert state.loss_rows == 12


def test_a_checkpoint_written_beside_the_training_holds_the_weights_of_its_step(tmp_path):
    """C01: weights are copied from the GPU before the next step changes them."""
    task = sentiment(tmp_path)
    context = task.context(checkpoints=task.store())
    seen: dict[str, dict[str, torch.Tensor]] = {}
    kept = checkpoint.snapshot

    def remember(job: Any, state: Any) -> Any:
        seen[f"ck-{state.step:06d}"] = {name: t.cpu() for name, t in job.network.state_dict().items()}
        return kept(job, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "snapshot", remember)
        task.train(context, device="cuda", precision="bf16", checkpoint_every=1)
    newest = task.store().latest()
    saved = load_file(newest / checkpoint.NETWORK)
    assert set(saved) == set(seen[newest.name])
    assert all(torch.equal(saved[name], seen[newest.name][name]) for name in saved)


def test_a_training_on_the_gpu_goes_on_where_it_was_stopped(tmp_path):
    """T04: with the same texts, rates, averages and dropout; sums on a GPU come in any order, so nearly the same."""
    task = sentiment(tmp_path)
    options = {"device": "cuda", "precision": "float32", "epochs": 2, "checkpoint_every": 1}
    whole = task.train(**options)
    context = task.context(checkpoints=task.store(), stop_after=3)
    with pytest.raises(Stopped):
        task.train(context, **options)
    resumed = task.train(task.context(checkpoints=task.store()), **options)
    for name, tensor in resumed.network.state_dict().items():
        assert torch.allclose(tensor, whole.network.state_dict()[name], atol=2e-3), name
