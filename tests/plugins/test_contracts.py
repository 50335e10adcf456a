"""Every built-in plugin and each of its components keeps its contract, checked as any author's would be."""

from __future__ import annotations

import csv
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.plugins.finished import finished, predictions
from tests.plugins.word_vectors import write_text
from tests.tiny import tiny_bert, tiny_gpt2
from textclf import Dataset, Task
from textclf.plugin.discovery import discover
from textclf.testing import LocalContext, StandIns, check_component, require
from textclf.testing.checks import examine_plugin
from textclf.testing.toy import TextsOptions, ToyTexts

OFFERS = [offer for offer in discover().registrations if offer.plugin.distribution == "textclf-engine"]
MODULES = sorted({offer.plugin.module for offer in OFFERS})
TRAINED = {"device": "cpu", "epochs": 6, "batch_size": 16, "learning_rate": 2e-3}


def learnable(task: Task, pairs: bool) -> Dataset:
    """Return texts that a network of few weights can learn in seconds."""
    options = TextsOptions(size=600, test=30, labels=2, multi_label=task == "multi-label", pairs=pairs)
    return ToyTexts(options).load(LocalContext(Path()))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A BERT of few weights that knows the words of the stand-in dataset; beside it a GPT-2 and word vectors."""
    # Not the number at each text's end: a network that knows them all learns texts by heart.
    texts = [text.rpartition(" ")[0] for text in learnable("single-label", False).train.texts.first]
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny_gpt2(folder / "gpt2", texts)
    words = sorted({word for text in texts for word in text.lower().split()})
    write_text(folder / "vectors.txt", words, np.random.default_rng(0).normal(size=(len(words), 8)))
    return tiny_bert(folder / "bert", texts, layers=1, hidden=64)


@pytest.fixture(scope="module")
def film_reviews(tmp_path_factory) -> Path:
    """A CSV with the columns of the IMDB file."""
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    texts = learnable("single-label", False).train.texts.first
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("review", "label"), *((text, i % 2) for i, text in enumerate(texts))])
    return path


def _options(name: str, checkpoint: Path, film_reviews: Path) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = {
        "imdb": {"path": str(film_reviews), "rows": 0},
        "files": {"path": str(film_reviews)},
        "bert": {"checkpoint": str(checkpoint), "max_length": 48, "dropout": 0.0},
        "gpt2": {"checkpoint": str(checkpoint.parent / "gpt2"), "max_length": 48},
        "frozen": {"checkpoint": str(checkpoint), "max_length": 48},
        "transformer": {"checkpoint": str(checkpoint), "max_length": 48},
        "vectors": {"vectors": str(checkpoint.parent / "vectors.txt"), "hidden": 8, "max_length": 48, "added": 5},
        "torch": TRAINED,
    }
    return known.get(name, {})


@pytest.mark.parametrize("module", MODULES)
def test_a_built_in_plugin_keeps_its_contract(module):
    require(examine_plugin(import_module(module)).findings())


def test_a_built_in_output_writes_of_runs_of_both_tasks():
    (html,) = [offer for offer in OFFERS if offer.kind == "output"]
    findings = check_component(html.component, html.kind)
    require(findings)
    assert [finding.state for finding in findings if finding.clause.id == "output.tasks"] == ["passed"]


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: f"{offer.kind}-{offer.component.name}")
def test_a_built_in_component_keeps_its_contract(offer, checkpoint, film_reviews):
    stand_ins = StandIns(finished=finished(predictions()) if offer.kind == "output" else None)
    if "tokens" in offer.component.traits_of(offer.component.options.model_construct()).reads:
        (bert,) = [o.component for o in OFFERS if o.component.name == "bert"]
        stand_ins = StandIns(
            dataset=learnable, encoder=bert, encoder_options=_options("bert", checkpoint, film_reviews)
        )
    options = _options(offer.component.name, checkpoint, film_reviews)
    findings = check_component(offer.component, offer.kind, options, stand_ins)
    require(findings)
    own = [finding for finding in findings if finding.clause.id.startswith(offer.kind)]
    assert any(finding.state == "passed" for finding in own), "no clause of its kind applies"
