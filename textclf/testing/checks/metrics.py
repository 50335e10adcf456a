"""Owns the clauses of metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...data.dataset import Labels, Task, Texts
from ...data.predictions import Predictions
from ..clauses import Broken, Check, Clause, NotApplicable
from .subject import Subject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TEXTS = 40
_ROUNDING = 1e-9


def _says_its_direction(subject: Subject) -> None:
    metric = subject.build()
    for name in ("greater_is_better", "reads_scores"):
        if not isinstance(getattr(metric, name, None), bool):
            raise Broken(f"its {name} is {getattr(metric, name, None)!r}, neither True nor False")


def _prefers_the_right(subject: Subject) -> None:
    import numpy as np

    metric = subject.build()
    for labels in tasks(subject):
        truth = _truth(labels)
        best, worst = float(metric(_right(truth, labels))), float(metric(_wrong(truth, labels)))
        if not np.isfinite([best, worst]).all() or (best > worst) != metric.greater_is_better or best == worst:
            raise Broken(f"{labels.task}: {best} where all is right, {worst} where all is wrong")


def _gives_a_float(subject: Subject) -> None:
    import numpy as np

    metric = subject.build()
    for labels in tasks(subject):
        predictions = mixed(labels)
        value = metric(predictions)
        if not isinstance(value, float):
            raise Broken(f"{labels.task}: it returns a {type(value).__name__}, no float")
        drawn = metric(predictions, _weights(3))
        if not isinstance(drawn, np.ndarray) or drawn.dtype != np.float64 or drawn.shape != (3,):
            raise Broken(f"{labels.task}: for three draws of weights it returns {drawn!r}, not float64[3]")


def _ignores_order(subject: Subject) -> None:
    metric = subject.build()
    for labels in tasks(subject):
        predictions = mixed(labels)
        turned = _rows(predictions, range(_TEXTS)[::-1])
        _demand_near(metric(predictions), metric(turned), f"{labels.task}, turned round")


def _counts_weights_as_rows(subject: Subject) -> None:
    import numpy as np

    metric = subject.build()
    for labels in tasks(subject):
        predictions, weights = mixed(labels), _weights(4)
        weighted = metric(predictions, weights)
        for draw in range(len(weights)):
            repeated = _rows(predictions, np.repeat(np.arange(_TEXTS), weights[draw].astype(np.int64)))
            _demand_near(weighted[draw], metric(repeated), f"{labels.task}, weights and repeated rows")


def _reads_scores_as_it_says(subject: Subject) -> None:
    metric = subject.build()
    if metric.reads_scores:
        raise NotApplicable("it reads scores")
    for labels in tasks(subject):
        predictions = mixed(labels)
        flat = replace(predictions, scores=predictions.scores * 0 + 0.5)
        _demand_near(metric(predictions), metric(flat), f"{labels.task}, other scores")


def _lies_between_its_extremes(subject: Subject) -> None:
    metric = subject.build()
    for labels in tasks(subject):
        truth = _truth(labels)
        low, high = sorted((float(metric(_wrong(truth, labels))), float(metric(_right(truth, labels)))))
        value = float(metric(mixed(labels)))
        if not low <= value <= high:
            raise Broken(f"{labels.task}: {value} where three in four are right, {low} and {high} for none and all")


def _leaves_its_input(subject: Subject) -> None:
    metric = subject.build()
    for labels in tasks(subject):
        predictions, weights = mixed(labels), _weights(3)
        metric(predictions)
        metric(predictions, weights)
        fresh = mixed(labels)
        same = [(getattr(predictions, name) == getattr(fresh, name)).all() for name in ("truth", "predicted", "scores")]
        if not all(same) or (weights != _weights(3)).any():
            raise Broken(f"{labels.task}: it changes the predictions or the weights it is given")


def _is_the_same_again(subject: Subject) -> None:
    for labels in tasks(subject):
        values = [subject.build()(mixed(labels)) for _ in range(2)]
        if values[0] != values[1]:
            raise Broken(f"{labels.task}: asked twice, it says {values[0]} and {values[1]}")


def _demand_near(one: Any, other: Any, what: str) -> None:
    if not abs(float(one) - float(other)) <= _ROUNDING * max(1.0, abs(float(one))):
        raise Broken(f"{what}: {float(one)} and {float(other)}")


def tasks(subject: Subject) -> Iterator[Labels]:
    """Give labels of each task the metric is for: two, and, where it is for more than two, three."""
    tasks: list[Task] = sorted(subject.traits.tasks, reverse=True)
    for task in tasks:
        yield Labels(("bad", "good"), task)
        yield Labels(("bad", "fair", "good"), task)


def _truth(labels: Labels) -> NDArray[Any]:
    import numpy as np

    rows = np.arange(_TEXTS)
    single = rows % len(labels)
    member: NDArray[Any] = (rows[:, None] >> np.arange(len(labels))) % 2 == 1
    return single if labels.task == "single-label" else member


def _right(truth: NDArray[Any], labels: Labels) -> Predictions:
    import numpy as np

    member = truth if truth.ndim == 2 else truth[:, None] == np.arange(len(labels))
    return _predictions(truth, np.where(member, 0.9, 0.1 / max(1, len(labels) - 1)), labels)


def _wrong(truth: NDArray[Any], labels: Labels) -> Predictions:
    """Predict the next label, or the opposite set of labels."""
    if truth.ndim == 2:
        return replace(_right(~truth, labels), truth=truth)
    return replace(_right((truth + 1) % len(labels), labels), truth=truth)


def mixed(labels: Labels) -> Predictions:
    """Predict three texts in four rightly, with scores that come from a fixed draw and tie now and then."""
    import numpy as np

    truth = _truth(labels)
    noise = np.random.default_rng(5).integers(1, 8, (_TEXTS, len(labels))) / 10
    right, wrong = _right(truth, labels).scores, _wrong(truth, labels).scores
    return _predictions(truth, np.where(np.arange(_TEXTS)[:, None] % 4, right, wrong) + noise, labels)


def _predictions(truth: NDArray[Any], scores: NDArray[Any], labels: Labels) -> Predictions:
    import numpy as np

    shares = scores / (scores.sum(axis=1, keepdims=True) if labels.task == "single-label" else 2)
    shares = shares if labels.task == "single-label" else np.where(scores > 0.5, 0.5 + shares / 2, shares)
    kept: NDArray[np.float32] = shares.astype(np.float32)
    predicted = kept.argmax(axis=1).astype(np.int64) if labels.task == "single-label" else kept >= 0.5
    texts = Texts([f"text {row}" for row in range(len(truth))])
    return Predictions(labels, truth, predicted, kept, texts, [str(row) for row in range(len(truth))])


def _rows(predictions: Predictions, rows: Any) -> Predictions:
    import numpy as np

    rows = np.asarray(rows)
    return replace(
        predictions,
        truth=predictions.truth[rows],
        predicted=predictions.predicted[rows],
        scores=predictions.scores[rows],
        texts=predictions.texts.take(rows),
        ids=[predictions.ids[row] for row in rows],
    )


def _weights(draws: int) -> NDArray[np.float64]:
    """Return how often each text is drawn: whole numbers, some of them zero, as a bootstrap draws them."""
    import numpy as np

    return np.random.default_rng(3).integers(0, 4, (draws, _TEXTS)).astype(np.float64)


METRIC: tuple[Check[Subject], ...] = (
    Check(
        Clause("metric.direction", "it says if greater is better and if it reads scores", "`select` turns by it"),
        _says_its_direction,
    ),
    Check(
        Clause("metric.repeats", "the same predictions have the same value", "a report must be repeatable"),
        _is_the_same_again,
        after=("metric.direction",),
    ),
    Check(
        Clause("metric.extremes", "all right is better than all wrong", "else it rewards mistakes"),
        _prefers_the_right,
        after=("metric.direction", "metric.repeats"),
    ),
    Check(
        Clause("metric.float", "it returns a float, or float64[draws] for weights [draws, n]", "intervals need draws"),
        _gives_a_float,
        after=("metric.direction", "metric.extremes", "metric.repeats", "metric.input"),
    ),
    Check(
        Clause("metric.order", "the order of the texts changes nothing", "a split has no order"),
        _ignores_order,
        after=("metric.float",),
    ),
    Check(
        Clause("metric.weights", "a weight counts as that many rows", "the bootstrap draws weights instead of rows"),
        _counts_weights_as_rows,
        after=("metric.float", "metric.order"),
    ),
    Check(
        Clause("metric.cells", "without reading scores, it depends on truth and predictions alone", "its draws do too"),
        _reads_scores_as_it_says,
        after=("metric.float",),
    ),
    Check(
        Clause("metric.range", "what is partly right lies between all wrong and all right", "a value must be readable"),
        _lies_between_its_extremes,
        after=("metric.float",),
    ),
    Check(
        Clause("metric.input", "what it is given stays as it is", "other metrics read the same predictions"),
        _leaves_its_input,
        after=("metric.direction",),
    ),
)
