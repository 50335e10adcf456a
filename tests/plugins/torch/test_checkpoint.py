"""How the state of a training is saved: when due, in the background, and resumed to the same bits."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from textclf_torch import checkpoint
from textclf_torch.checkpoint import Saver, flatten, unflatten
from textclf_torch.state import State

from tests.plugins.sentiment import LABELS, Task, sentiment
from tests.plugins.torch.jobs import job_of, weights
from textclf import (
    ArtefactError,
    Context,
    EpochFinished,
    Judgement,
    ResourceError,
    Stopped,
)
from textclf.run.checkpoints import CheckpointStore


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


def stop_at(context: Any, step: int) -> None:
    """Make a context ask for an end once so many steps have been taken."""
    context.stop_after = step


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_stopped_training_goes_on_to_the_same_bits(stop: int, task: Task):
    """T04, T05: asked to stop, it finishes the step, saves, raises; resumed, it ends as if nothing had been."""
    options = {"epochs": 3, "checkpoint_every": 100}
    undisturbed = task.train(task.context(), **options)
    context = task.context(checkpoints=task.store())
    stop_at(context, stop)
    with pytest.raises(Stopped) as error:
        task.train(context, **options)
    assert str(error.value) == f"training was stopped after step {stop} of 9; its state is saved"
    resumed = task.train(task.context(checkpoints=task.store()), **options)
    assert weights(resumed) == weights(undisturbed)


def test_a_stopped_training_with_validation_keeps_its_best_epoch(task: Task):
    """T04: the best weights so far are part of the state."""
    def judged(context: Any, values: list[float]) -> Context:
        answers = iter(values)
        context.judging = lambda scores: Judgement({}, next(answers))
        return context

    undisturbed = task.train(judged(task.context(), [0.9, 0.1, 0.2]), validate=True, epochs=3)
    # A score asks once for its one batch, so the fifth question comes after the fourth step.
    context = judged(task.context(checkpoints=task.store(), stop_after=5), [0.9])
    with pytest.raises(Stopped, match="after step 4 of 9"):
        task.train(context, validate=True, epochs=3)
    resumed = task.train(
        judged(task.context(checkpoints=task.store()), [0.1, 0.2]), validate=True, epochs=3
    )
    assert weights(resumed) == weights(undisturbed)


def test_a_finished_training_is_resumed_at_once(task: Task):
    first = task.train(task.context(checkpoints=task.store()))
    context = task.context(checkpoints=task.store())
    assert weights(task.train(context)) == weights(first)
    assert context.events == []


def test_checkpoints_hold_tensors_and_numbers_only(task: Task):
    task.train(task.context(checkpoints=task.store()), validate=True)
    newest = task.store().latest()
    assert newest is not None
    assert sorted(file.name for file in newest.iterdir()) == [
        "best.safetensors", "network.safetensors", "optimizer.safetensors", "state.json",
    ]  # fmt: skip


@pytest.fixture
def still(tmp_path: Path) -> Task:
    """Return a task whose networks have no dropout."""
    return sentiment(tmp_path, dropout=0.0)


@pytest.mark.parametrize("file", ["network.safetensors", "optimizer.safetensors", "best.safetensors", "state.json"])
def test_a_checkpoint_that_is_a_pickle_of_code_is_not_run(file: str, still: Task, tmp_path: Path):
    """C03: states are read as tensors and JSON only."""
    import pickle

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    still.train(still.context(checkpoints=still.store()))
    newest = still.store().latest()
    assert newest is not None
    (newest / file).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArtefactError, match=f"^the checkpoint '{newest}' (does not fit this|is no state of) train"):
        still.train(still.context(checkpoints=still.store()))
    assert not (tmp_path / "exploded").exists()


def test_a_checkpoint_of_another_network_is_refused(still: Task):
    """C06: tensors that do not fit are never loaded."""
    still.train(still.context(checkpoints=still.store()))
    newest = still.store().latest()
    other = sentiment(still.folder / "other", type(LABELS)(("a", "b", "c")))
    with pytest.raises(ArtefactError, match=f"^the checkpoint '{newest}' does not fit this training: "):
        other.train(other.context(checkpoints=still.store()))


@pytest.mark.gpu
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


@pytest.mark.gpu
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


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("checkpoint")] == []


def store_of(task: Task, *, fails_from: int = 10**9, gate: threading.Event | None = None) -> Any:
    """Return a run's own store, which a full disk refuses from a step on, and which waits at a gate."""

    class Store(CheckpointStore):
        def save(self, step: int, write: Callable[[Path], None]) -> None:
            if gate is not None:
                assert gate.wait(20)
            if step >= fails_from:
                raise ResourceError("the disk is full")
            super().save(step, write)

    return Store(task.folder / "checkpoints", task.context().warn, lambda step, path: None)


