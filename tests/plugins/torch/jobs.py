"""Jobs, networks and encoders for the tests of `textclf_torch`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from textclf_torch import loop
from textclf_torch.distributed import team
from textclf_torch.distributed.team import ProcessGroup
from textclf_torch.job import Job
from textclf_torch.options import TorchOptions
from textclf_torch.precision import Arithmetic
from textclf_torch.trainer import make_job
from textclf_transformers import TransformerOptions, build

from tests.plugins.letters import Letters, LettersOptions
from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, Task
from tests.tiny import tiny_bert
from textclf import Encoded, Labels, Split, Texts
from textclf.testing import LocalContext

CPU = torch.device("cpu")


def job_of(
    task: Task,
    *,
    context: LocalContext | None = None,
    precision: Any = "float32",
    lanes: int = 1,
    kernels: Any = "torch",
    layout: Any = "packed",
    scale: float = 100,
    dtype: torch.dtype = torch.float32,
    frozen: tuple[str, ...] = (),
    **options: Any,
) -> Job:
    """Return a job on the CPU, with batches of 18 texts, for a network that the seed 0 draws.

    scale: of the head. A fresh head gives all texts nearly the same scores, and gradients of balanced labels cancel.
    """
    torch.manual_seed(0)
    network = task.encoder.build_network(task.labels).to(dtype)
    for name in frozen:
        network.get_parameter(name).requires_grad_(False)
    if scale != 1:
        with torch.no_grad():
            network.classifier.weight.mul_(scale)
    return make_job(
        TorchOptions(**{"batch_size": 18, "device": "cpu"} | options), task.encoder, network, task.encoded, None,
        task.labels, Arithmetic(precision, lanes=lanes, kernels=kernels), CPU, layout, context or task.context(),
    )  # fmt: skip


def job_on_gpu(task: Task, **options: Any) -> Job:
    """Return the job that the trainer would run on a GPU."""
    found: list[Job] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "run", lambda job, state: found.append(job))
        task.train(device="cuda", **options)
    return found[0]


def letters_task(folder: Path, labels: Labels = LABELS, truth: Any = TRUTH) -> Task:
    encoder = Letters(LettersOptions(dropout=0.0))
    return Task(folder, encoder, Encoded(encoder.encode(Texts(TEXTS), None), truth), labels)


def job_of_letters(task: Task, **options: Any) -> Job:
    return job_of(task, scale=1, layout="padded", **{"learning_rate": 3e-3} | options)


def together(jobs: list[Job], folder: Path, act: Callable[[Job], Any]) -> list[Any]:
    """Run each job as one rank of a process group, in a thread of its own, and return what `act` returned or raised.

    A group is an object and not a setting of the process, so threads can be ranks.
    """
    found: list[Any] = [None] * len(jobs)
    folder.mkdir(exist_ok=True)

    def one(rank: int) -> None:
        group = team.connect(folder, rank, len(jobs), CPU)
        try:
            found[rank] = act(replace(jobs[rank], team=ProcessGroup(rank, len(jobs), group, CPU)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            found[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def spread(folder: Path, maker: Any = tiny_bert) -> tuple[Any, Any, torch.nn.Module]:
    """Return an encoder, tokens and a network whose scores differ from text to text."""
    encoder = build(TransformerOptions(checkpoint=str(maker(folder / "wide", TEXTS))))
    context = LocalContext(folder)
    encoder.fit(Split(Texts(TEXTS), TRUTH), context)
    torch.manual_seed(1)
    network = encoder.build_network(LABELS)
    with torch.no_grad():
        for parameter in network.parameters():
            # Fresh weights are so small that all texts get nearly the same scores.
            parameter.mul_(6.0 if parameter.ndim > 1 else 1.0)
    return encoder, encoder.encode(Texts(TEXTS), context), network


def weights(trained: Any) -> dict[str, list[float]]:
    """Return the weights of a network or a model, to the bit."""
    network = getattr(trained, "network", trained)
    return {name: tensor.tolist() for name, tensor in network.state_dict().items()}


class Changed:
    """A task's encoder whose networks return `answer(ids of each text, logits)` for their logits."""

    def __init__(self, encoder: Any, answer: Any) -> None:
        self._encoder, self._answer = encoder, answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def build_network(self, labels: Any) -> torch.nn.Module:
        network = self._encoder.build_network(labels)

        def hook(module: Any, args: Any, given: dict[str, torch.Tensor], output: Any) -> Any:
            output.logits = self._answer(texts_of(given), output.logits)
            return output

        network.register_forward_hook(hook, with_kwargs=True)
        return network


def texts_of(batch: dict[str, Any]) -> list[torch.Tensor]:
    """Return the ids of each text of a packed or a padded batch."""
    lengths = batch.get("text_lengths")
    ids = batch["input_ids"]
    return list(ids) if lengths is None else list(ids[0, : sum(lengths)].split(list(lengths)))


def with_memory_for(most: int) -> Callable[[list[torch.Tensor], torch.Tensor], torch.Tensor]:
    def answer(ids: list[torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        if len(ids) > most:
            raise torch.OutOfMemoryError(f"no memory for {len(ids)} rows")
        return logits

    return answer
