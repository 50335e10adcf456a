"""What `trainer.devices` does to whole runs: the same result, the same bits when resumed, no process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch.distributed.leader import devices_of

from tests.plugins import letters
from tests.plugins.sentiment import TEXTS, TRUTH
from textclf import Component, Engine, PluginError, RecipeError, ResourceError, Result, Traits

DATA = (TEXTS * 3, ["positive" if truth else "negative" for truth in TRUTH] * 3)
two_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have the plugin `letters` installed, for this process and for those it starts."""
    folder = tmp_path_factory.mktemp("site")
    letters.install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield


def recipe(dropout: float = 0.3, fails: bool = False, **trainer: Any) -> dict[str, Any]:
    options = {"epochs": 12, "batch_size": 8, "learning_rate": 1e-2, "checkpoint_every": 5}
    return {
        "name": "team", "encoder": {"use": "letters", "dropout": dropout, "fails": fails}, "split": {"test": 0.2},
        "trainer": {"use": "torch", "device": "cpu", "devices": 2, **options, **trainer},
        "metrics": ["accuracy"], "report": {"draws": 100},
    }  # fmt: skip


def left(result: Result) -> dict[str, bytes]:
    names = ("model/letters", "scores.npy", "predictions.csv")
    return {name: (result.folder / name).read_bytes() for name in names}


def weights(result: Result) -> dict[str, torch.Tensor]:
    return dict(result.classifier.model.network.state_dict())  # type: ignore[attr-defined]


def children(parent: int) -> list[int]:
    """Return the processes that a process has started."""
    told = [path.read_text().split() for path in Path(f"/proc/{parent}/task").glob("*/children")]
    return [int(child) for line in told for child in line]


def test_two_processes_end_with_the_weights_and_predictions_of_one(installed: None):
    events: list[Any] = []
    one = Engine().run(recipe(devices=1, dropout=0.0, class_weight="balanced"), DATA)
    two = Engine(observers=[events.append]).run(recipe(dropout=0.0, class_weight="balanced"), DATA)
    for name, tensor in weights(one).items():
        assert torch.allclose(weights(two)[name], tensor, atol=1e-4), name
    assert np.allclose(np.load(one.folder / "scores.npy"), np.load(two.folder / "scores.npy"), atol=1e-4)
    chosen = {event.what: event.choice for event in events if type(event).__name__ == "Chosen"}
    assert chosen["processes"] == "2, of 1 threads"
    assert children(os.getpid()) == []
    assert not list(two.folder.rglob("team-*"))


def kill_worker(event: Any) -> None:
    """Send the run's worker, as checkpoints are saved, two signals that it must ignore, and one that it cannot."""
    step = event.step if type(event).__name__ == "CheckpointSaved" else 0
    for number in {25: [signal.SIGINT, signal.SIGTERM], 75: [signal.SIGKILL]}.get(step, []):
        os.kill(children(os.getpid())[0], number)


def test_a_worker_that_is_killed_ends_the_run_which_resumes_to_the_same_bits(installed: None):
    """T06, T02: whatever the system kills a process for, the run says so, and nothing is lost, layers frozen or not."""
    told = recipe(epochs=30, checkpoint_every=25, unfreeze=0.6, layer_decay=0.9)
    whole = Engine(runs="whole").run(told, DATA)
    with pytest.raises(ResourceError) as error:
        Engine(observers=[kill_worker]).run(told, DATA)
    assert str(error.value) == (
        "process 2 of 2 was killed by SIGKILL, as the system does where memory runs out; continue with `textclf resume`"
    )
    assert children(os.getpid()) == []
    assert left(Engine().resume("team", DATA)) == left(whole)


def test_a_worker_that_fails_ends_the_run_with_the_last_line_of_its_error(installed: None):
    with pytest.raises(ResourceError) as error:
        Engine().run(recipe(fails=True), DATA)
    assert str(error.value) == (
        "process 2 of 2 ended with status 1: RuntimeError: letters cannot be read here; continue with `textclf resume`"
    )
    assert children(os.getpid()) == []


