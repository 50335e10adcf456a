"""How the state of a training is saved: when, in the background, to the same bits, and never failing in silence."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from textclf_torch import checkpoint, precision
from textclf_torch.checkpoint import Saver, flatten, unflatten
from textclf_torch.options import TorchOptions
from textclf_torch.state import State
from textclf_torch.trainer import make_job

from tests.plugins.sentiment import Task, sentiment
from textclf import EpochFinished, ResourceError, Stopped
from textclf.run.checkpoints import CheckpointStore

CPU = torch.device("cpu")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("checkpoint")] == []


def weights(network: torch.nn.Module) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in network.state_dict().items()}


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


def job_of(task: Task, store: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    network = task.encoder.build_network(task.labels)
    given = TorchOptions(**{"batch_size": 6, "device": "cpu", "epochs": 2} | options)
    numbers = precision.Arithmetic()
    context = task.context(checkpoints=store)
    return make_job(given, task.encoder, network, task.encoded, None, task.labels, numbers, CPU, "packed", context)


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
    job = job_of(task, store_of(task, gate=gate))
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
    job = job_of(task, store_of(task, fails_from=1, gate=gate))

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
    job = job_of(task, store_of(task, gate=gate))

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
    job = job_of(task, store_of(task), epochs=10_000, batch_size=1, **options)
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
