"""Metrics: the same numbers as scikit-learn and by definition, weighted and drawn."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from tests.plugins.sentences import REGISTRY, build
from textclf import DataError, Labels, Metric, Predictions, Texts

AVERAGES = ["micro", "macro", "weighted"]
DECIDED = [name for name in REGISTRY.names("metric") if not build("metric", name).reads_scores]
SCORED = ["log_loss", "roc_auc"]


def predictions(size: int, n: int = 300, task: str = "single-label", seed: int = 0, abstain: float = 0) -> Predictions:
    """Return random predictions, right more often than not, with many tied scores."""
    generator = np.random.default_rng(seed)
    labels = Labels(tuple("abcdefgh"[:size]), task)
    if task == "multi-label":
        truth = generator.random((n, size)) < 0.4
        scores = np.round(0.5 * truth + 0.6 * generator.random((n, size)), 1).clip(0, 1).astype(np.float32)
        predicted = scores >= 0.6
    else:
        truth = generator.integers(0, size, n)
        raw = np.round(generator.random((n, size)), 1) + 0.1
        raw[np.arange(n), truth] += 0.3
        scores = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
        predicted = scores.argmax(axis=1)
        predicted[generator.random(n) < abstain] = -1
    return Predictions(labels, truth, predicted, scores, Texts([""] * n), [str(i) for i in range(n)])


def take(whole: Predictions, rows: np.ndarray) -> Predictions:
    return replace(
        whole, truth=whole.truth[rows], predicted=whole.predicted[rows], scores=whole.scores[rows],
        texts=whole.texts.take(rows), ids=[whole.ids[r] for r in rows],
    )  # fmt: skip


CASES = {
    "two labels": predictions(2),
    "four labels": predictions(4),
    "tags": predictions(4, task="multi-label"),
    "abstentions": predictions(3, abstain=0.3),
}


@pytest.mark.parametrize("case", CASES)
def test_accuracy_is_scikit_learn_s(case: str) -> None:
    p = CASES[case]
    assert build("metric", "accuracy")(p) == pytest.approx(sk.accuracy_score(p.truth, p.predicted), abs=1e-12)


@pytest.mark.parametrize("measure", ["precision", "recall", "f1"])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("case", CASES)
def test_averages_over_labels_are_scikit_learn_s(case: str, average: str, measure: str) -> None:
    p = CASES[case]
    known = list(range(len(p.labels)))
    theirs = getattr(sk, f"{measure}_score")(p.truth, p.predicted, labels=known, average=average, zero_division=0)
    assert build("metric", measure, average=average)(p) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("measure", ["precision", "recall", "f1"])
def test_with_two_labels_the_positive_one_is_meant(measure: str) -> None:
    p = CASES["two labels"]
    theirs = getattr(sk, f"{measure}_score")
    assert build("metric", measure)(p) == pytest.approx(theirs(p.truth, p.predicted, pos_label=1))
    turned = replace(p, labels=Labels(("a", "b"), positive="a"))
    assert build("metric", measure)(turned) == pytest.approx(theirs(p.truth, p.predicted, pos_label=0))


def test_the_usual_average_is_macro_for_more_labels_and_micro_for_tags() -> None:
    for case, average in (("four labels", "macro"), ("tags", "micro")):
        for measure in ("precision", "recall", "f1"):
            usual = build("metric", measure)(CASES[case])
            assert usual == build("metric", measure, average=average)(CASES[case])


def test_named_averages_of_f1_are_f1_with_that_average() -> None:
    for average in AVERAGES:
        assert build("metric", f"f1_{average}")(CASES["four labels"]) == build("metric", "f1", average=average)(
            CASES["four labels"]
        )


def test_the_binary_average_of_more_labels_is_refused() -> None:
    with pytest.raises(DataError) as refused:
        build("metric", "recall", average="binary")(CASES["four labels"])
    assert str(refused.value) == (
        "recall: the average 'binary' needs two single labels, and these are 4 of a single-label task; "
        "take 'macro' or 'micro'"
    )


def test_a_label_that_is_neither_true_nor_predicted_has_no_say() -> None:
    p = CASES["four labels"]
    wider = replace(p, labels=Labels((*p.labels.names, "z")))
    assert build("metric", "f1_macro")(wider) == build("metric", "f1_macro")(p)


@pytest.mark.parametrize("case", ["two labels", "four labels", "abstentions"])
def test_mcc_is_scikit_learn_s(case: str) -> None:
    p = CASES[case]
    assert build("metric", "mcc")(p) == pytest.approx(sk.matthews_corrcoef(p.truth, p.predicted), abs=1e-12)


def test_mcc_of_tags_is_the_mean_over_labels() -> None:
    p = CASES["tags"]
    each = [sk.matthews_corrcoef(p.truth[:, c], p.predicted[:, c]) for c in range(4)]
    assert build("metric", "mcc")(p) == pytest.approx(np.mean(each), abs=1e-12)


def test_mcc_of_one_answer_to_everything_is_zero() -> None:
    p = CASES["two labels"]
    assert build("metric", "mcc")(replace(p, predicted=np.zeros(len(p), np.int64))) == 0.0


@pytest.mark.parametrize("name", REGISTRY.names("metric"))
@pytest.mark.parametrize("case", CASES)
def test_a_weight_is_so_many_copies_of_a_text(name: str, case: str) -> None:
    p, metric = CASES[case], build("metric", name)
    weights = np.random.default_rng(1).integers(0, 4, (7, len(p))).astype(np.float64)
    drawn = metric(p, weights)
    assert drawn.dtype == np.float64
    assert drawn.shape == (7,)
    copies = [metric(take(p, np.repeat(np.arange(len(p)), row.astype(int)))) for row in weights]
    assert drawn == pytest.approx(copies, abs=1e-10)


@pytest.mark.parametrize("name", REGISTRY.names("metric"))
@pytest.mark.parametrize("case", CASES)
def test_the_order_of_texts_and_of_labels_changes_nothing(name: str, case: str) -> None:
    p, metric = CASES[case], build("metric", name)
    shuffled = take(p, np.random.default_rng(2).permutation(len(p)))
    assert metric(shuffled) == pytest.approx(metric(p), abs=1e-12)
    if p.labels.positive is None:
        turned = replace(p, labels=Labels(p.labels.names[::-1], p.labels.task), scores=p.scores[:, ::-1])
        last = len(p.labels) - 1
        if p.truth.ndim == 2:
            turned = replace(turned, truth=p.truth[:, ::-1], predicted=p.predicted[:, ::-1])
        else:
            turned = replace(
                turned, truth=last - p.truth, predicted=np.where(p.predicted < 0, -1, last - p.predicted)
            )
        assert metric(turned) == pytest.approx(metric(p), abs=1e-12)


@pytest.mark.parametrize("name", REGISTRY.names("metric"))
def test_perfect_predictions_reach_the_best_value(name: str) -> None:
    for case in ("two labels", "four labels", "tags"):
        p = CASES[case]
        sure = p.truth_matrix().astype(np.float32)
        metric = build("metric", name)
        assert isinstance(metric, Metric)
        best = metric(replace(p, predicted=p.truth, scores=sure))
        assert best == pytest.approx(1.0 if metric.greater_is_better else 0.0, abs=1e-6)


def test_abstaining_is_always_wrong() -> None:
    p = CASES["four labels"]
    silent = replace(p, predicted=np.full(len(p), -1))
    for name in DECIDED:
        assert build("metric", name)(silent) == 0.0, name


def test_no_texts_give_no_number() -> None:
    for case in ("two labels", "tags"):
        nothing = take(CASES[case], np.zeros(0, np.int64))
        for name in ("accuracy", *SCORED):
            assert np.isnan(build("metric", name)(nothing)), name


def test_only_some_metrics_read_scores_and_only_loss_is_better_small() -> None:
    every = {name: build("metric", name) for name in REGISTRY.names("metric")}
    assert [name for name, metric in every.items() if metric.reads_scores] == SCORED
    assert [name for name, metric in every.items() if not metric.greater_is_better] == ["log_loss"]


def test_metrics_need_numpy_alone() -> None:
    heavy = "[name for name in ('sklearn', 'scipy', 'pandas') if name in sys.modules]"
    program = f"import sys, textclf_sklearn.metrics; print({heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def auc(*args: object) -> object:
    return build("metric", "roc_auc")(*args)


def test_the_area_of_two_labels_is_scikit_learn_s_with_ties() -> None:
    p = predictions(2, n=500)
    assert len(np.unique(p.scores[:, 1])) < 150
    assert auc(p) == pytest.approx(sk.roc_auc_score(p.truth, p.scores[:, 1]), abs=1e-12)
    turned = replace(p, labels=Labels(p.labels.names, positive=p.labels.names[0]))
    assert auc(turned) == pytest.approx(sk.roc_auc_score(p.truth == 0, p.scores[:, 0]), abs=1e-12)


def test_the_area_of_more_labels_is_the_mean_of_each_against_the_rest() -> None:
    p = predictions(4)
    each = [sk.roc_auc_score(p.truth == c, p.scores[:, c]) for c in range(4)]
    assert auc(p) == pytest.approx(np.mean(each), abs=1e-12)


def test_the_area_of_tags_is_the_mean_over_labels() -> None:
    p = predictions(4, task="multi-label")
    assert auc(p) == pytest.approx(sk.roc_auc_score(p.truth, p.scores, average="macro"), abs=1e-12)


def test_the_area_is_the_chance_to_rank_a_pair_rightly() -> None:
    p = predictions(2, n=60)
    yes, no = (p.scores[p.truth == label, 1] for label in (1, 0))
    wins = (yes[:, None] > no[None, :]) + 0.5 * (yes[:, None] == no[None, :])
    assert auc(p) == pytest.approx(wins.mean(), abs=1e-12)


def test_equal_scores_for_all_are_worth_one_half() -> None:
    p = predictions(2)
    assert auc(replace(p, scores=np.full_like(p.scores, 0.5))) == 0.5


def test_the_area_weighs_as_scikit_learn_does() -> None:
    p = predictions(2, n=200)
    weights = np.random.default_rng(3).random((5, 200))
    theirs = [sk.roc_auc_score(p.truth, p.scores[:, 1], sample_weight=row) for row in weights]
    assert auc(p, weights) == pytest.approx(theirs, abs=1e-12)


def test_a_draw_with_one_label_has_no_area() -> None:
    p = predictions(2, n=50)
    weights = np.stack([p.truth == 1, p.truth == 0, np.ones(50), np.zeros(50)]).astype(np.float64)
    drawn = auc(p, weights)
    assert np.isnan(drawn).tolist() == [True, True, False, True]
    assert np.isnan(auc(take(p, np.flatnonzero(p.truth))))


def test_a_label_without_area_has_no_say_among_others() -> None:
    p = predictions(3)
    wider = replace(
        p, labels=Labels((*p.labels.names, "z")), scores=np.hstack([p.scores, np.zeros((len(p), 1), np.float32)])
    )
    assert auc(wider) == pytest.approx(auc(p), abs=1e-12)


def test_draws_beyond_one_chunk_are_as_if_drawn_alone() -> None:
    p = predictions(2, n=2000)
    weights = np.random.default_rng(4).poisson(1.0, (2000, 2000)).astype(np.float64)
    drawn = auc(p, weights)
    assert drawn.shape == (2000,)
    for draw in (0, 17, 999, 1000, 1999):
        assert drawn[draw] == pytest.approx(auc(p, weights[draw : draw + 1])[0], abs=1e-12)
    assert abs(drawn.mean() - auc(p)) < 0.002


def test_loss_is_scikit_learn_s() -> None:
    for size in (2, 4):
        p = predictions(size)
        exact = p.scores.astype(np.float64)
        theirs = sk.log_loss(p.truth, exact / exact.sum(axis=1, keepdims=True), labels=range(size))
        assert build("metric", "log_loss")(p) == pytest.approx(theirs, abs=1e-6)


def test_loss_of_tags_is_the_mean_of_each_label_s() -> None:
    p = predictions(3, task="multi-label")
    p = replace(p, scores=p.scores.clip(0.01, 0.99))
    each = [sk.log_loss(p.truth[:, c], p.scores[:, c].astype(np.float64)) for c in range(3)]
    assert build("metric", "log_loss")(p) == pytest.approx(np.mean(each), abs=1e-6)


def test_certainty_that_is_wrong_costs_much_but_not_everything() -> None:
    p = predictions(2)
    wrong = np.stack([p.truth == 1, p.truth == 0], axis=1).astype(np.float32)
    assert build("metric", "log_loss")(replace(p, scores=wrong)) == pytest.approx(-np.log(np.finfo(np.float32).eps))
