"""Features from the cache that are not those of the encoder: found by a few texts, made anew and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from tests.core.toys import contents, engine, plugin, recipe
from textclf import Texts, Tokens
from textclf.model.self_check import probed_rows, same_as_kept
from textclf.testing.toy import ToyWords, WordsOptions, restore_words

TEXTS = Texts([f"text of {n} words" for n in range(50)])


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
        rows = np.array([TEXTS.first.index(text) for text in texts.first])
        return kept.take(rows) if isinstance(kept, Tokens) else kept[rows]

    assert same_as_kept(kept, TEXTS, encode)
    assert not same_as_kept(kept, TEXTS, lambda texts: harm(encode(texts)))
    assert [len(texts) for texts in asked] == [4, 4]
    assert not same_as_kept(kept, Texts(TEXTS.first[:-1]), encode)


def test_rounding_of_another_device_is_no_difference() -> None:
    kept = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    rows = probed_rows(TEXTS)
    assert same_as_kept(kept, TEXTS, lambda texts: kept[rows] + np.float32(1e-3))


def test_short_texts_that_say_something_are_looked_at() -> None:
    long = "word " * 2000
    assert probed_rows(Texts([])) == probed_rows(Texts(["", " "])) == []
    assert probed_rows(Texts([long, "", "a b", long, "c", "d e f", "g", "h i"])) == [2, 5, 6, 7]
    assert probed_rows(Texts([long, long + "more", " "])) == [0, 1]
    rows = probed_rows(Texts([f"text {n}" for n in range(100_000)]))
    assert len(rows) == 4
    assert rows[-1] - rows[0] > 1000
