"""The metrics of scores: area under the ROC curve and logarithmic loss, against scikit-learn and by definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from textclf import Labels

from .sentences import build
from .test_metrics import predictions, take


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
