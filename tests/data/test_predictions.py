"""From scores to decisions, counts and losses; and ragged tokens."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from textclf import Counts, DataError, Decision, Labels, Predictions, Texts, Tokens
from textclf.data.predictions import named

AB = Labels(("neg", "pos"))
ABC = Labels(("a", "b", "c"))
TAGS = Labels(("x", "y"), "multi-label")


def floats(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def predictions(labels: Labels, truth: list, predicted: list, scores: NDArray[np.float32]) -> Predictions:
    dtype = np.bool_ if labels.task == "multi-label" else np.int64
    n = len(truth)
    texts = Texts([f"t{i}" for i in range(n)])
    return Predictions(labels, np.array(truth, dtype), np.array(predicted, dtype), scores, texts, [*map(str, range(n))])


def test_without_a_threshold_the_most_probable_label_wins() -> None:
    scores = floats([0.2, 0.5, 0.3], [0.4, 0.4, 0.2])
    assert Decision().decide(scores, ABC).tolist() == [1, 0]


def test_a_threshold_cuts_the_score_of_the_positive_label() -> None:
    scores = floats([0.8, 0.2], [0.6, 0.4], [0.1, 0.9])
    assert Decision(0.3).decide(scores, AB).tolist() == [0, 1, 1]
    first = Labels(("neg", "pos"), positive="neg")
    assert Decision(0.7).decide(scores, first).tolist() == [0, 1, 1]


def test_a_score_equal_to_the_threshold_reaches_it() -> None:
    assert Decision(0.3).decide(floats([0.7, 0.3]), AB).tolist() == [1]
    assert Decision(0.1).decide(floats([0.1, 0.05]), TAGS).tolist() == [[True, False]]


def test_each_of_several_labels_is_cut_by_itself() -> None:
    scores = floats([0.5, 0.49], [0.1, 0.2])
    assert Decision().decide(scores, TAGS).tolist() == [[True, False], [False, False]]


def test_below_the_bound_there_is_no_label() -> None:
    scores = floats([0.55, 0.45], [0.2, 0.8])
    decided = Decision(abstain_below=0.6).decide(scores, AB)
    assert decided.tolist() == [-1, 1]
    assert named(decided, AB) == ["", "pos"]


def test_an_abstention_is_predicted_of_no_label_and_misses_its_own() -> None:
    found = predictions(AB, [1, 1, 0], [1, -1, 0], floats([0, 1], [0.5, 0.5], [1, 0]))
    counts = found.counts()
    assert counts.predicted.tolist() == [1, 1]
    assert counts.recall.tolist() == [1, 0.5]


def test_counts_are_those_of_one_label_against_the_rest() -> None:
    found = predictions(ABC, [0, 0, 1, 2], [0, 1, 1, 1], np.full((4, 3), 1 / 3, np.float32))
    counts = found.counts()
    assert counts.precision.tolist() == [1, 1 / 3, 0]
    assert counts.recall.tolist() == [0.5, 1, 0]
    assert counts.f1 == pytest.approx([2 / 3, 0.5, 0])
    weighted = found.counts(np.array([[1.0, 1, 1, 1], [0, 0, 3, 0]]))
    assert weighted.support.tolist() == [[2, 1, 1], [0, 3, 0]]


def test_nothing_of_nothing_is_zero() -> None:
    none = Counts(np.zeros(1), np.zeros(1), np.zeros(1))
    assert (none.precision, none.recall, none.f1) == (0, 0, 0)


def test_losses_are_finite_where_a_probability_is_zero() -> None:
    found = predictions(AB, [0, 1], [0, 0], floats([1, 0], [1, 0]))
    losses = found.log_losses()
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses[1] == pytest.approx(-np.log(np.finfo(np.float32).eps), rel=1e-6)
    several = predictions(TAGS, [[1, 0]], [[1, 0]], floats([0.8, 0.5]))
    assert several.log_losses() == pytest.approx([-(np.log(0.8) + np.log(0.5)) / 2])


def test_the_frame_names_labels_and_scores() -> None:
    found = predictions(TAGS, [[1, 1], [0, 0]], [[1, 0], [0, 0]], floats([0.8, 0.1], [0.2, 0.3]))
    frame = found.frame()
    assert list(frame.columns) == ["id", "text", "label", "predicted", "score_x", "score_y"]
    assert frame["label"].tolist() == [["x", "y"], []]


def test_tokens_are_taken_by_row_with_their_cuts() -> None:
    tokens = Tokens(np.arange(6, dtype=np.uint16), np.array([0, 2, 2, 6]), np.array([1, 0, 3]))
    assert tokens.lengths().tolist() == [2, 0, 4]
    taken = tokens.take(np.array([2, 0, 1]))
    assert [taken.row(i).tolist() for i in range(3)] == [[2, 3, 4, 5], [0, 1], []]
    assert taken.cuts is not None
    assert taken.cuts.tolist() == [3, 1, 0]
    assert len(tokens.take(np.array([], np.int64))) == 0
    with pytest.raises(DataError, match=r"^2 token rows but 1 cuts$"):
        Tokens(np.arange(2, dtype=np.uint16), np.array([0, 1, 2]), np.array([0]))


def test_tokens_are_paired_text_by_text_and_follow_one_another() -> None:
    first = Tokens(np.array([1, 2, 3], np.uint16), np.array([0, 2, 2, 3]))
    second = Tokens(np.array([7, 8, 9], np.uint16), np.array([0, 1, 3, 3]))
    pairs = first.paired(second)
    assert [pairs.row(i).tolist() for i in range(3)] == [[1, 2, 7], [8, 9], [3]]
    assert pairs.cuts is not None
    assert pairs.cuts.tolist() == [2, 0, 1]
    both = pairs.followed_by(pairs.take(np.array([0])))
    assert [both.row(i).tolist() for i in range(4)] == [[1, 2, 7], [8, 9], [3], [1, 2, 7]]
    assert both.cuts is not None
    assert both.cuts.tolist() == [2, 0, 1, 2]
    with pytest.raises(DataError, match=r"^pairs of texts cannot be followed by single texts, nor these by pairs$"):
        pairs.followed_by(first)


def test_labels_are_sorted_as_numbers_where_all_are() -> None:
    """D08: labels `01` and `1` stay apart."""
    assert Labels.of(["10", "9", "01", "1"]).names == ("01", "1", "9", "10")
    assert Labels.of(["pos", " pos", "Neg"]).names == (" pos", "Neg", "pos")
    with pytest.raises(DataError, match=r"^unknown label 'posi'; did you mean 'pos'\? \(known: neg, pos\)$"):
        AB.encode(["neg", "posi"])
