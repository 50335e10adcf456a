"""Owns predictions that metrics are tried on: all right, all wrong, and three in four right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...data.dataset import Labels, Task, Texts
from ...data.predictions import ABSTAINED, Predictions
from .subject import Subject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXTS = 40


def tasks(subject: Subject) -> Iterator[Labels]:
    """Give labels of each task the metric is for: two, and, where it is for more than two, three."""
    tasks: list[Task] = sorted(subject.traits.tasks, reverse=True)
    for task in tasks:
        yield Labels(("bad", "good"), task)
        yield Labels(("bad", "fair", "good"), task)


def truth_of(labels: Labels) -> NDArray[Any]:
    import numpy as np

    rows = np.arange(TEXTS)
    single = rows % len(labels)
    member: NDArray[Any] = (rows[:, None] >> np.arange(len(labels))) % 2 == 1
    return single if labels.task == "single-label" else member


def all_right(truth: NDArray[Any], labels: Labels) -> Predictions:
    import numpy as np

    member = truth if truth.ndim == 2 else truth[:, None] == np.arange(len(labels))
    return _predictions(truth, np.where(member, 0.9, 0.1 / max(1, len(labels) - 1)), labels)


def all_wrong(truth: NDArray[Any], labels: Labels) -> Predictions:
    """Predict the next label, or the opposite set of labels."""
    if truth.ndim == 2:
        return replace(all_right(~truth, labels), truth=truth)
    return replace(all_right((truth + 1) % len(labels), labels), truth=truth)


def mixed(labels: Labels) -> Predictions:
    """Predict three texts in four rightly, with scores that come from a fixed draw and tie now and then."""
    import numpy as np

    truth = truth_of(labels)
    noise = np.random.default_rng(5).integers(1, 8, (TEXTS, len(labels))) / 10
    right, wrong = all_right(truth, labels).scores, all_wrong(truth, labels).scores
    return _predictions(truth, np.where(np.arange(TEXTS)[:, None] % 4, right, wrong) + noise, labels)


def abstaining(predictions: Predictions, rows: Any, answer: int = ABSTAINED) -> Predictions:
    """Give the texts of some rows no label, or another `answer`."""
    predicted = predictions.predicted.copy()
    predicted[rows] = answer
    return replace(predictions, predicted=_fixed(predicted))


def writable(predictions: Predictions) -> Predictions:
    """Return predictions whose arrays can be written into, as those of no run can."""
    truth, predicted, scores = predictions.truth.copy(), predictions.predicted.copy(), predictions.scores.copy()
    return replace(predictions, truth=truth, predicted=predicted, scores=scores)


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that nobody can write into, as a run's are."""
    array.flags.writeable = False
    return array


def _predictions(truth: NDArray[Any], scores: NDArray[Any], labels: Labels) -> Predictions:
    import numpy as np

    shares = scores / (scores.sum(axis=1, keepdims=True) if labels.task == "single-label" else 2)
    shares = shares if labels.task == "single-label" else np.where(scores > 0.5, 0.5 + shares / 2, shares)
    kept: NDArray[np.float32] = shares.astype(np.float32)
    predicted = kept.argmax(axis=1).astype(np.int64) if labels.task == "single-label" else kept >= 0.5
    texts = Texts([f"text {row}" for row in range(len(truth))])
    ids = [str(row) for row in range(len(truth))]
    return Predictions(labels, _fixed(truth), _fixed(predicted), _fixed(kept), texts, ids)


def take(predictions: Predictions, rows: Any) -> Predictions:
    import numpy as np

    rows = np.asarray(rows)
    return replace(
        predictions,
        truth=_fixed(predictions.truth[rows]),
        predicted=_fixed(predictions.predicted[rows]),
        scores=_fixed(predictions.scores[rows]),
        texts=predictions.texts.take(rows),
        ids=[predictions.ids[row] for row in rows],
    )


def weights_of(draws: int) -> NDArray[np.float64]:
    """Return how often each text is drawn: whole numbers, some of them zero, as a bootstrap draws them."""
    import numpy as np

    return _fixed(np.random.default_rng(3).integers(0, 4, (draws, TEXTS)).astype(np.float64))
