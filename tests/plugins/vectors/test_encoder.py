"""The encoder `vectors` with the trainer `torch`: it learns, resumes to the same bits, is saved whole and explained."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import explain
from textclf_torch.options import TorchOptions
from textclf_torch.trainer import TorchModel, TorchTrainer
from textclf_vectors import restore

from tests.plugins.vectors.test_network import KINDS
from tests.plugins.word_vectors import LABELS, MATRIX, TEXTS, TRUTH, WORDS, encoded, encoder, write_text
from textclf import Encoded, Engine, Labels, Split, Stopped, Texts
from textclf.plugin.discovery import discover
from textclf.testing import FolderCheckpoints, LocalContext

# Without dropout a few steps suffice.
SURE = {"dropout": 0.0, "vector_dropout": 0.0}
NETWORKS = ["mean", "lstm", "gru", "cnn"]


def _train(made, data: Encoded, context: LocalContext, labels: Labels = LABELS, **options: Any):
    given = {"epochs": 20, "batch_size": 6, "learning_rate": 0.03, "device": "cpu", **options}
    return TorchTrainer(TorchOptions(**given)).train(made, data, None, labels, context)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("trained", [True, False], ids=["trained vectors", "frozen vectors"])
def test_every_network_learns_and_its_saved_model_gives_the_same_scores(network, trained, tmp_path):
    made = encoder(tmp_path, network=network, train_vectors=trained, pooling="attention", **SURE)
    data, context = encoded(made, tmp_path), LocalContext(tmp_path, seed=7)
    model = _train(made, data, context, epochs=20 if trained else 80)
    scores = model.scores(data.features, context)
    assert (scores.argmax(axis=1) == TRUTH).all()
    folder = tmp_path / "model"
    folder.mkdir()
    made.save(folder)
    model.save(folder)
    (tmp_path / "vectors.txt").unlink()  # the model needs the file no more
    again = restore(made._options, folder)
    loaded = TorchTrainer(TorchOptions()).restore(folder, again, LABELS)
    assert np.abs(loaded.scores(again.encode(Texts(TEXTS), context), context) - scores).max() <= 1e-6
    words = model.network.vectors.words.weight.detach().numpy()
    assert (words == MATRIX).all() == (not trained)


@pytest.mark.parametrize("task", ["pairs", "several labels"])
def test_pairs_and_several_labels_are_learnt(task, tmp_path):
    made, context = encoder(tmp_path, **SURE), LocalContext(tmp_path, seed=7)
    if task == "pairs":
        # The first text says nothing: the label is in the second.
        data, labels, truth = encoded(made, tmp_path, Texts(TEXTS[:1] * 18, TEXTS)), LABELS, TRUTH
    else:
        truth = np.stack([TRUTH, ["film" in text for text in TEXTS], ["not" in text for text in TEXTS]], axis=1) > 0
        data, labels = encoded(made, tmp_path, truth=truth), Labels(("a", "b", "c"), "multi-label")
    scores = _train(made, data, context, labels).scores(data.features, context)
    assert ((scores.argmax(axis=1) == truth) if task == "pairs" else ((scores > 0.5) == truth)).all()


def _weights(model) -> dict[str, torch.Tensor]:
    return model.network.state_dict()


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_training_that_was_stopped_and_resumed_ends_with_the_same_bits(network, lanes, tmp_path):
    """C01: dropout, order and gradients by row come to the same bits, with one lane and with two."""
    made = encoder(tmp_path, network=network, train_vectors=True, layers=2)
    data, options = encoded(made, tmp_path), {"epochs": 4, "lanes": lanes, "checkpoint_every": 2}
    whole = _train(made, data, LocalContext(tmp_path, seed=7), **options)
    store = FolderCheckpoints(tmp_path / "store")
    with pytest.raises(Stopped):
        _train(made, data, LocalContext(tmp_path, seed=7, checkpoints=store, stop_after=5), **options)
    resumed = _train(made, data, LocalContext(tmp_path, seed=7, checkpoints=store), **options)
    for name, tensor in _weights(whole).items():
        assert torch.equal(tensor, _weights(resumed)[name]), name


@pytest.mark.parametrize("network", NETWORKS)
def test_two_lanes_share_a_network_and_learn_as_one_does(network, tmp_path):
    made = encoder(tmp_path, network=network, train_vectors=True, **SURE)
    data, found = encoded(made, tmp_path), []
    for lanes in (1, 2):
        context = LocalContext(tmp_path, seed=7)
        found.append(_weights(_train(made, data, context, epochs=2, lanes=lanes, learning_rate=1e-3)))
        (chosen,) = [event.choice for event in context.events if getattr(event, "what", "") == "lanes"]
        assert chosen == lanes
    for name, tensor in found[0].items():
        assert torch.allclose(tensor, found[1][name], atol=2e-4), name


def test_gradients_of_a_large_table_come_by_row_and_are_those_of_the_whole_table(tmp_path):
    from textclf_torch.cpu.embeddings import gradients_by_row

    made = encoder(tmp_path, train_vectors=True)
    network = made.build_network(LABELS).eval()
    batch = made.collate(encoded(made, tmp_path).features, np.arange(9), "packed", torch.device("cpu"))
    network(**batch).square().sum().backward()
    plain = network.vectors.words.weight.grad.clone()
    network.zero_grad()
    with gradients_by_row(network, large=1) as rows:
        network(**batch).square().sum().backward()
        assert rows.touched(network.vectors.words.weight) is not None
    assert torch.allclose(network.vectors.words.weight.grad, plain, atol=1e-6)
    assert (network.vectors.own.weight.grad[0] == 0).all()


def test_words_that_training_never_saw_are_read_by_their_vectors(tmp_path):
    words, matrix = [*WORDS, "splendid", "awful"], np.concatenate([MATRIX, MATRIX[3:5] * 1.02])
    write_text(tmp_path / "more.txt", words, matrix)
    made = encoder(tmp_path, vectors=str(tmp_path / "more.txt"), network="mean", **SURE)
    context = LocalContext(tmp_path, seed=7)
    model = _train(made, encoded(made, tmp_path), context)
    tokens = made.encode(Texts(["the film was splendid", "the film was awful"]), context)
    assert model.scores(tokens, context).argmax(axis=1).tolist() == [1, 0]


def test_a_run_from_a_recipe_is_whole_judged_and_loads_again(tmp_path):
    write_text(tmp_path / "vectors.vec", header=True)
    recipe = {
        "name": "tiny",
        "split": {"test": 0.34, "validation": 0.2, "group": False},
        "encoder": {"use": "vectors", "vectors": "vectors.vec", "hidden": 8, "train_vectors": True, **SURE},
        "trainer": {"use": "torch", "device": "cpu", "epochs": 40, "learning_rate": 0.02, "batch_size": 8,
                    "early_stopping": 40},
        "report": {"draws": 100},
    }  # fmt: skip
    truth = [LABELS.names[i] for i in TRUTH]
    engine = Engine(runs=tmp_path / "runs")
    result = engine.run(recipe, data=(TEXTS * 4, truth * 4))
    assert result.report.metrics["accuracy"].value == 1.0
    (tmp_path / "vectors.vec").unlink()
    (tmp_path / "elsewhere").mkdir()
    moved = result.folder.rename(tmp_path / "elsewhere" / "run")
    loaded = engine.load(moved)
    assert [p.label for p in loaded.predict(["it was good", "it was bad"])] == ["positive", "negative"]
    config = json.loads((moved / "model" / "config.json").read_text("utf-8"))
    assert config["id2label"] == {"0": "negative", "1": "positive"}
    (explained,) = loaded.explain("the xyzzy story was good", method="gradients")
    assert [word.text for word in explained.words if word.seen] == ["the", "story", "was", "good"]
    (nothing,) = loaded.explain("xyzzy", method="gradients")
    assert nothing.idle == "no word of this text is known to the model and read by it"
    assert abs(explained.error) <= 0.01 * max(1.0, abs(explained.logit - explained.baseline))


RECIPES = ["imdb_glove_bilstm", "reviews_glove_bilstm", "reviews_glove_cnn", "reviews_glove_mean"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_of_the_plugin_is_sound(name):
    plan = Engine().plan(name)
    assert plan.encoder.component.name == "vectors"
    assert name in discover().recipes


def test_real_glove_vectors_learn_the_movie_sentences(tmp_path):
    """A few hundred sentences and a second of training are better than chance by far."""
    overrides = ["split.limit=1500", "trainer.epochs=4", "encoder.vocabulary=2000", "report.draws=100"]
    result = Engine(runs=tmp_path / "runs").run("reviews_glove_mean", overrides=overrides)
    assert result.report.metrics["accuracy"].value > 0.58


def test_an_encoder_fitted_on_strange_texts_alone_still_runs(tmp_path):
    texts = ["", " ", "zzz", "\x00", "漢字", "good"]
    made, context = encoder(tmp_path, network="lstm"), LocalContext(tmp_path)
    made.fit(Split(Texts(texts), np.array([0, 1, 0, 1, 0, 1])), context)
    data = Encoded(made.encode(Texts(texts), context), np.array([0, 1, 0, 1, 0, 1]))
    assert np.isfinite(_train(made, data, context, epochs=2).scores(data.features, context)).all()


EXPLAINED = ["the film was not very good", "", "unheard of , but good " * 8]


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_add_up_for_every_network(kind, tmp_path):
    made = encoder(tmp_path, **KINDS[kind])
    torch.manual_seed(3)
    network = made.build_network(LABELS)
    with torch.no_grad():
        for parameter in network.head.parameters():
            # Fresh weights are so small that nothing would be seen.
            parameter.mul_(6.0)
    trained = [parameter.requires_grad for parameter in network.parameters()]
    model, context = TorchModel(network, made, LABELS, torch.device("cpu")), LocalContext(tmp_path)
    tokens = made.encode(Texts(EXPLAINED), context)
    before = model.scores(tokens, context)
    assert model.opaque() == ""
    for told, length in zip(model.attributions(tokens, np.array([1, 0, 1]), context), tokens.lengths(), strict=True):
        difference = told.logit - told.baseline
        assert abs(told.values.sum() - difference) <= explain.TOLERANCE * max(abs(difference), 1)
        assert len(told.units) == length
        assert length == 0 or np.abs(told.values).max() > 1e-3
    assert (model.scores(tokens, context) == before).all()
    assert [parameter.requires_grad for parameter in network.parameters()] == trained


@pytest.mark.gpu
def test_a_recurrent_network_is_explained_on_cuda_as_on_the_cpu(tmp_path):
    # cuDNN has no backward pass for a network that is not trained.
    made = encoder(tmp_path, **KINDS["lstm, max"])
    network, context = made.build_network(LABELS).eval(), LocalContext(tmp_path)
    tokens, found = made.encode(Texts(EXPLAINED[:1]), context), []
    for device in map(torch.device, ("cpu", "cuda")):
        model = TorchModel(network.to(device), made, LABELS, device)
        found.append(model.attributions(tokens, np.array([1]), context)[0].values)
    assert np.allclose(*found, atol=1e-4)
    assert torch.backends.cudnn.enabled
