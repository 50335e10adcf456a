"""A tuned threshold is the best one on validation, and the plainest among equals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.toys import engine, recipe
from textclf import Decision, Labels, Predictions, Texts
from textclf.evaluation.evaluate import tune
from textclf.testing.toy import ToyAccuracy

AB = Labels(("neg", "pos"))


def predictions(positive: list[float], truth: list[int]) -> Predictions:
    scores = np.array([[1 - p, p] for p in positive], np.float32)
    return _predictions(AB, scores, np.array(truth))


def _predictions(labels: Labels, scores: NDArray[np.float32], truth: NDArray[np.int64]) -> Predictions:
    n = len(truth)
    return Predictions(labels, truth, truth, scores, Texts([""] * n), [""] * n)


def tuned(found: Predictions, abstain_below: float = 0.0) -> Decision:
    return tune(found, {"m": ToyAccuracy()}, "m", abstain_below)


def test_the_cut_lies_between_the_scores_that_it_parts() -> None:
    decision = tuned(predictions([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]))
    assert decision.threshold == pytest.approx(0.25)


def test_of_equal_cuts_the_one_nearest_to_a_half_is_taken() -> None:
    assert tuned(predictions([0.1, 0.9], [0, 1])).threshold == 0.5
    assert tuned(predictions([0.7, 0.7], [1, 1]), 0.3) == Decision(0.5, 0.3)


def test_several_labels_share_one_cut() -> None:
    scores = np.array([[0.2, 0.3], [0.1, 0.25]], np.float32)
    found = _predictions(Labels(("x", "y"), "multi-label"), scores, np.array([[False, True], [False, True]]))
    assert tuned(found).threshold == pytest.approx(0.225)


def test_many_scores_are_cut_at_their_quantiles() -> None:
    positive = np.linspace(0, 1, 5000)
    decision = tuned(predictions(list(positive), [int(p > 0.8) for p in positive]))
    assert decision.threshold == pytest.approx(0.8, abs=0.01)


def test_a_run_tunes_on_validation_and_its_classifier_keeps_the_cut() -> None:
    done = engine().run(recipe(decide={"threshold": "tuned"}, split={"validation": 0.3}))
    assert set(done.report.sizes) == {"train", "validation", "test"}  # type: ignore[union-attr]
    assert isinstance(done.classifier.decision.threshold, float)
    assert engine().load(done.folder).decision == done.classifier.decision