def stored_job(task: Task, store: Any, **options: Any) -> Any:
    return job_of(task, context=task.context(checkpoints=store), **{"batch_size": 6, "epochs": 2} | options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"validate": True, "early_stopping": 2, "epochs": 4},
        {"precision": "bf16"},
        {"lanes": 2, "micro_batch": 2},
        {"micro_batch": 2, "epochs": 1.5},
        {"schedule": "cosine", "class_weight": "balanced", "label_smoothing": 0.1, "checkpoint_every": 2},
        {"optimizer": "bertadam", "schedule": "one_cycle", "layer_decay": 0.8},
        {"unfreeze": 0.7, "epochs": 3},
        {"unfreeze": 0.5, "optimizer": "bertadam", "lanes": 2, "layer_decay": 0.9},
    ],
    ids=[
        "dropout", "early stopping", "bf16", "two lanes", "accumulation and half an epoch", "every second step",
        "bertadam, one cycle, decay by layer", "unfreezing", "unfreezing in two lanes with bertadam",
    ],
)
def test_a_training_that_is_stopped_after_each_step_has_the_same_bits(options: dict[str, Any], task: Task) -> None:
    """T04, T05: whatever decides the next step is in the state, wherever the training is stopped."""
    context = task.context()
    whole = task.train(context, **options)
    told: list[Any] = []
    tries, resumed = 0, None
    while resumed is None:
        again = task.context(checkpoints=store_of(task), stop_after=1)
        try:
            resumed = task.train(again, **options)
        except Stopped:
            tries += 1
        told += [event for event in again.events if isinstance(event, EpochFinished)]
    assert tries >= 4
    assert weights(resumed.network) == weights(whole.network)
    epochs = [event for event in context.events if isinstance(event, EpochFinished)]
    assert [(e.epoch, e.loss, e.validation, e.best) for e in told] == [
        (e.epoch, e.loss, e.validation, e.best) for e in epochs
    ]


def test_training_does_not_depend_on_its_checkpoints(task: Task) -> None:
    without = task.train()
    heard = task.context(checkpoints=store_of(task))
    assert weights(task.train(heard, checkpoint_every=1).network) == weights(without.network)


def test_what_is_saved_is_the_step_at_which_it_was_asked_for_while_training_goes_on(task: Task) -> None:
    gate = threading.Event()
    job = stored_job(task, store_of(task, gate=gate))
    before, generator = weights(job.network), torch.get_rng_state()
    with Saver(job, State(6)) as saver:
        saver.save(State(6, step=3))
        with torch.no_grad():
            for parameter in job.network.parameters():
                parameter.zero_()
        torch.rand(5)
        gate.set()
    newest = job.context.checkpoints.latest()
    assert newest.name == "ck-000003"
    assert {name: tensor.tolist() for name, tensor in load_file(newest / checkpoint.NETWORK).items()} == before
    assert checkpoint.resume(job, newest).step == 3
    assert weights(job.network) == before
    assert torch.equal(torch.get_rng_state(), generator)


