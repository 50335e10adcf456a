"""The self-check of a saved model, and of cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from tests.toys import contents, engine, plugin, recipe
from textclf import DownloadError, ResourceError, Texts, Tokens, Warned
from textclf.model import self_check
from textclf.model.self_check import check_saved_model, matches_cache, short_rows
from textclf.testing.toy import LinearOptions, ToyLinear, ToyModel, ToyWords, WordsOptions, restore_words

DIFFERS = "the saved model does not score as the trained one: "
FAILS = "the saved model cannot be compared with the trained one: "
WORDS = WordsOptions()
ENCODER = "encoder 'own' (plugin textclf_own)"
TRAINER = "trainer 'own' (plugin textclf_own)"
LOADED = f"{ENCODER}: the encoder that is loaded makes other features than the trained one"


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


def test_a_trainer_whose_restored_model_scores_differently_is_named_with_the_worst_score():
    result = trained_by(Swapped)
    [warning] = result.report.warnings
    assert warning.startswith(f"{DIFFERS}{TRAINER}: the model that restore() returns gives a test text the score ")
    found, trained = (float(warning.split(word)[1].split()[0]) for word in ("the score ", "one gave "))
    assert found + trained == pytest.approx(1, abs=0.002)
    assert result.classifier.predict_one("good").label  # the trained model is not touched


def test_the_warning_is_in_the_report_and_among_the_events():
    heard: list[Any] = []
    options = LinearOptions(epochs=25)
    whole = engine(plugin("trainer", "own", lambda: Swapped(options)), observers=[heard.append])
    result = whole.run(recipe(trainer="own"))
    [told] = [event for event in heard if isinstance(event, Warned)]
    assert (told.message, told.stage) == (*result.report.warnings, "save")
    assert told.message[:60] in (result.folder / "metrics.json").read_text("utf-8")


def encoded_by(restore: Any, made: type[ToyWords] = ToyWords) -> str:
    """Return the warning of a run whose encoder is restored so."""
    own = plugin("encoder", "own", lambda: made(WORDS), restore=restore)
    [warning] = engine(own).run(recipe(encoder="own")).report.warnings
    return warning


class Narrow(ToyWords):
    """Makes as many columns as it has learnt words, and saves none of them."""

    def encode(self, texts: Any, context: Any) -> Any:
        return super().encode(texts, context)[:, : 1 if self.weights is None else 20]

    def save(self, folder: Path) -> None:
        pass


def test_an_encoder_that_encodes_differently_once_restored_is_named_and_not_the_trainer():
    assert encoded_by(forgetful) == f"{DIFFERS}{LOADED}"


def test_so_is_an_encoder_with_fewer_columns_which_the_trainer_fails_on():
    assert encoded_by(lambda options, folder: ToyWords(WordsOptions(columns=8))) == f"{DIFFERS}{LOADED}"


def test_of_an_encoder_without_restore_the_reason_is_told():
    assert encoded_by(None, Narrow) == f"{DIFFERS}{LOADED}; the component has no `restore`, so `build` made a new one"


def test_a_model_that_cannot_be_loaded_costs_a_warning_and_not_the_run():
    [warning] = trained_by(Unreadable).report.warnings
    assert warning.startswith(f"{FAILS}{TRAINER}: restore() fails: ValueError: no such weights (test_self_check.py:")
    assert engine().runs_list()[0].state == "finished"


def test_an_encoder_that_needs_the_network_is_not_blamed_for_what_it_saved():
    class Asking(ToyWords):
        def encode(self, texts: Any, context: Any) -> Any:
            if context.offline:
                raise DownloadError("the server cannot be reached: this is offline")
            return super().encode(texts, context)

    assert encoded_by(lambda options, folder: Asking(WORDS), Asking) == (
        f"{FAILS}the server cannot be reached: this is offline"
    )


def test_an_encoder_that_encodes_differently_each_time_is_not_named():
    class Random(ToyWords):
        random = np.random.default_rng(0)

        def encode(self, texts: Any, context: Any) -> Any:
            return super().encode(texts, context) * self.random.random()

    uncached = WordsOptions(cached=False)
    words = plugin("encoder", "random", lambda: Random(uncached), restore=lambda options, folder: Random(uncached))
    both = engine(words, plugin("trainer", "own", lambda: Unreadable(LinearOptions(epochs=25))))
    [warning] = both.run(recipe(encoder="random", trainer="own")).report.warnings
    assert warning.startswith(f"{FAILS}{TRAINER}: restore() fails: ValueError: no such")


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
def test_models_of_each_task_are_loaded_again_without_a_warning(data: Any):
    result = engine().run(recipe(dataset=None, clean=["lowercase"]), data=data)
    assert not [warning for warning in result.report.warnings if warning.startswith((DIFFERS, FAILS))]


def test_a_model_that_is_too_large_is_not_loaded_twice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(self_check, "LARGEST_BYTES", 100)
    assert trained_by(Swapped).report.warnings == ()


def test_too_little_memory_is_no_warning():
    result = trained_by(ToyLinear)
    texts = Texts(["good", "bad"])

    def ending(error: BaseException) -> Any:
        def load(folder: Path) -> Any:
            raise error

        return load

    for error in (MemoryError(), ResourceError("out of memory")):
        assert check_saved_model(result.classifier, result.folder / "model", ending(error), texts) == ""


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
    assert warning.endswith("'; they are made again, but name in fingerprint() all that they depend on, also the seed")
    assert (second.folder / "scores.npy").read_bytes() == (alone.folder / "scores.npy").read_bytes()


def test_a_fingerprint_that_tells_all_is_believed_after_a_few_texts() -> None:
    Told.rows.clear()
    runs = [engine(projecting(Told)).run(recipe(encoder="projected", seed=1)) for _ in range(2)]
    assert contents(runs[0]) == contents(runs[1])
    assert runs[1].report.warnings == ()
    train, test, saved, cached = 32, 8, [8] * 3, 8
    assert Told.rows == [train, test, *saved, cached, cached, *saved]


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
        (np.eye(50, dtype=np.float32), lambda made: Tokens(np.arange(8, dtype=np.uint16), np.arange(9))),
    ],
)
def test_features_are_compared_whatever_their_layout(kept: Any, harm: Any) -> None:
    asked: list[Texts] = []

    def encode(texts: Texts) -> Any:
        asked.append(texts)
        rows = np.array([PROBED.first.index(text) for text in texts.first])
        return kept.take(rows) if isinstance(kept, Tokens) else kept[rows]

    assert matches_cache(kept, PROBED, encode)
    assert not matches_cache(kept, PROBED, lambda texts: harm(encode(texts)))
    assert [len(texts) for texts in asked] == [8, 8]
    assert not matches_cache(kept, Texts(PROBED.first[:-1]), encode)


def test_rounding_of_another_device_is_no_difference() -> None:
    kept = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    rows = short_rows(PROBED)
    assert matches_cache(kept, PROBED, lambda texts: kept[rows] + np.float32(1e-3))


def test_short_texts_that_are_not_empty_are_taken() -> None:
    long = "word " * 2000
    assert short_rows(Texts([])) == short_rows(Texts(["", " "])) == []
    assert short_rows(Texts([long, "", "a b", long, "c", "d e f"] * 2)) == [2, 4, 5, 8, 10, 11]
    assert short_rows(Texts([long, long + "more", " "])) == [0, 1]
    rows = short_rows(Texts([f"text {n}" for n in range(100_000)]))
    assert len(rows) == 8
    assert rows[-1] - rows[0] > 1000
