"""Integrated gradients: exact where the answer is known in closed form, and complete for every network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch import explain
from textclf_torch.trainer import TorchModel

from tests.plugins import letters
from tests.plugins.sentiment import LABELS, TEXTS
from tests.plugins.torch.jobs import CPU, spread
from tests.tiny import (
    tiny_bert,
    tiny_distilbert,
    tiny_electra,
    tiny_gpt2,
    tiny_modernbert,
    tiny_roberta,
    tiny_xlm_roberta,
)
from textclf import Engine, Labels, PluginError, Texts, Tokens
from textclf.data.explanation import account
from textclf.testing import LocalContext

MAKERS = [tiny_bert, tiny_distilbert, tiny_electra, tiny_gpt2, tiny_modernbert, tiny_roberta, tiny_xlm_roberta]


class Sum(torch.nn.Module):
    """Sums what a function makes of embeddings, and weighs the sum."""

    def __init__(self, labels: int, make: Any) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(8, 3)
        self.head = torch.nn.Linear(3, labels)
        self._make = make

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.table

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self._make(self.table(ids)).sum(1))
        return logits


class Numbers:
    """An encoder of tokens that are given; the first place of each row is a special token, 7, and 0 pads."""

    layouts = ("padded",)

    def __init__(self, blank: int | None) -> None:
        self.blank = blank

    def seen(self, tokens: Tokens, rows: np.ndarray) -> np.ndarray:
        longest = int(tokens.lengths()[rows].max())
        return np.array([[-1, *(p if p < len(tokens.row(row)) else -1 for p in range(longest))] for row in rows])

    def collate(self, tokens: Tokens, rows: np.ndarray, layout: str, device: torch.device) -> dict[str, torch.Tensor]:
        longest = int(tokens.lengths()[rows].max())
        padded = [[7, *tokens.row(row), *[0] * (longest - len(tokens.row(row)))] for row in rows]
        return {"ids": torch.tensor(padded, dtype=torch.long)}


def summing(labels: Labels, make: Any = lambda states: states, blank: int | None = 5) -> tuple[TorchModel, Tokens]:
    torch.manual_seed(3)
    model = TorchModel(Sum(len(labels), make), Numbers(blank), labels, CPU)  # type: ignore[arg-type]
    return model, Tokens(np.array([1, 2, 1, 3, 4], np.uint16), np.array([0, 4, 5], np.int64))


@pytest.mark.parametrize("blank", [5, None])
@pytest.mark.parametrize(
    "labels",
    [Labels(("no", "yes")), Labels(("a", "b", "c")), Labels(("x", "y"), "multi-label")],
    ids=["two", "three", "several"],
)
def test_a_linear_network_is_explained_exactly(blank: int | None, labels: Labels, tmp_path: Path):
    model, tokens = summing(labels, blank=blank)
    found = model.attributions(tokens, np.array([1, 0]), LocalContext(tmp_path))
    table, head = (part.weight.detach().double().numpy() for part in (model.network.table, model.network.head))
    for row, (told, column) in enumerate(zip(found, (1, 0), strict=True)):
        others = np.delete(head, column, axis=0).mean(axis=0)
        weights = head[column] - (0 if labels.task == "multi-label" else others)
        base = np.zeros(3) if blank is None else table[blank]
        expected = [(table[token] - base) @ weights for token in tokens.row(row)]
        assert told.values == pytest.approx(expected, abs=1e-6)
        assert told.units.tolist() == list(range(len(expected)))
        assert told.logit - told.baseline == pytest.approx(sum(expected), abs=1e-5)


def test_a_product_of_two_words_is_shared_as_the_integral_says(tmp_path: Path):
    # Of the product of two numbers, from nothing to both, integrated gradients give each a half.
    model, _ = summing(Labels(("no", "yes")), lambda states: states[:, 1:].prod(1, keepdim=True), blank=None)
    tokens = Tokens(np.array([1, 2], np.uint16), np.array([0, 2], np.int64))
    (told,) = model.attributions(tokens, np.array([1]), LocalContext(tmp_path))
    whole = told.logit - told.baseline
    assert told.values == pytest.approx([whole / 2, whole / 2], abs=1e-6)
    assert abs(whole) > 0.01


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("pairs", [False, True])
def test_contributions_add_up_for_every_kind_of_network_packed_or_not(maker: Any, pairs: bool, tmp_path: Path):
    encoder, _, network = spread(tmp_path, maker)
    context = LocalContext(tmp_path)
    model = TorchModel(network, encoder, LABELS, CPU)
    texts = Texts(["a great film , not bad at all", "", "awful"], ["the plot", "", ""] if pairs else None)
    tokens = encoder.encode(texts, context)
    before = model.scores(tokens, context)
    assert model.opaque() == ""
    found = model.attributions(tokens, np.array([1, 1, 0]), context)
    for told, length, scores, column in zip(found, tokens.lengths(), before, (1, 1, 0), strict=True):
        difference = told.logit - told.baseline
        assert abs(told.values.sum() - difference) <= explain.TOLERANCE * max(abs(difference), 1)
        assert len(told.units) == length
        assert told.logit == pytest.approx(float(np.log(scores[column] / scores[1 - column])), abs=1e-4)
    assert np.abs(found[0].values).max() > 1e-3
    # Nothing of it stays in the network.
    assert (model.scores(tokens, context) == before).all()
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_the_line_is_halved_where_it_is_steep_and_what_is_too_steep_is_said(tmp_path: Path):
    context, labels = LocalContext(tmp_path), Labels(("no", "yes"))
    errors = {}
    for steepness in (3, 300, 1e6):
        model, tokens = summing(labels, lambda states, s=steepness: torch.tanh(s * (states - 0.05)), blank=None)
        (told, _) = model.attributions(tokens, np.array([1, 1]), context)
        errors[steepness] = abs(told.logit - told.baseline - told.values.sum())
    assert max(errors[3], errors[300]) <= explain.TOLERANCE * 2
    assert errors[1e6] > 0.01


def classifier(tmp_path: Path, **trainer: Any) -> Any:
    """Return a classifier of a tiny network that read the texts of `sentiment`, from its saved folder."""
    tiny_bert(tmp_path / "bert", TEXTS)
    engine = Engine(runs=tmp_path / "runs")
    recipe = {
        "name": "tiny", "clean": ["nfc"], "encoder": {"use": "transformer", "checkpoint": "bert", "max_length": 12},
        "trainer": {"use": "torch", "device": "cpu", "epochs": 1, "batch_size": 8, **trainer}, "metrics": ["accuracy"],
        "report": {"draws": 100},
    }  # fmt: skip
    done = engine.run(recipe, ([f"{text} {i}" for i in range(4) for text in TEXTS], ["no", "yes"] * (2 * len(TEXTS))))
    return engine.load(done.folder)


def test_a_saved_network_explains_words_and_marks_what_it_did_not_read(tmp_path: Path):
    (told,) = classifier(tmp_path).explain(["UNGOOD e\u0301 film " + "bad " * 20], "yes")
    assert (told.method, told.of) == ("gradients", "log-odds of 'yes'")
    assert told.against == "a text of blank tokens"
    # Of twelve tokens two are special; "ungood" is of six pieces.
    assert [word.text for word in told.words if word.seen] == ["UNGOOD", "\u00e9", "film", "bad", "bad"]
    assert {word.contribution for word in told.words if not word.seen} == {0.0}
    assert told.tolerable
    assert abs(told.error) <= 0.002


def test_without_captum_the_way_to_get_it_is_said_and_occlusion_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    model = classifier(tmp_path)
    with pytest.raises(PluginError) as error:
        model.explain(["good"])
    assert str(error.value) == (
        "explaining a network by gradients needs captum, which is not installed; pip install 'captum>=0.9', "
        "or use the method occlusion"
    )
    assert model.explain(["good"], method="occlusion")[0].method == "occlusion"


def test_a_network_without_embeddings_of_tokens_is_opaque_and_says_why():
    encoder = letters.Letters(letters.LettersOptions())
    network = encoder.build_network(LABELS)
    model = TorchModel(network, encoder, LABELS, CPU)
    assert model.opaque() == "the network, a Mean, has no embeddings of its tokens"
    network.get_input_embeddings = lambda: network.table
    assert model.opaque() == "Letters does not say where its tokens are in a padded batch (seen)"


class Seen(letters.Letters):
    def seen(self, tokens: Tokens, rows: Any) -> Any:
        return np.zeros((len(rows), 1), np.int64)


def test_a_network_whose_encoder_names_no_blank_token_is_opaque_too():
    encoder = Seen(letters.LettersOptions())
    network = encoder.build_network(LABELS)
    network.get_input_embeddings = lambda: network.table
    model = TorchModel(network, encoder, LABELS, CPU)
    assert model.opaque() == "Seen does not say which token stands for no word (blank)"


def test_where_a_token_encoder_lacks_something_the_explanation_says_why_words_were_deleted(tmp_path: Path):
    made = Engine(plugins=[letters], runs=tmp_path / "runs", cache=tmp_path / "cache")
    recipe = {"encoder": "letters", "trainer": {"use": "torch", "device": "cpu", "epochs": 1}}
    model = made.run(recipe, data=(TEXTS * 2, ["yes", "no"] * len(TEXTS))).classifier
    (told,) = model.explain("good film")
    encoder = f"encoder 'letters' (plugin {letters.__name__})"
    why = f"{encoder} does not return where in a text its features come from (spans)"
    assert (told.method, told.why, told.to_json()["why"]) == ("occlusion", why, why)
    assert f"occlusion: the change when a word is deleted, since {why}; log-odds of " in account(told)
    (asked,) = model.explain("good film", method="occlusion")
    assert asked.why == ""
