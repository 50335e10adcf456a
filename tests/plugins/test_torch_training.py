"""What the trainer `torch` learns, keeps and promises about its arithmetic."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import batches, loop, precision
from textclf_torch.cpu import embeddings
from textclf_torch.job import Job
from textclf_torch.loss import LabelObjective, balanced_weights
from textclf_torch.optimizer import rate
from textclf_torch.options import TorchOptions
from textclf_torch.trainer import TorchTrainer, make_job

from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, Task, sentiment
from textclf import Chosen, Context, EpochFinished, Judgement, Labels, Stopped, Texts

CPU = torch.device("cpu")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


def weights(model: Any) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in model.network.state_dict().items()}


def test_a_tiny_network_learns_a_tiny_task(task: Task):
    context = task.context()
    model = task.train(context, epochs=12)
    scores = model.scores(task.encoded.features, context)
    assert (scores.argmax(axis=1) == TRUTH).all()
    assert scores.dtype == np.float32
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_several_labels_are_learnt_with_a_sigmoid_each(tmp_path: Path):
    truth = np.array([["good" in text, "film" in text] for text in TEXTS])
    task = sentiment(tmp_path, Labels(("good", "film"), "multi-label"), truth, dropout=0.0)
    model = task.train(epochs=40)
    assert ((model.scores(task.encoded.features, task.context()) >= 0.5) == truth).mean() > 0.9


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(task: Task):
    other = task.context()
    other.seed = 8
    first, second, third = task.train(), task.train(), task.train(other)
    assert weights(first) == weights(second)
    assert weights(first) != weights(third)


def test_training_leaves_torchs_generator_and_settings_as_they_were(task: Task):
    torch.manual_seed(3)
    before, precision = torch.get_rng_state(), torch.get_float32_matmul_precision()
    task.train()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_float32_matmul_precision() == precision


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


def job_of(task: Task, **options: Any) -> Job:
    torch.manual_seed(0)
    network = task.encoder.build_network(task.labels)
    with torch.no_grad():
        # A fresh head answers the same for all texts; gradients of balanced labels would cancel, but for rounding.
        network.classifier.weight.mul_(100)
    given = TorchOptions(**{"batch_size": 18, "device": "cpu"} | options)
    numbers = precision.Arithmetic()
    context = task.context()
    return make_job(given, task.encoder, network, task.encoded, None, task.labels, numbers, CPU, "packed", context)


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


def test_gradients_by_row_are_the_gradients_of_the_whole_table(task: Task):
    """T07: adding to the rows a batch touched leaves the gradient as it is, padding without any."""
    job = job_of(sentiment(task.folder / "still", dropout=0.0), label_smoothing=0.1)
    whole = gradients(job, 5)
    with embeddings.gradients_by_row(job.network, large=0):
        assert "forward" in vars(job.network.bert.embeddings.word_embeddings)
        by_row = gradients(job, 5)
    assert "forward" not in vars(job.network.bert.embeddings.word_embeddings)
    assert float((by_row - whole).norm() / whole.norm()) <= 1e-6


def test_scores_do_not_depend_on_neighbours_order_or_padding(task: Task):
    """T08: a text's scores are its own."""
    context, model = task.context(), task.train()
    together = model.scores(task.encoded.features, context)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = model.scores(task.encoded.features.take(order), context)
    long = task.encoder.encode(Texts(["good " * 60, *TEXTS]), context)
    alone = [model.scores(task.encoded.features.take(np.array([row])), context)[0] for row in range(len(TEXTS))]
    assert np.abs(shuffled - together[order]).max() <= 1e-5
    assert np.abs(model.scores(long, context)[1:] - together).max() <= 1e-5
    assert np.abs(np.stack(alone) - together).max() <= 1e-5


def test_renaming_labels_changes_nothing(tmp_path: Path):
    """T09: names of labels in the same order leave weights and scores as they are."""
    first, second = sentiment(tmp_path / "a"), sentiment(tmp_path / "b", Labels(("zzz", "aaa"), positive="aaa"))
    assert weights(first.train()) == weights(second.train())


def test_a_model_is_saved_and_restored_to_the_same_scores(task: Task, tmp_path: Path):
    context, model = task.context(), task.train()
    folder = tmp_path / "model"
    folder.mkdir()
    task.encoder.save(folder)
    model.save(folder)
    again = TorchTrainer(TorchOptions(device="cuda")).restore(folder, task.encoder, LABELS)
    tokens = task.encoded.features
    assert again.scores(tokens, context).tolist() == model.scores(tokens, context).tolist()


def test_the_learning_rate_rises_and_falls():
    assert [rate(step, 10, 0.2, "linear") for step in (0, 1, 2, 6, 9)] == [0.5, 1.0, 1.0, 0.5, 0.125]
    assert [round(rate(step, 10, 0, "cosine"), 3) for step in (0, 5, 9)] == [1.0, 0.5, 0.024]
    assert [rate(step, 4, 0.5, "constant") for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


def test_micro_batches_hold_every_row_once_and_pad_little():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 80, 100)
    rows = rng.permutation(100)[:32]
    groups = batches.micro_batches(rows, lengths, 10, 64)
    assert sorted(np.concatenate(groups)) == sorted(rows)
    assert max(map(len, groups)) <= 10
    padded = sum(len(group) * lengths[group].max() for group in groups)
    assert padded < 1.25 * lengths[rows].sum() < 32 * lengths[rows].max()


def test_an_epoch_is_a_random_order_that_follows_seed_and_epoch():
    assert sorted(batches.order(50, 0, 1)) == list(range(50))
    drawn = batches.order(50, 3, 1)
    assert batches.order(50, 3, 1) is drawn  # once an epoch, not once a step
    batches.order.cache_clear()
    assert batches.order(50, 3, 1).tolist() == drawn.tolist()
    assert batches.order(50, 3, 1).tolist() != batches.order(50, 4, 1).tolist()


def test_balanced_weights_make_labels_count_the_same():
    truth = np.array([0, 0, 0, 1])
    weights = balanced_weights(LABELS, truth)
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])
    objective = LabelObjective(None, None, torch.from_numpy(truth), weights)  # type: ignore[arg-type]
    losses, weight = objective.losses(torch.zeros(4, 2), np.arange(4)), objective.total_weight(np.arange(4), 0, CPU)
    assert float(losses.sum() / weight) == pytest.approx(math.log(2))


def test_biases_and_norms_do_not_decay(task: Task):
    decaying, free = job_of(task, weight_decay=0.3).optimizer.param_groups
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decaying["params"]} == {2}
    assert {p.ndim for p in free["params"]} == {1}


def test_the_choice_of_arithmetic_is_measured_and_told(task: Task):
    context = task.context()
    network = torch.nn.Linear(512, 512)
    chosen = precision.choose("auto", "auto", network, CPU, context)
    assert chosen.precision in ("float32", "bf16")
    [event] = [event for event in context.events if isinstance(event, Chosen)]
    assert event.why.startswith("speed of 512x512 products: highest 1.0, medium ")


def test_bf16_trains_and_scores_in_float32(task: Task):
    model = task.train(precision="bf16", epochs=12)
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    assert (model.scores(task.encoded.features, task.context()).argmax(axis=1) == TRUTH).all()


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