@pytest.mark.slow
def test_no_worker_outlives_a_run_that_is_killed(installed: None):
    """C01: a run that dies by SIGKILL leaves no process behind that would hold memory, GPUs or files."""
    code = f"from {__name__} import *; Engine().run(recipe(epochs=10_000, checkpoint_every=25), DATA)"
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], env=found) as run:
        try:
            wait_for(lambda: any(Path("runs").glob("team/*/checkpoints/ck-*")))
            [worker] = children(run.pid)
        finally:
            run.kill()
    wait_for(lambda: not Path(f"/proc/{worker}").exists())


def wait_for(come: Any, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)


def test_a_plugin_that_is_not_installed_cannot_be_found_by_other_processes():
    mine = types.ModuleType("textclf_mine")
    traits = Traits(makes="tokens")
    offered = Component(name="mine", build=letters.Letters, options=letters.LettersOptions, traits=traits)
    mine.textclf_encoders = lambda: [offered]  # type: ignore[attr-defined]
    with pytest.raises(PluginError) as error:
        Engine(plugins=[mine]).run(recipe() | {"encoder": "mine"}, DATA)
    assert str(error.value) == (
        "trainer.devices is 2, but plugin textclf_mine, which offers encoder 'mine', is not installed, so other "
        "processes cannot find it; install it, or set trainer.devices to 1"
    )


def test_a_file_that_is_a_plugin_cannot_be_found_by_other_processes(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text("""
from tests.plugins.letters import Letters, LettersOptions
from textclf import Component, Traits

def textclf_encoders():
    return [Component(name="mine", build=Letters, options=LettersOptions, traits=Traits(makes="tokens"))]
""")
    with pytest.raises(PluginError) as error:
        Engine(plugins=[file]).run(recipe() | {"encoder": "mine"}, DATA)
    assert str(error.value) == (
        "trainer.devices is 2, but plugin mine.py, which offers encoder 'mine', is not installed, so other processes "
        "cannot find it; install it, or set trainer.devices to 1"
    )


def test_what_several_processes_cannot_do_is_said_by_the_plan(installed: None):
    """R08: senseless numbers of processes are refused before anything runs."""
    def said(**trainer: Any) -> tuple[str, int]:
        with pytest.raises(RecipeError) as error:
            Engine().plan(recipe(**trainer), DATA)
        return error.value.problems[0].message, error.value.exit_code

    assert said(device="mps") == ("there is one Apple GPU, so there is nothing to share batches with; set it to 1", 2)
    assert said(devices=9, device="auto") == ("9 processes cannot share batches of 8 texts; lower it", 2)
    cores = len(os.sched_getaffinity(0))
    many = f"64 processes are too many for the cores here, {cores}; lower it"
    assert said(devices=64, batch_size=64) == (many, 7)
    assert said(devices=0)[1] == 2


def test_more_gpus_than_there_are_is_a_resource_error_that_counts_them():
    """T03: as with no GPU at all."""
    there = torch.cuda.device_count()
    gpus = "1 GPU" if there == 1 else f"{there} GPUs"
    with pytest.raises(ResourceError) as error:
        devices_of(torch.device("cuda"), 64)
    assert str(error.value) == f"trainer.devices is 64, but PyTorch finds {gpus}; lower it"


@pytest.mark.gpu
@two_gpus
def test_two_gpus_end_with_the_weights_of_one(installed: None):
    told = {"dropout": 0.0, "device": "cuda", "precision": "float32"}
    one, two = (weights(Engine().run(recipe(devices=devices, **told), DATA)) for devices in (1, 2))
    for name, tensor in one.items():
        assert torch.allclose(two[name].cpu(), tensor.cpu(), atol=1e-3), name


@pytest.mark.gpu
@two_gpus
def test_a_worker_that_is_killed_on_a_gpu_does_not_leave_the_others_waiting(installed: None):
    """T06: NCCL alone would wait for it until its time-out."""
    began = time.monotonic()
    with pytest.raises(ResourceError, match=r"^process 2 of 2 was killed by SIGKILL"):
        Engine(observers=[kill_worker]).run(recipe(epochs=3000, checkpoint_every=25, device="cuda"), DATA)
    assert time.monotonic() - began < 120
