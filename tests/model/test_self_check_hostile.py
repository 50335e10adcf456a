"""The saved model is doubted fairly: also where features are of a plugin's own layout, or answers are random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.places import placeless
from tests.toys import engine, plugin, recipe
from textclf import DownloadError, Traits
from textclf.data.dataset import Texts
from textclf.model import self_check
from textclf.testing.toy import LinearOptions, ToyLinear, ToyModel, ToyWords, WordsOptions

SENTENCE = "the saved model does not answer as the one that was trained, whose figures these are: "
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
def test_features_of_a_layout_of_a_plugins_own_are_passed_over_and_the_trainer_is_doubted(array: bool, forgets: bool):
    words = plugin("encoder", "split", lambda: Split(array), traits=Traits(makes="words"))
    reads = Traits(reads=frozenset({"words"}))
    own = engine(words, plugin("trainer", "own", lambda: Counting(forgets), traits=reads))
    for _ in range(2):  # the second time through the cache
        warnings = own.run(recipe(encoder="split", trainer="own")).report.warnings
        assert len(warnings) == forgets
        for warning in warnings:
            said = "trainer 'own' (plugin textclf_own): restore() gives a model that scores otherwise than the one that"
            assert warning.startswith(f"{SENTENCE}{said} was saved: 0.500 in place of ")


def sharing(times: float) -> Any:
    """Return a trainer of models that all share their weights, which restoring multiplies."""

    class Held:
        weights: Any = None

    class One:
        def __init__(self, made: ToyModel, times: float) -> None:
            self.task = made.task
            Held.weights = made.weights * times

        def scores(self, features: Any, context: Any) -> Any:
            return ToyModel(Held.weights, self.task).scores(features, context)

        def save(self, folder: Path) -> None:
            ToyModel(Held.weights, self.task).save(folder)

    class Making(ToyLinear):
        def train(self, *given: Any) -> Any:
            return One(super().train(*given), 1)

        def restore(self, folder: Path, encoder: Any, labels: Any) -> Any:
            return One(super().restore(folder, encoder, labels), times)

    return plugin("trainer", "own", lambda: Making(LinearOptions(epochs=25)))


def test_a_restore_that_changes_the_trained_model_too_is_named():
    [warning] = engine(sharing(0)).run(recipe(trainer="own")).report.warnings
    start = "trainer 'own' (plugin textclf_own): restore() changes the model that was trained, too, which then answers"
    assert warning.startswith(f"{start} 0.500 in place of ")
    assert placeless(warning).endswith(
        " of a test text; keep what it knows in the object that it returns, not in its module or class"
    )
    assert engine(sharing(1)).run(recipe(trainer="own")).report.warnings == ()


def test_so_is_that_of_an_encoder():
    signs = [1]

    class Only(ToyWords):
        def encode(self, texts: Any, context: Any) -> Any:
            return super().encode(texts, context) * signs[-1]

    def again(options: Any, folder: Path) -> ToyWords:
        signs.append(-1)
        return Only(WORDS, np.load(folder / "toy_words.npy", allow_pickle=False))

    own = plugin("encoder", "own", lambda: Only(WORDS), restore=again)
    [warning] = engine(own).run(recipe(encoder="own")).report.warnings
    start = "encoder 'own' (plugin textclf_own): restore() changes the model that was trained, too, which then answers"
    assert warning.startswith(start)


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
def test_a_model_that_answers_by_chance_is_held_to_no_more_than_its_chance(deviation: float):
    done = engine(noisy(deviation)).run(recipe(trainer="own"))
    assert done.report.warnings == ()
    for _ in range(25):
        texts = Texts(["a good text", "a bad text", "good", "bad"])
        model = done.folder / "model"
        assert self_check.unlike(done.classifier, model, lambda folder: done.classifier, texts) == ""


def test_one_that_is_restored_wrongly_is_still_found():
    [warning] = engine(noisy(0.01, sign=-1)).run(recipe(trainer="own")).report.warnings
    assert warning.startswith(f"{SENTENCE}trainer 'own' (plugin textclf_own): restore() gives a model that scores oth")


def test_an_encoder_that_cannot_be_asked_offline_is_named_and_its_saved_model_not_accused():
    class Asking(ToyWords):
        def encode(self, texts: Any, context: Any) -> Any:
            if context.offline:
                raise DownloadError("the server cannot be asked: this is offline")
            return super().encode(texts, context)

    own = plugin("encoder", "own", lambda: Asking(WORDS), restore=lambda options, folder: Asking(WORDS))
    [warning] = engine(own).run(recipe(encoder="own")).report.warnings
    assert placeless(warning) == (
        "the model that was trained cannot be asked as a saved one is, offline: encoder 'own' (plugin textclf_own): "
        "encode() fails: DownloadError: the server cannot be asked: this is offline"
    )


def test_a_doubt_that_fails_itself_is_a_warning():
    done = engine().run(recipe())

    def load(folder: Path) -> Any:
        raise AttributeError("no such thing")

    warning = self_check.unlike(done.classifier, done.folder / "model", load, Texts(["good", "bad"]))
    assert warning.startswith(
        "it could not be seen whether the saved model answers as the one that was trained, a bug in textclf: "
        "AttributeError: no such thing (test_self_check_hostile.py:"
    )
    assert warning.endswith("); report it")
