"""What the trainer `torch` does on an NVIDIA GPU: run with `pytest -m gpu`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import divergence, loop
from textclf_torch import state as states

from tests.plugins.sentiment import TEXTS, Task, sentiment
from tests.plugins.torch.jobs import job_on_gpu
from textclf import DivergedError, EpochFinished, Labels
from textclf.testing import FolderCheckpoints

SEVERAL = Labels(("film", "good"), "multi-label")
TRUTH = np.array([["film" in text, "good" in text] for text in TEXTS])


@pytest.mark.gpu
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


class Poison:
    """An encoder whose networks' logits are infinite from some forward pass on, where the objective has no answer."""

    def __init__(self, encoder: Any, passes: int) -> None:
        self._encoder, self.left = encoder, passes
        self.networks: list[torch.nn.Module] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def build_network(self, labels: Any) -> torch.nn.Module:
        network = self._encoder.build_network(labels)
        self.networks.append(network)

        def hook(module: Any, arguments: Any, output: Any) -> Any:
            self.left -= module.training
            output.logits = output.logits if self.left >= 0 else output.logits * torch.nan
            return output

        network.register_forward_hook(hook)
        return network


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path, SEVERAL, TRUTH, dropout=0.0)


@pytest.fixture(params=["at once", "at a look"])
def when(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "at a look":
        monkeypatch.setattr(divergence, "can_wait", lambda job: True)
        monkeypatch.setattr(divergence, "SECONDS", 3600.0)
    return request.param


def test_the_first_bad_step_is_named_and_neither_it_nor_a_later_one_is_taken(when: str, task: Task):
    """T01: the weights are those of the steps before, whenever the host looks."""
    # A host looks later only on a GPU, where there are no compiled kernels.
    good = task.train(epochs=1, schedule="constant", warmup=0, kernels="torch")
    poisoned = Poison(task.encoder, 3)
    context = task.context()
    with pytest.raises(DivergedError) as error:
        task.train(context, encoder=poisoned, epochs=3, schedule="constant", warmup=0, kernels="torch")
    assert str(error.value).startswith("training diverged at step 4 of 9: the loss is nan at training rows ")
    assert str(error.value).count(",") == 5
    for name, tensor in poisoned.networks[0].state_dict().items():
        assert torch.equal(tensor, good.network.state_dict()[name]), name
    assert [event.epoch for event in context.events if isinstance(event, EpochFinished)] == [1]
    assert poisoned.left == (-1 if when == "at once" else -3)


def test_nothing_is_saved_of_a_training_that_diverged(when: str, task: Task):
    """T01: the last good checkpoint is kept, and none is of a bad step."""
    store = task.store()
    with pytest.raises(DivergedError, match="at step 5 of 6"):
        task.train(task.context(checkpoints=store), encoder=Poison(task.encoder, 4), checkpoint_every=2)
    newest = FolderCheckpoints(task.folder / "checkpoints").latest()
    assert newest is not None
    assert newest.name == "ck-000004"


def test_an_infinite_gradient_is_noticed_at_a_look_too(when: str, task: Task):
    """T01: an infinite gradient under a finite loss is not stepped along either."""

    class Steep(Poison):
        def build_network(self, labels: Any) -> torch.nn.Module:
            network = super().build_network(labels)
            network.classifier.bias.register_hook(lambda gradient: gradient * torch.inf)
            return network

    with pytest.raises(DivergedError, match="step 1 of 6: the gradient is not finite at training rows"):
        task.train(encoder=Steep(task.encoder, 99))


def test_looks_that_wait_change_no_bit_of_a_training(task: Task, monkeypatch: pytest.MonkeyPatch):
    def trained() -> tuple[list[float], dict[str, torch.Tensor]]:
        context = task.context()
        model = task.train(context, epochs=2)
        return [e.loss for e in context.events if isinstance(e, EpochFinished)], model.network.state_dict()

    losses, weights = trained()
    monkeypatch.setattr(divergence, "can_wait", lambda job: True)
    monkeypatch.setattr(divergence, "STEPS", 2)
    again, same = trained()
    assert again == losses
    assert all(torch.equal(same[name], weights[name]) for name in weights)


def test_the_host_looks_after_so_many_steps_or_so_much_time(task: Task, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(divergence, "can_wait", lambda job: True)
    now = [0.0]
    looked: list[int] = []
    watch = divergence.DivergenceMonitor(clock=lambda: now[0])
    rows, state = list(range(3)), states.State(6)
    job = _Job(torch.optim.AdamW([torch.zeros(1, requires_grad=True)]))
    for step in range(divergence.STEPS + 2):
        now[0] += 0.31 if step == 1 else 0.0
        state.step = step
        watch.record(job, state, torch.ones(3), torch.tensor(1.0), rows)  # type: ignore[arg-type]
        looked.append(state.loss_rows // 3)
    assert looked == [0, 2, *([2] * (divergence.STEPS - 1)), divergence.STEPS + 2]


class _Job:
    """What a watch asks of a job."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer, self.scaler = optimizer, torch.amp.GradScaler("cpu", enabled=False)
