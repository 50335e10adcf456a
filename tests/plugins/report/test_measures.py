"""What the report's figures show, against independent computations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest
from textclf_report import measures
from textclf_report.measures import Outcomes

from tests.plugins.finished import predictions, several
from textclf import Labels, Predictions, Texts


def of(scores: list[float], held: list[bool]) -> Outcomes:
    return Outcomes(np.array(scores, np.float64), np.array(held, np.bool_))


def test_the_calibration_error_is_that_of_bins_of_equal_size():
    found = measures.outcomes(predictions(240))
    pairs = sorted(zip(found.score.tolist(), found.held.tolist(), strict=True))
    chunks = [pairs[start : start + 24] for start in range(0, 240, 24)]
    error = sum(abs(sum(held for _, held in chunk) - sum(score for score, _ in chunk)) for chunk in chunks) / 240
    made = measures.calibration(found)
    assert [part.count for part in made.bins] == [24] * 10
    assert [part.held for part in made.bins] == [sum(held for _, held in chunk) for chunk in chunks]
    assert made.error == pytest.approx(error, abs=1e-12)


def test_a_classifier_too_sure_of_itself_is_off_by_as_much():
    made = measures.calibration(of([0.9] * 100, [True, False] * 50))
    assert len(made.bins) == 1, "equal scores share a bin"
    assert made.error == pytest.approx(0.4)


def test_the_error_by_chance_is_what_calibrated_classifiers_show():
    found = measures.outcomes(predictions(400, ("a", "b", "c"), seed=3))
    generator = np.random.default_rng(0)
    errors = [
        measures.calibration(Outcomes(found.score, generator.random(400) < found.score)).error for _ in range(400)
    ]
    assert measures.calibration(found).by_chance == pytest.approx(np.mean(errors), rel=0.05)


def test_few_outcomes_make_one_bin_and_none_make_no_number():
    assert len(measures.calibration(of([0.6, 0.7, 0.8], [True, False, True])).bins) == 1
    nothing = measures.calibration(of([], []))
    assert nothing.bins == ()
    assert math.isnan(nothing.error)


def test_a_text_without_a_label_is_no_outcome():
    predicted = predictions(200, abstain_below=0.8)
    given = [row for row in range(200) if predicted.predicted[row] >= 0]
    found = measures.outcomes(predicted)
    assert 0 < len(given) < 200
    assert found.score.tolist() == [float(predicted.scores[row].max()) for row in given]
    assert found.held.tolist() == [predicted.truth[row] == predicted.scores[row].argmax() for row in given]


def test_with_several_labels_each_label_of_each_text_is_an_outcome():
    predicted = several(50)
    found = measures.outcomes(predicted)
    assert found.score.tolist() == [float(score) for row in predicted.scores for score in row]
    assert found.held.tolist() == [bool(on) for row in predicted.truth for on in row]


@pytest.mark.parametrize("predicted", [predictions(500), several(300)], ids=["single label", "several labels"])
def test_the_histogram_counts_each_outcome_once(predicted):
    found = measures.outcomes(predicted)
    bins = measures.histogram(found)
    low = 0.5 if predicted.labels.task == "single-label" else 0.0
    width = (1 - low) / 20
    for place, part in enumerate(bins):
        inside = [
            held
            for score, held in zip(found.score, found.held, strict=True)
            if min(int((score - low) / width), 19) == place
        ]
        assert (part.count, part.held) == (len(inside), sum(inside))
    assert sum(part.count for part in bins) == len(found.score)


@pytest.mark.parametrize(("held", "count"), [(0, 1), (1, 1), (3, 9), (50, 50), (812, 1000)])
def test_intervals_of_shares_are_wilsons(held, count):
    known = binomtest(held, count).proportion_ci(0.95, "wilson")
    assert measures.wilson(held, count) == pytest.approx((known.low, known.high), abs=1e-12)


def test_lengths_are_counted_in_words_and_each_text_once():
    predicted = predictions(300)
    unit, bins = measures.by_length(predicted)
    lengths = [len(text.split()) for text in predicted.texts.first]
    assert unit == "words"
    assert sum(part.count for part in bins) == 300
    for part in bins:
        inside = [row for row in range(300) if part.low <= lengths[row] <= part.high]
        assert part.count == len(inside)
        assert part.held == sum(predicted.truth[row] == predicted.predicted[row] for row in inside)
    assert all(before.high < after.low for before, after in itertools.pairwise(bins))


def test_both_texts_of_a_pair_count_for_its_length():
    alone, paired = (measures.by_length(predictions(60, pairs=pairs))[1] for pairs in (False, True))
    assert [part.low for part in paired] == [part.low + 2 for part in alone]


def test_texts_without_spaces_are_measured_in_characters():
    predicted = predictions(30, texts=["映画はとても面白かったです。またみたいとおもいます" * n for n in range(1, 31)])
    unit, bins = measures.by_length(predicted)
    assert unit == "characters"
    assert bins[-1].high == 25 * 30


def test_with_several_labels_a_text_is_right_when_all_are():
    predicted = several(80)
    wanted = [list(a) == list(b) for a, b in zip(predicted.truth, predicted.predicted, strict=True)]
    assert measures.right(predicted).tolist() == wanted


def test_the_worst_mistakes_come_first_and_abstentions_are_none():
    predicted = predictions(300, ("a", "b", "c"), abstain_below=0.5)
    rows = [r for r in range(300) if predicted.predicted[r] not in (-1, predicted.truth[r])]
    rows.sort(key=lambda row: -predicted.scores[row].max())
    found = measures.mistakes(predicted, 7)
    assert [mistake.id for mistake in found] == [f"id{row}" for row in rows[:7]]
    names = predicted.labels.names
    assert [(m.truth, m.predicted) for m in found] == [
        ((names[predicted.truth[row]],), (names[predicted.predicted[row]],)) for row in rows[:7]
    ]
    assert found[0].score == float(predicted.scores[rows[0]].max())
    assert found[0].true_score == float(predicted.scores[rows[0], predicted.truth[rows[0]]])
    assert len(measures.mistakes(predicted, 1000)) == len(rows)


def test_with_several_labels_the_worst_label_of_a_text_is_named():
    predicted = Predictions(
        Labels(("art", "law", "war"), "multi-label"),
        np.array([[True, False, True], [False, True, False], [True, False, False]]),
        np.array([[True, True, False], [False, True, False], [True, True, False]]),
        np.array([[0.9, 0.7, 0.05], [0.1, 0.9, 0.2], [0.8, 0.6, 0.1]], np.float32),
        Texts(["first", "second", "third"]), ("0", "1", "2"),
    )  # fmt: skip
    found = measures.mistakes(predicted, 5)
    assert [(m.id, m.label, m.truth, m.predicted) for m in found] == [
        ("0", "war", ("art", "war"), ("art", "law")),
        ("2", "law", ("art",), ("art", "law")),
    ]
    assert [m.score for m in found] == pytest.approx([0.05, 0.6])


def test_the_commonest_confusions_come_first_with_their_share_of_the_true_label():
    matrix = [[5, 2, 0, 3], [4, 6, 0, 0], [0, 1, 1, 0]]
    assert measures.confusions(matrix, ("a", "b", "c", "no label"), 3) == [
        ("b", "a", 4, 0.4), ("a", "no label", 3, 0.3), ("a", "b", 2, 0.2),
    ]  # fmt: skip
