"""Bootstrap intervals tell the truth, by text and by group, paired where runs share their texts."""

from __future__ import annotations

import math
import re
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.places import placeless
from textclf import Labels, NoOptions, PluginError, Predictions, Texts
from textclf.evaluation.metrics import (
    CheckedMetric,
    average_rows,
    baseline_predictions,
    bootstrap,
    confusion,
    headline_first,
    interval,
    judge,
    label_rows,
)
from textclf.plugin.component import Component
from textclf.plugin.registry import Plugin, Registration
from textclf.plugin.step import Step
from textclf.testing.toy import ToyAccuracy

AB = Labels(("neg", "pos"))


class FromTexts(ToyAccuracy):
    """The same metric, drawn from the texts instead of the cells."""

    reads_scores = True


def answers(right: NDArray[np.bool_], groups: list[str] | None = None, labels: Labels = AB) -> Predictions:
    n = len(right)
    truth = np.arange(n) % len(labels)
    predicted = np.where(right, truth, (truth + 1) % len(labels))
    scores = np.full((n, len(labels)), 1 / len(labels), np.float32)
    return Predictions(labels, truth, predicted, scores, Texts([""] * n), [""] * n, groups)


def drawn(predictions: Predictions, metric: Any = None, draws: int = 2000, seed: int = 0) -> Any:
    return bootstrap({"m": metric or ToyAccuracy()}, [predictions], draws, seed)[0]["m"]


def test_the_interval_of_accuracy_is_the_binomial_one() -> None:
    found = drawn(answers(np.arange(400) < 320)).estimate()
    half = 1.96 * math.sqrt(0.8 * 0.2 / 400)
    assert found.value == 0.8
    assert found.low == pytest.approx(0.8 - half, abs=0.006)
    assert found.high == pytest.approx(0.8 + half, abs=0.006)


def test_what_is_drawn_from_cells_is_what_is_drawn_from_texts() -> None:
    several = Labels(("a", "b", "c"))
    for groups in (None, [f"g{i // 7}" for i in range(300)]):
        predictions = answers(np.random.default_rng(1).random(300) < 0.7, groups, several)
        assert drawn(predictions).draws == pytest.approx(drawn(predictions, FromTexts()).draws, abs=1e-12)


def test_texts_that_come_in_groups_have_a_wider_interval() -> None:
    right = np.repeat(np.random.default_rng(0).random(40) < 0.7, 10)
    alone = drawn(answers(right)).estimate()
    grouped = drawn(answers(right, [f"g{i // 10}" for i in range(400)])).estimate()
    ratio = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    random = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        found = drawn(answers(random.random(150) < 0.75), draws=300).estimate()
        held += found.low <= 0.75 <= found.high
    assert 180 <= held <= 199


def test_two_runs_on_the_same_texts_are_resampled_alike() -> None:
    right = np.random.default_rng(2).random(200) < 0.8
    better = right.copy()
    better[np.flatnonzero(~right)[:5]] = True
    one, other = drawn(answers(right)), drawn(answers(better))
    assert (other.draws >= one.draws).all()
    assert np.std(other.draws - one.draws) < np.std(one.draws) / 2
    assert (drawn(answers(right), seed=1).draws != one.draws).any()


def test_draws_in_which_a_metric_is_not_defined_are_left_out() -> None:
    draws = np.array([np.nan, *np.linspace(0, 1, 101), np.inf])
    assert interval(draws) == pytest.approx((0.025, 0.975))
    assert all(math.isnan(bound) for bound in interval(np.full(3, np.nan)))


def test_many_cells_and_many_draws_fit_into_time_and_memory() -> None:
    """Multi-label predictions have as many distinct cells as rows: a dense table of both would not fit."""
    n = 20_000
    labels = Labels(tuple(f"l{i}" for i in range(20)), "multi-label")
    truth = np.random.default_rng(0).random((n, 20)) < 0.5
    predictions = Predictions(labels, truth, ~truth, truth.astype(np.float32), Texts([""] * n), [""] * n)
    began = time.process_time()
    assert drawn(predictions, draws=100).estimate().high == 0
    assert time.process_time() - began < 5


def checked(answer: Any) -> CheckedMetric:
    class Metric:
        greater_is_better = True
        reads_scores = False

        def __call__(self, predictions: Predictions, weights: Any = None) -> Any:
            return answer(predictions, weights)

    component: Component[Any, Any] = Component(name="odd", build=lambda options: Metric())
    return CheckedMetric(Step("metric", Registration("metric", component, Plugin("mine", "textclf_mine")), NoOptions()))


ODD = "^metric 'odd' \\(plugin textclf_mine\\): __call__"


def _raise(*_: object) -> None:
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda p, w: "0.5", r" returned a str, not a number$"),
        (lambda p, w: np.zeros(3), r" returned a ndarray of shape \(3,\), not a number$"),
        (lambda p, w: None, " returned nothing, not a number$"),
        (_raise, r"\(\) fails: ZeroDivisionError: division by zero$"),
    ],
)
def test_a_metric_that_gives_no_number_is_named(answer: Any, says: str) -> None:
    """P04: a metric of the wrong type, and one that raises."""
    with pytest.raises(PluginError) as caught:
        judge({"odd": checked(answer)}, "odd", answers(np.array([True])))
    assert re.search(ODD + says, placeless(str(caught.value)))


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (lambda p, w: 0.5, "a float"),
        (lambda p, w: 0.5 if w is None else w, r"a ndarray of shape \(100, 2\)"),
        (lambda p, w: 0.5 if w is None else np.zeros(7), r"a ndarray of shape \(7,\)"),
        (lambda p, w: 0.5 if w is None else np.array(["x"] * len(w)), r"a ndarray of shape \(100,\)"),
    ],
)
def test_a_metric_that_gives_not_one_number_a_draw_is_named(answer: Any, shown: str) -> None:
    """P04: a metric that returns wrong shapes."""
    with pytest.raises(PluginError) as caught:
        bootstrap({"odd": checked(answer)}, [answers(np.array([True, False] * 5))], 100)
    assert re.search(ODD + f" returned {shown} for 100 weightings$", placeless(str(caught.value)))


