"""A training that diverges: seen at once, or, where steps do not wait for the device, at the next look.

The CPU's fused AdamW heeds the same flag as that of a GPU, so looks that wait are tried here too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import divergence, loop
from textclf_torch import state as states
from textclf_torch.job import Job

from tests.plugins.sentiment import TEXTS, Task, sentiment
from textclf import DivergedError, EpochFinished, Labels
from textclf.testing import FolderCheckpoints

SEVERAL = Labels(("film", "good"), "multi-label")
TRUTH = np.array([["film" in text, "good" in text] for text in TEXTS])


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
    good = task.train(epochs=1, schedule="constant", warmup=0)
    poisoned = Poison(task.encoder, 3)
    context = task.context()
    with pytest.raises(DivergedError) as error:
        task.train(context, encoder=poisoned, epochs=3, schedule="constant", warmup=0)
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


def test_weights_are_cast_once_a_step_whatever_the_number_of_micro_batches(task: Task, monkeypatch: Any):
    """T07: and the gradient of bf16 micro-batches is that of each one cast by itself."""
    jobs: list[Job] = []
    monkeypatch.setattr(loop, "run", lambda job, state: jobs.append(job))
    task.train(precision="bf16")
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
