"""The saved model is loaded again when a run ends: one that does not answer as what was trained is told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.core.toys import engine, plugin, recipe
from textclf import ArtefactError, ResourceError, Texts, Warned
from textclf.model import self_check
from textclf.testing.toy import LinearOptions, ToyLinear, ToyModel, ToyWords, WordsOptions, restore_words

SENTENCE = "the saved model does not answer as the one that was trained, whose figures these are: "
WORDS = WordsOptions()
ENCODER = "encoder 'own' (plugin textclf_own)"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Swapped(ToyLinear):
    """Restores the labels in the wrong order."""

    def restore(self, folder: Path, encoder: Any, labels: Any) -> ToyModel:
        return ToyModel(super().restore(folder, encoder, labels).weights[:, ::-1], labels.task)


class Unreadable(ToyLinear):
    def restore(self, folder: Path, encoder: Any, labels: Any) -> ToyModel:
        raise ValueError("no such weights")


class Rounded(ToyLinear):
    """Restores what it saved in fewer digits."""

    def restore(self, folder: Path, encoder: Any, labels: Any) -> ToyModel:
        weights = super().restore(folder, encoder, labels).weights
        return ToyModel(weights.astype(np.float16).astype(np.float64), labels.task)


class Guessing(ToyModel):
    """Answers otherwise each time."""

    random = np.random.default_rng(0)

    def scores(self, features: Any, context: Any) -> Any:
        guesses = self.random.random((len(features), 1)).astype(np.float32)
        return np.hstack([guesses, 1 - guesses])


class Guesses(ToyLinear):
    def train(self, *given: Any) -> ToyModel:
        return Guessing(super().train(*given).weights, "single-label")

    def restore(self, folder: Path, encoder: Any, labels: Any) -> ToyModel:
        return Guessing(super().restore(folder, encoder, labels).weights, labels.task)


def forgetful(options: Any, folder: Path) -> ToyWords:
    """Restore all but the direction of each column."""
    words = restore_words(WORDS, folder)
    assert words.weights is not None
    words.weights *= -1
    return words


def trained_by(trainer: type[ToyLinear], **changes: Any) -> Any:
    options = LinearOptions(epochs=25)
    return engine(plugin("trainer", "own", lambda: trainer(options))).run(recipe(trainer="own", **changes))


def test_a_trainer_whose_restored_model_scores_otherwise_is_told_of_with_the_worst_score():
    result = trained_by(Swapped)
    [warning] = result.report.warnings
    start = f"{SENTENCE}trainer 'own' (plugin textclf_own): restore() gives a model that scores otherwise than the one"
    assert warning.startswith(f"{start} that was saved: ")
    found, trained = (float(warning.split(word)[1].split()[0]) for word in ("saved: ", "in place of "))
    assert found + trained == pytest.approx(1, abs=0.002)
    assert "of a test text (test_rereading.py:" in warning
    assert result.classifier.predict_one("good").label  # what was trained is there as ever


def test_the_warning_is_in_the_report_and_among_the_events():
    heard: list[Any] = []
    options = LinearOptions(epochs=25)
    whole = engine(plugin("trainer", "own", lambda: Swapped(options)), observers=[heard.append])
    result = whole.run(recipe(trainer="own"))
    [told] = [event for event in heard if isinstance(event, Warned)]
    assert (told.message, told.stage) == (*result.report.warnings, "save")
    assert told.message[:60] in (result.folder / "metrics.json").read_text("utf-8")


def test_an_encoder_that_encodes_otherwise_once_restored_is_to_blame_and_not_the_trainer():
    own = plugin("encoder", "own", lambda: ToyWords(WORDS), restore=forgetful)
    [warning] = engine(own).run(recipe(encoder="own")).report.warnings
    start = "encoder 'own' (plugin textclf_own): restore() gives an encoder that encodes otherwise than the one"
    assert warning.startswith(f"{SENTENCE}{start} that was saved (test_rereading.py:")


def test_a_model_that_cannot_be_loaded_is_told_of_and_the_run_kept():
    result = trained_by(Unreadable)
    [warning] = result.report.warnings
    said = "trainer 'own' (plugin textclf_own): restore() fails: ValueError: no such weights (test_rereading.py:"
    assert warning.startswith(f"{SENTENCE}{said}")
    assert engine().runs_list()[0].state == "finished"


def encoded_by(restore: Any, made: type[ToyWords] = ToyWords) -> str:
    """Return the warning of a run whose encoder is restored so, without the sentence that it begins with."""
    own = plugin("encoder", "own", lambda: made(WORDS), restore=restore)
    [warning] = engine(own).run(recipe(encoder="own")).report.warnings
    assert warning.startswith(SENTENCE)
    return warning.removeprefix(SENTENCE)


def test_an_encoder_that_comes_back_with_fewer_columns_is_to_blame_and_not_the_trainer_that_it_breaks():
    """The trainer knows no more than the features that it is given."""
    start = f"{ENCODER}: restore() gives an encoder that encodes otherwise than the one that was saved: 8 columns in"
    found = encoded_by(lambda options, folder: ToyWords(WordsOptions(columns=8)))
    assert found.startswith(f"{start} place of 256 (test_rereading.py:")


def test_so_is_one_that_nothing_can_restore():
    class Narrow(ToyWords):
        """Makes as many columns as it has learnt words, and saves none of them."""

        def encode(self, texts: Any, context: Any) -> Any:
            return super().encode(texts, context)[:, : 1 if self.weights is None else 20]

        def save(self, folder: Path) -> None:
            pass

    found = encoded_by(None, Narrow)
    start = f"{ENCODER}: build() gives an encoder that encodes otherwise than the one that was saved: 1 column in place"
    assert found.startswith(f"{start} of 20 (")
    assert found.endswith("); the component has no `restore`, so `build` made it anew")


def test_errors_of_textclfs_own_that_an_encoder_or_a_trainer_raises_are_told_with_its_name():
    def refuse(options: Any, folder: Path) -> ToyWords:
        raise ArtefactError("there are no words")

    class Refusing(ToyLinear):
        def restore(self, folder: Path, encoder: Any, labels: Any) -> ToyModel:
            raise ArtefactError("there are no weights")

    start = f"{ENCODER}: restore() fails: ArtefactError: there are no words (test_rereading.py:"
    assert encoded_by(refuse).startswith(start)
    [warning] = trained_by(Refusing).report.warnings
    start = "trainer 'own' (plugin textclf_own): the restored model fails: ArtefactError: there are no weights (test_re"
    assert warning.startswith(f"{SENTENCE}{start}")


def test_an_encoder_that_encodes_otherwise_each_time_is_not_said_to_be_restored_wrongly():
    class Moody(ToyWords):
        random = np.random.default_rng(0)

        def encode(self, texts: Any, context: Any) -> Any:
            return super().encode(texts, context) * self.random.random()

    uncached = WordsOptions(cached=False)
    words = plugin("encoder", "moody", lambda: Moody(uncached), restore=lambda options, folder: Moody(uncached))
    both = engine(words, plugin("trainer", "own", lambda: Unreadable(LinearOptions(epochs=25))))
    [warning] = both.run(recipe(encoder="moody", trainer="own")).report.warnings
    assert warning.startswith(f"{SENTENCE}trainer 'own' (plugin textclf_own): restore() fails: ValueError: no such")


@pytest.mark.parametrize("trainer", [Rounded, Guesses, ToyLinear])
def test_rounding_and_chance_are_no_difference(trainer: type[ToyLinear]):
    assert trained_by(trainer).report.warnings == ()


TEXTS = [f"{word} number {n}" for n in range(8) for word in ("good", "bad")]


@pytest.mark.parametrize(
    "data",
    [
        (TEXTS, ["good", "bad"] * 8),
        (TEXTS, [text.upper() for text in TEXTS], ["good", "bad"] * 8),
        (TEXTS, [["good"], ["bad", "good"]] * 8),
    ],
)
def test_models_of_each_task_are_read_again_in_peace(data: Any):
    result = engine().run(recipe(dataset=None, clean=["lowercase"]), data=data)
    assert not [warning for warning in result.report.warnings if warning.startswith(SENTENCE)]


def test_nothing_that_is_too_large_is_held_twice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(self_check, "LARGEST_BYTES", 100)
    assert trained_by(Swapped).report.warnings == ()


def test_where_memory_ends_nothing_is_said():
    result = trained_by(ToyLinear)
    texts = Texts(["good", "bad"])

    def ending(error: BaseException) -> Any:
        def load(folder: Path) -> Any:
            raise error

        return load

    for error in (MemoryError(), ResourceError("out of memory")):
        assert self_check.unlike(result.classifier, result.folder / "model", ending(error), texts) == ""
