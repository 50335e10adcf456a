"""What the trainer `torch` learns, saves and promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from textclf_torch.options import TorchOptions
from textclf_torch.trainer import TorchTrainer

from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, Task, sentiment
from tests.plugins.torch.jobs import weights
from textclf import (
    ArtefactError,
    Labels,
    Texts,
)

INJECTIONS = ["a good [SEP] film", "[CLS] the plot [PAD] was bad [SEP]", "[MASK] [UNK]", "a film"]
SEVERAL = Labels(("good", "film"), "multi-label")
HITS = np.array([["good" in text, "film" in text] for text in TEXTS])


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return sentiment(tmp_path)


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


def test_bf16_trains_and_scores_in_float32(task: Task):
    model = task.train(precision="bf16", epochs=12)
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    assert (model.scores(task.encoded.features, task.context()).argmax(axis=1) == TRUTH).all()


@pytest.fixture
def still(tmp_path: Path) -> Task:
    """Return a task whose networks have no dropout."""
    return sentiment(tmp_path, dropout=0.0)


def test_a_model_without_its_trainers_file_is_refused(still: Task, tmp_path: Path):
    with pytest.raises(ArtefactError) as error:
        TorchTrainer(TorchOptions()).restore(tmp_path, still.encoder, LABELS)
    assert str(error.value) == (
        f"'{tmp_path / 'trainer' / 'trainer.json'}' is missing or broken, so the model cannot be restored"
    )


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_a_tiny_network_learns_a_tiny_task_on_cuda(precision, tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    model = task.train(context, epochs=12, device="cuda", precision=precision)
    scores = model.scores(task.encoded.features, context)
    assert (scores.argmax(axis=1) == TRUTH).all()
    assert next(model.network.parameters()).device.type == "cuda"


@pytest.mark.gpu
def test_bertadam_one_cycle_decay_by_layer_and_unfreezing_learn_it_on_cuda_too(tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    model = task.train(
        context, epochs=12, device="cuda", precision="fp16", optimizer="bertadam", learning_rate=1e-3,
        schedule="one_cycle", warmup=0.3, layer_decay=0.9, unfreeze=0.3,
    )  # fmt: skip
    assert (model.scores(task.encoded.features, context).argmax(axis=1) == TRUTH).all()


@pytest.mark.gpu
def test_a_model_trained_on_cuda_scores_the_same_on_the_cpu(tmp_path):
    task = sentiment(tmp_path)
    context = task.context()
    model = task.train(context, epochs=4, device="cuda")
    here = model.scores(task.encoded.features, context)
    model.network.cpu()
    model.device = next(model.network.parameters()).device
    assert np.abs(here - model.scores(task.encoded.features, context)).max() <= 1e-4


def pipeline_scores(folder: Path, texts: Texts, labels: Labels) -> np.ndarray:
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    rows = []
    for row, text in enumerate(texts.first):
        given = text if texts.second is None else {"text": text, "text_pair": texts.second[row]}
        answer = classify(given)
        scores = {entry["label"]: entry["score"] for entry in (answer[0] if isinstance(answer[0], list) else answer)}
        rows.append([scores[name] for name in labels.names])
    return np.array(rows)


def saved(task: Task, folder: Path):
    model = task.train(epochs=30)
    folder.mkdir()
    task.encoder.save(folder)
    model.save(folder)
    return model


@pytest.mark.parametrize(
    ("labels", "truth", "pairs"),
    [(LABELS, TRUTH, False), (SEVERAL, HITS, False), (LABELS, TRUTH, True)],
    ids=["single-label", "multi-label", "pairs"],
)
def test_transformers_reads_a_saved_model_as_we_do(labels: Labels, truth: np.ndarray, pairs: bool, tmp_path: Path):
    task = sentiment(tmp_path, labels, truth, pairs=pairs)
    model = saved(task, tmp_path / "model")
    texts = [*TEXTS[:4], *INJECTIONS]
    given = Texts(texts, texts[::-1] if pairs else None)
    ours = model.scores(task.encoder.encode(given, task.context()), task.context())
    theirs = pipeline_scores(tmp_path / "model", given, labels)
    assert np.abs(ours - theirs).max() <= 1e-5
    assert ours.std(axis=0).max() > 1e-3
