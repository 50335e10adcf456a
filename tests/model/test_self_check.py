"""The self-check of a saved model, and of cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from tests.toys import contents, engine, plugin, recipe
from textclf import ArtefactError, ResourceError, Texts, Tokens, Warned
from textclf.model import self_check
from textclf.model.self_check import probed_rows, same_as_kept
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
    assert "of a test text" in warning
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
    assert warning.startswith(f"{SENTENCE}{start} that was saved")


def test_a_model_that_cannot_be_loaded_is_told_of_and_the_run_kept():
    result = trained_by(Unreadable)
    [warning] = result.report.warnings
    said = "trainer 'own' (plugin textclf_own): restore() fails: ValueError: no such weights (test_self_check.py:"
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
    assert found.startswith(f"{start} place of 256")


def test_so_is_one_that_nothing_can_restore():
    class Narrow(ToyWords):
        """Makes as many columns as it has learnt words, and saves none of them."""

        def encode(self, texts: Any, context: Any) -> Any:
            return super().encode(texts, context)[:, : 1 if self.weights is None else 20]

        def save(self, folder: Path) -> None:
            pass

    found = encoded_by(None, Narrow)
    start = f"{ENCODER}: build() gives an encoder that encodes otherwise than the one that was saved: 1 column in place"
    assert found == f"{start} of 20; the component has no `restore`, so `build` made it anew"


def test_errors_of_textclfs_own_that_an_encoder_or_a_trainer_raises_are_told_with_its_name():
    def refuse(options: Any, folder: Path) -> ToyWords:
        raise ArtefactError("there are no words")

    class Refusing(ToyLinear):
        def restore(self, folder: Path, encoder: Any, labels: Any) -> ToyModel:
            raise ArtefactError("there are no weights")

    start = f"{ENCODER}: restore() fails: ArtefactError: there are no words (test_self_check.py:"
    assert encoded_by(refuse).startswith(start)
    [warning] = trained_by(Refusing).report.warnings
    start = "trainer 'own' (plugin textclf_own): the restored model fails: ArtefactError: there are no weights ("
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


PROBED = Texts([f"text of {n} words" for n in range(50)])


class Projected(ToyWords):
    """Projects the words by the run's seed; tells of it in its fingerprint, or not."""

    tells = False
    rows: list[int] = []  # noqa: RUF012 - one list for all

    def fit(self, train: Any, context: Any) -> None:
        super().fit(train, context)
        width = super().encode(train.texts, context).shape[1]
        self.seed = context.seed
        self.matrix = np.random.default_rng(context.seed).normal(size=(width, width)).astype(np.float32)

    def encode(self, texts: Texts, context: Any) -> Any:
        self.rows.append(len(texts))
        return super().encode(texts, context) @ self.matrix

    def fingerprint(self) -> str:
        return f"{super().fingerprint()} {self.seed if self.tells else ''}"

    def save(self, folder: Path) -> None:
        super().save(folder)
        np.save(folder / "matrix.npy", self.matrix, allow_pickle=False)


class Told(Projected):
    tells = True


def projecting(kind: type[Projected]) -> Any:
    def restore(options: Any, folder: Path) -> Projected:
        words = kind(WordsOptions(), restore_words(WordsOptions(), folder).weights)
        words.matrix = np.load(folder / "matrix.npy", allow_pickle=False)
        return words

    return plugin("encoder", "projected", lambda: kind(WordsOptions()), restore=restore)


def test_a_fingerprint_that_leaves_the_seed_out_costs_no_run_and_is_told() -> None:
    first = engine(projecting(Projected)).run(recipe(encoder="projected", seed=1))
    second = engine(projecting(Projected)).run(recipe(encoder="projected", seed=2))
    alone = engine(projecting(Projected), cache="another").run(recipe(encoder="projected", seed=2))
    assert first.report.warnings == ()
    (warning,) = second.report.warnings
    assert warning.startswith(
        "encoder 'projected' (plugin textclf_projected): the features in the cache are not those that encode makes of "
        "the same texts, though its fingerprint is the same, '"
    )
    assert warning.endswith("'; they are made anew, but name in fingerprint() all that they depend on, also the seed")
    assert (second.folder / "scores.npy").read_bytes() == (alone.folder / "scores.npy").read_bytes()


def test_a_fingerprint_that_tells_all_is_believed_after_a_few_texts() -> None:
    Told.rows.clear()
    runs = [engine(projecting(Told)).run(recipe(encoder="projected", seed=1)) for _ in range(2)]
    assert contents(runs[0]) == contents(runs[1])
    assert runs[1].report.warnings == ()
    train, test, first_saved, kept_train, kept_test, second_saved = 32, 8, [4] * 4, 4, 4, [4] * 4
    assert Told.rows == [train, test, *first_saved, kept_train, kept_test, *second_saved]


@pytest.mark.parametrize(
    ("kept", "harm"),
    [
        (np.arange(100, dtype=np.float32).reshape(50, 2), lambda made: made * 1.02),
        (sparse.csr_matrix(np.eye(50, dtype=np.float32)), lambda made: made[::-1]),
        (np.eye(50, dtype=np.float32), lambda made: made[:, 1:]),
        (
            Tokens(np.arange(100, dtype=np.uint16), np.arange(0, 101, 2)),
            lambda made: Tokens(made.ids + 1, made.offsets),
        ),
        (
            Tokens(np.arange(100, dtype=np.uint16), np.arange(0, 101, 2), np.ones(50, np.int64)),
            lambda made: Tokens(made.ids, made.offsets, made.cuts * 2),
        ),
        (np.eye(50, dtype=np.float32), lambda made: Tokens(np.arange(4, dtype=np.uint16), np.arange(5))),
    ],
)
def test_features_are_compared_whatever_their_layout(kept: Any, harm: Any) -> None:
    asked: list[Texts] = []

    def encode(texts: Texts) -> Any:
        asked.append(texts)
        rows = np.array([PROBED.first.index(text) for text in texts.first])
        return kept.take(rows) if isinstance(kept, Tokens) else kept[rows]

    assert same_as_kept(kept, PROBED, encode)
    assert not same_as_kept(kept, PROBED, lambda texts: harm(encode(texts)))
    assert [len(texts) for texts in asked] == [4, 4]
    assert not same_as_kept(kept, Texts(PROBED.first[:-1]), encode)


def test_rounding_of_another_device_is_no_difference() -> None:
    kept = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    rows = probed_rows(PROBED)
    assert same_as_kept(kept, PROBED, lambda texts: kept[rows] + np.float32(1e-3))


def test_short_texts_that_say_something_are_looked_at() -> None:
    long = "word " * 2000
    assert probed_rows(Texts([])) == probed_rows(Texts(["", " "])) == []
    assert probed_rows(Texts([long, "", "a b", long, "c", "d e f", "g", "h i"])) == [2, 5, 6, 7]
    assert probed_rows(Texts([long, long + "more", " "])) == [0, 1]
    rows = probed_rows(Texts([f"text {n}" for n in range(100_000)]))
    assert len(rows) == 4
    assert rows[-1] - rows[0] > 1000
