"""The self-check of a saved model whose features have a layout of a plugin's own, or whose scores are random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.toys import engine, plugin, recipe
from textclf import Traits
from textclf.data.dataset import Texts
from textclf.model.self_check import check_saved_model
from textclf.testing.toy import LinearOptions, ToyLinear, ToyModel, WordsOptions

DIFFERS = "the saved model does not score as the trained one: "
WORDS = WordsOptions()


class Split:
    """An encoder whose features are words, in lists or in an array of texts."""

    def __init__(self, array: bool) -> None:
        self.array = array

    def fit(self, train: Any, context: Any) -> None:
        """Learn nothing."""

    def encode(self, texts: Texts, context: Any) -> Any:
        words = [text.split() for text in texts.first]
        return np.array([each[:2] for each in words]) if self.array else words

    def fingerprint(self) -> str:
        return "split"

    def save(self, folder: Path) -> None:
        """Keep nothing."""


class Counting:
    """A trainer of models that ask how often a word stood under each label."""

    def __init__(self, forgets: bool) -> None:
        self.forgets = forgets

    def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> Any:
        counts: dict[str, list[float]] = {}
        for words, label in zip(train.features, train.labels, strict=True):
            for word in words:
                counts.setdefault(str(word), [1.0] * len(labels))[label] += 1
        return Counted(counts, len(labels))

    def restore(self, folder: Path, encoder: Any, labels: Any) -> Any:
        counts = {} if self.forgets else json.loads((folder / "trainer" / "counts.json").read_text())
        return Counted(counts, len(labels))


class Counted:
    def __init__(self, counts: dict[str, list[float]], labels: int) -> None:
        self.counts, self.labels = counts, labels

    def scores(self, features: Any, context: Any) -> Any:
        rows = [np.prod([self.counts.get(str(word), [1.0] * self.labels) for word in words], 0) for words in features]
        return (np.array(rows) / np.sum(rows, 1, keepdims=True)).astype(np.float32)

    def save(self, folder: Path) -> None:
        (folder / "trainer").mkdir()
        (folder / "trainer" / "counts.json").write_text(json.dumps(self.counts))


@pytest.mark.parametrize("array", [True, False])
@pytest.mark.parametrize("forgets", [True, False])
def test_features_of_a_plugins_own_layout_are_not_compared_and_the_scores_are(array: bool, forgets: bool):
    words = plugin("encoder", "split", lambda: Split(array), traits=Traits(makes="words"))
    reads = Traits(reads=frozenset({"words"}))
    own = engine(words, plugin("trainer", "own", lambda: Counting(forgets), traits=reads))
    for _ in range(2):  # the second time through the cache
        warnings = own.run(recipe(encoder="split", trainer="own")).report.warnings
        assert len(warnings) == forgets
        for warning in warnings:
            start = (
                "trainer 'own' (plugin textclf_own): the model that restore() returns gives a test text the score 0.500"
            )
            assert warning.startswith(f"{DIFFERS}{start} ")


def noisy(deviation: float, sign: int = 1) -> Any:
    """Return a trainer whose models add noise to their scores; restoring changes the sign of their weights."""
    random = np.random.default_rng(0)

    class Noisy(ToyModel):
        def scores(self, features: Any, context: Any) -> Any:
            scores = super().scores(features, context)[:, :1] + random.normal(0, deviation, (len(features), 1))
            first = np.clip(scores, 0, 1).astype(np.float32)
            return np.hstack([first, 1 - first])

    class Making(ToyLinear):
        def train(self, *given: Any) -> Any:
            return Noisy(super().train(*given).weights * 0.1, "single-label")

        def restore(self, folder: Path, encoder: Any, labels: Any) -> Any:
            return Noisy(super().restore(folder, encoder, labels).weights * sign, "single-label")

    return plugin("trainer", "own", lambda: Making(LinearOptions(epochs=25)))


@pytest.mark.parametrize("deviation", [0.01, 0.2])
def test_a_model_with_random_scores_is_allowed_their_spread(deviation: float):
    done = engine(noisy(deviation)).run(recipe(trainer="own"))
    assert done.report.warnings == ()
    for _ in range(25):
        texts = Texts(["a good text", "a bad text", "good", "bad"])
        model = done.folder / "model"
        assert check_saved_model(done.classifier, model, lambda folder: done.classifier, texts) == ""


def test_a_random_model_that_is_restored_wrongly_is_still_found():
    [warning] = engine(noisy(0.01, sign=-1)).run(recipe(trainer="own")).report.warnings
    assert warning.startswith(f"{DIFFERS}trainer 'own' (plugin textclf_own): the model that restore() returns ")
