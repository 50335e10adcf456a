"""What the trainer `torch` does when the machine, the numbers or a checkpoint fail it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from textclf_torch import runtime
from textclf_torch.options import TorchOptions
from textclf_torch.trainer import TorchTrainer

from tests.plugins.sentiment import LABELS, Task, sentiment
from textclf import ArtefactError, DivergedError, ResourceError, Stopped, Texts

CPU = torch.device("cpu")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path, dropout=0.0)


class Changed:
    """The task's encoder, whose networks answer through `answer(ids of each text, network's own answer)`."""

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
    return list(batch["input_ids"]) if lengths is None else list(batch["input_ids"][0].split(list(lengths)))


def with_memory_for(most: int):
    def answer(ids: list[torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        if len(ids) > most:
            raise torch.OutOfMemoryError(f"no memory for {len(ids)} rows")
        return logits

    return answer


def test_a_loss_that_is_no_number_stops_before_the_step_and_names_the_rows(task: Task):
    """T01: the step is not taken, the rows are named, the last checkpoint stays the last."""
    poison = task.encoder.encode(Texts(["the film was bad"]), task.context()).ids.tolist()
    poisoned = [row for row in range(18) if task.encoded.features.row(row).tolist() == poison]
    assert poisoned == [9]

    steps = []

    def answer(ids: list[torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        steps.append(len(ids))
        if sum(steps) <= 18:
            return logits
        bad = torch.tensor([row[1 : len(poison) + 1].tolist() == poison for row in ids])
        return torch.where(bad[:, None], torch.nan, logits)

    context = task.context(checkpoints=task.store())
    with pytest.raises(DivergedError) as error:
        task.train(context, encoder=Changed(task.encoder, answer), checkpoint_every=1)
    step = int(str(error.value).split("step ")[1].split()[0])
    assert str(error.value) == (
        f"training diverged at step {step} of 6: the loss is nan at training rows 9 (counted from 0); the step was not "
        "taken; lower trainer.learning_rate (now 0.003) or set trainer.precision to float32"
    )
    newest = task.store().latest()
    assert newest is not None
    assert newest.name == f"ck-{step - 1:06d}"
    assert 4 <= step <= 6


def test_weights_that_overflow_are_a_divergence_and_not_a_model(task: Task):
    """T01: an infinite gradient is not stepped along either."""
    def answer(ids: list[torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        logits.register_hook(lambda gradient: gradient * torch.inf)
        return logits

    with pytest.raises(DivergedError, match="the gradient is not finite at training rows"):
        task.train(encoder=Changed(task.encoder, answer))


def test_without_enough_memory_the_micro_batch_is_halved_and_the_training_is_the_same(task: Task):
    """T02: out of memory halves the micro-batch, keeps the effective batch, and warns."""
    context = task.context()
    small = task.train(context, encoder=Changed(task.encoder, with_memory_for(2)))
    assert context.warnings == [
        "not enough memory on cpu for 6 texts at once: trainer.micro_batch is now 3, the batch of 6 stays",
        "not enough memory on cpu for 3 texts at once: trainer.micro_batch is now 2, the batch of 6 stays",
    ]
    whole = task.train().network.state_dict()
    for name, tensor in small.network.state_dict().items():
        assert torch.allclose(tensor, whole[name], atol=1e-4), name


def test_a_training_that_was_halved_is_resumed_in_halves_to_the_same_bits(task: Task):
    """T02: what memory suffices for is part of the state, and is not tried anew."""
    limited = Changed(task.encoder, with_memory_for(2))
    whole = task.train(encoder=limited)
    with pytest.raises(Stopped):
        task.train(task.context(checkpoints=task.store(), stop_after=2), encoder=limited)
    context = task.context(checkpoints=task.store())
    resumed = task.train(context, encoder=limited)
    assert context.warnings == []
    for name, tensor in resumed.network.state_dict().items():
        assert torch.equal(tensor, whole.network.state_dict()[name]), name


def test_memory_that_never_suffices_is_a_resource_error(task: Task):
    """T02: after a few halvings the run ends and says what to do."""
    with pytest.raises(ResourceError) as error:
        task.train(encoder=Changed(task.encoder, with_memory_for(0)))
    assert str(error.value) == (
        "not enough memory on cpu for 1 texts at once; lower encoder.max_length or take a smaller checkpoint"
    )


def test_scoring_halves_its_batches_too(task: Task):
    """T02: scores need not fit into memory at once."""
    whole = task.train()
    small = task.train(encoder=Changed(task.encoder, lambda ids, logits: logits))
    small.network.register_forward_hook(
        lambda module, args, given, output: with_memory_for(4)(given["input_ids"], output), with_kwargs=True
    )
    context, tokens = task.context(), task.encoded.features
    assert abs(small.scores(tokens, context) - whole.scores(tokens, context)).max() <= 1e-5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_without_cuda_is_refused_with_the_way_out(task: Task):
    """T03: `device: cuda` where there is none."""
    with pytest.raises(ResourceError) as error:
        task.train(device="cuda")
    why = "finds no NVIDIA GPU" if torch.version.cuda else "is a build without CUDA"
    assert str(error.value) == (
        f"trainer.device is 'cuda', but PyTorch {torch.__version__} {why}; set it to auto or cpu"
    )
    assert runtime.choose_device("auto") == CPU


@pytest.mark.parametrize("file", ["network.safetensors", "optimizer.safetensors", "best.safetensors", "state.json"])
def test_a_checkpoint_that_is_a_pickle_of_code_is_not_run(file: str, task: Task, tmp_path: Path):
    """C03: states are read as tensors and JSON only."""
    import pickle

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    task.train(task.context(checkpoints=task.store()))
    newest = task.store().latest()
    assert newest is not None
    (newest / file).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArtefactError, match=f"^the checkpoint '{newest}' (does not fit this|is no state of) train"):
        task.train(task.context(checkpoints=task.store()))
    assert not (tmp_path / "exploded").exists()


def test_a_checkpoint_of_another_network_is_refused(task: Task):
    """C06: tensors that do not fit are never loaded."""
    task.train(task.context(checkpoints=task.store()))
    newest = task.store().latest()
    other = sentiment(task.folder / "other", type(LABELS)(("a", "b", "c")))
    with pytest.raises(ArtefactError, match=f"^the checkpoint '{newest}' does not fit this training: "):
        other.train(other.context(checkpoints=task.store()))


def test_a_model_without_its_trainers_file_is_refused(task: Task, tmp_path: Path):
    with pytest.raises(ArtefactError) as error:
        TorchTrainer(TorchOptions()).restore(tmp_path, task.encoder, LABELS)
    assert str(error.value) == (
        f"'{tmp_path / 'trainer' / 'trainer.json'}' is missing or broken, so the model cannot be restored"
    )