def _right(p: Predictions) -> Any:
    return (p.truth == p.predicted).astype(float)


CELLS = ", from the confusion cells (reads_scores is False)"


@pytest.mark.parametrize(
    ("reads_scores", "weighted", "says"),
    [
        (False, lambda p, w: (w * _right(p)).mean(axis=1), f"1.5 with weights that count each text once{CELLS}"),
        (False, lambda p, w: np.full(len(w), _right(p).mean()), f"0.5 with weights that count each text once{CELLS}"),
        (True, lambda p, w: w @ _right(p), "6 with weights that count each text once"),
        (True, lambda p, w: np.full(len(w), math.nan), "nan with weights that count each text once"),
    ],
)
def test_a_metric_that_is_another_with_weights_is_refused(reads_scores: bool, weighted: Any, says: str) -> None:
    metric = checked(lambda p, w: float(_right(p).mean()) if w is None else weighted(p, w))
    metric.reads_scores = reads_scores
    with pytest.raises(PluginError) as caught:
        bootstrap({"odd": metric}, [answers(np.array([True] * 6 + [False] * 2))], 100)
    told = f"metric 'odd' (plugin textclf_mine): __call__ returned 0.75 without weights and {says}"
    assert placeless(str(caught.value)) == f"{told}; both must be the same"


@pytest.mark.parametrize("reads_scores", [False, True])
def test_a_metric_that_weighs_as_it_should_is_taken_in_float32_too(reads_scores: bool) -> None:
    def share(p: Predictions, w: Any) -> Any:
        right = _right(p).astype(np.float32)
        return float(right.mean()) if w is None else (w.astype(np.float32) @ right) / w.sum(axis=1, dtype=np.float32)

    metric = checked(share)
    metric.reads_scores = reads_scores
    correct = np.random.default_rng(0).random(20_001) < 0.7
    found = bootstrap({"odd": metric}, [answers(correct)], 20)[0]["odd"]
    assert found.value == pytest.approx(correct.mean())


def test_a_metric_that_is_not_defined_stays_so() -> None:
    metric = checked(lambda p, w: math.nan if w is None else np.full(len(w), math.nan))
    found = bootstrap({"odd": metric}, [answers(np.array([True, True]))], 100)[0]["odd"].estimate()
    assert all(map(math.isnan, (found.value, found.low, found.high)))


def test_a_loss_is_turned_so_that_greater_is_better() -> None:
    loss = checked(lambda p, w: 0.25)
    loss.greater_is_better = False
    judged = judge({"odd": loss}, "odd", answers(np.array([True])))
    assert (judged.metrics, judged.value) == ({"odd": 0.25}, -0.25)


def test_the_confusion_has_a_column_for_abstentions_only_where_there_are_any() -> None:
    predictions = answers(np.array([True, False, True]))
    assert confusion(predictions) == ((2, 0), (1, 0))
    predictions.predicted[0] = -1
    assert confusion(predictions) == ((1, 0, 1), (1, 0, 0))


def test_rows_and_averages_are_those_of_the_counts() -> None:
    rows = label_rows(answers(np.array([True, False, True, True])))
    assert [(r.label, r.precision, r.recall, r.support) for r in rows] == [("neg", 2 / 3, 1, 2), ("pos", 1, 0.5, 2)]
    averages = average_rows(answers(np.array([True, False, True, True])))
    assert [r.label for r in averages] == ["macro", "weighted"]
    assert averages[0].recall == 0.75


def test_a_label_that_is_neither_true_nor_predicted_is_no_part_of_the_macro_mean() -> None:
    labels = Labels(("absent", "neg", "pos"))
    truth, predicted = np.array([1, 2, 2]), np.array([1, 2, 2])
    texts, scores = Texts([""] * 3), np.zeros((3, 3), np.float32)
    macro = average_rows(Predictions(labels, truth, predicted, scores, texts, ["1", "2", "3"]))[0]
    assert (macro.precision, macro.recall, macro.f1) == (1.0, 1.0, 1.0)


def test_the_baseline_answers_the_commonest_label_of_training() -> None:
    predictions = answers(np.array([True] * 4))
    chance = baseline_predictions(predictions, np.array([1, 1, 0]))
    assert chance.predicted.tolist() == [1] * 4
    assert chance.scores[0] == pytest.approx([1 / 3, 2 / 3])


def test_macro_f1_stands_first_where_one_label_holds_over_four_fifths() -> None:
    assert headline_first(["accuracy", "f1_macro"], 0.81) == ["f1_macro", "accuracy"]
    assert headline_first(["accuracy", "f1_macro"], 0.8) == ["accuracy", "f1_macro"]
    assert headline_first(["accuracy"], 0.9) == ["accuracy"]