def test_a_save_that_fails_ends_the_training_with_its_reason_and_the_last_good_one_is_kept(task: Task) -> None:
    """C04: a full disk ends the training at the next step, not at the end and not in silence."""
    context = task.context(checkpoints=store_of(task, fails_from=2))
    with pytest.raises(ResourceError, match=r"^the disk is full$"):
        task.train(context, epochs=500, checkpoint_every=1)
    assert store_of(task).latest().name == "ck-000001"
    assert len([event for event in context.events if isinstance(event, EpochFinished)]) < 400


def test_a_last_save_that_fails_is_an_error_too(task: Task) -> None:
    """C04: the save at the end of a training is waited for."""
    with pytest.raises(ResourceError, match=r"^the disk is full$"):
        task.train(task.context(checkpoints=store_of(task, fails_from=6)), checkpoint_every=6)
    with pytest.raises(ResourceError, match=r"^the disk is full$"):
        task.train(task.context(checkpoints=store_of(task, fails_from=1), stop_after=1))


def test_a_save_that_fails_beside_another_error_is_a_warning(task: Task) -> None:
    gate = threading.Event()
    job = stored_job(task, store_of(task, fails_from=1, gate=gate))

    def training() -> None:
        with Saver(job, State(6)) as saver:
            saver.save(State(6, step=3))
            gate.set()
            raise ValueError("something else")

    with pytest.raises(ValueError, match="something else"):
        training()
    assert job.context.warnings == ["the last checkpoint was not saved: the disk is full"]


def test_a_second_ctrl_c_waits_for_no_more_than_the_file_that_is_being_written(task: Task) -> None:
    """T04: twice: stop now; what was being saved leaves nothing half-written."""
    gate = threading.Event()
    job = stored_job(task, store_of(task, gate=gate))

    def training() -> None:
        with Saver(job, State(6)) as saver:
            saver.save(State(6, step=3))
            threading.Timer(0.2, gate.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training()
    assert list((task.folder / "checkpoints").iterdir()) == []
    assert job.context.warnings == []


def saved_at(task: Task, every: float, until: int, *, cost: float = 0.0, judged: bool = False, **options: Any) -> Any:
    """Return the times at which a training is saved whose steps take `every` seconds, and whose saves cost `cost`."""
    now = 0.0
    job = stored_job(task, store_of(task), epochs=10_000, batch_size=1, **options)
    saver, times = Saver(job, State(6), clock=lambda: now), []
    for step in range(1, until + 1):
        now = step * every
        saver._held = cost - saver._busy
        saver.save_if_due(State(6, step=step, judged=step if judged else 0))
        saver.wait()
        if saver._at == now:
            times.append(now)
    saver._thread.shutdown()
    return times


def test_saving_takes_about_a_hundredth_of_the_time_and_five_minutes_at_most_are_lost(task: Task) -> None:
    assert saved_at(task, 5, 12, cost=0.2) == [20, 40, 60]
    assert saved_at(task, 5, 12, cost=0.0) == [10, 20, 30, 40, 50, 60]
    assert saved_at(task, 5, 150, cost=60) == pytest.approx([300, 600], abs=5)
    assert saved_at(task, 5, 4, cost=0.2, judged=True) == [5, 10, 15, 20]
    assert saved_at(task, 5, 8, cost=0.5, judged=True) == [10, 20, 30, 40]
    assert saved_at(task, 5, 8, cost=60, checkpoint_every=3) == [15, 30]


def test_nested_states_survive_without_pickle() -> None:
    tensors: dict[str, torch.Tensor] = {}
    group = {"betas": (0.9, 0.999), "lr": 1e-5, "x": None}
    value = {"state": {0: {"step": torch.tensor(3.0)}, 7: {}}, "groups": [group]}
    told = flatten(value, tensors, "optimizer")
    assert list(tensors) == ["optimizer.state.0.step"]
    assert unflatten(json.loads(json.dumps(told)), tensors) == value
    with pytest.raises(TypeError, match=r"^optimizer\.f is a complex, which a checkpoint cannot hold$"):
        flatten({"f": 1j}, tensors, "optimizer")
