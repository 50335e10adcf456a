"""The clauses of metrics."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...data.dataset import Labels, Task, Texts
from ...data.predictions import ABSTAINED, Predictions
from ...errors import type_name
from ...evaluation.metrics import cells_of
from ...plugin.protocols import Metric
from ..contract import Broken, Check, Clause, NotApplicable, raised
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


# Scores are float32, and so may be what is counted with them.
_ROUNDING = 1e-6


def _has_a_direction(subject: Subject) -> None:
    metric = subject.build()
    for name in ("greater_is_better", "reads_scores"):
        if not isinstance(getattr(metric, name, None), bool):
            raise Broken(f"its {name} is {getattr(metric, name, None)!r}, neither True nor False")


def _prefers_the_right(subject: Subject) -> None:
    import numpy as np

    metric = subject.build()
    for labels in tasks(subject):
        truth = truth_of(labels)
        best, worst = float(metric(all_right(truth, labels))), float(metric(all_wrong(truth, labels)))
        for value, where in ((best, "right"), (worst, "wrong")):
            if not np.isfinite(value):
                raise Broken(f"{labels.task}: it is {value} where all is {where}; say which number it is there")
        if (best > worst) != metric.greater_is_better or best == worst:
            raise Broken(f"{labels.task}: {best} where all is right, {worst} where all is wrong")


def _gives_a_float(subject: Subject) -> None:
    import numpy as np

    metric = subject.build()
    for labels in tasks(subject):
        predictions = mixed(labels)
        value = metric(predictions)
        if not isinstance(value, float):
            raise Broken(f"{labels.task}: it returns {type_name(value)}, not a float")
        if value != value:
            raise Broken(f"{labels.task}: it returns NaN where three in four are right; return a number")
        _demand_weights(metric)
        drawn = metric(predictions, weights_of(3))
        if not isinstance(drawn, np.ndarray) or drawn.dtype != np.float64 or drawn.shape != (3,):
            found = repr(drawn) if isinstance(drawn, (float, np.ndarray)) else type_name(drawn)
            raise Broken(f"{labels.task}: for three draws of weights it returns {found}, not float64[3]")


def _demand_weights(metric: Any) -> None:
    try:
        inspect.signature(metric).bind(None, None)
    except TypeError:
        raise Broken("it takes no weights; define __call__(self, predictions, weights=None)") from None


def _ignores_order(subject: Subject) -> None:
    metric = subject.build()
    for labels in tasks(subject):
        predictions = mixed(labels)
        turned = take(predictions, range(TEXTS)[::-1])
        _demand_near(metric(predictions), metric(turned), f"{labels.task}, turned round")


def _counts_weights_as_rows(subject: Subject) -> None:
    metric = subject.build()
    for labels in tasks(subject):
        _demand_weights_as_rows(metric, mixed(labels), f"{labels.task}, weights and repeated rows")


def _demand_weights_as_rows(metric: Any, predictions: Predictions, what: str) -> None:
    import numpy as np

    weights = weights_of(4)
    weighted = metric(predictions, weights)
    for draw in range(len(weights)):
        repeated = take(predictions, np.repeat(np.arange(TEXTS), weights[draw].astype(np.int64)))
        _demand_near(weighted[draw], metric(repeated), what)


def _knows_single_labels(subject: Subject) -> None:
    if "single-label" not in subject.traits.tasks:
        raise NotApplicable("only texts of one label each are left without an answer")


def _knows_abstentions(subject: Subject) -> None:
    metric = subject.build()
    for labels in (labels for labels in tasks(subject) if labels.task == "single-label"):
        predictions = abstaining(mixed(labels), slice(1, None, 4))
        try:
            value = metric(predictions)
            _demand_weights_as_rows(metric, predictions, "some texts without an answer, weights and repeated rows")
        except Broken:
            raise
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            raise Broken(f"where a text has no answer (-1) it raises {raised(error, subject.component)}") from None
        if not isinstance(value, float) or value != value:
            raise Broken(f"where some texts have no answer (-1) it returns {value!r}")
        if len(labels) > 2 and _takes_none_for_the_last(metric, mixed(labels)):
            raise Broken(f"a text without an answer (-1) counts as if it had the last label, '{labels.names[-1]}'")


def _takes_none_for_the_last(metric: Metric, predictions: Predictions) -> bool:
    """Tell whether -1 counts as the last label both where that is right and where it is wrong.

    Either alone may be meant; and where the last label counts as another one does too, nothing can be told.
    """
    import numpy as np

    last = len(predictions.labels) - 1
    for truth, other in ((last, 1), (0, 0)):
        rows = np.flatnonzero((predictions.truth == truth) & (predictions.predicted == truth))[::2]
        none, as_last, as_other = (metric(abstaining(predictions, rows, a)) for a in (ABSTAINED, last, other))
        if _near(as_last, as_other) or not _near(none, as_last):
            return False
    return True


def _reads_no_scores(subject: Subject) -> None:
    if subject.build().reads_scores is True:
        raise NotApplicable("it reads scores")


def _depends_on_cells(subject: Subject) -> None:
    import numpy as np

    metric = subject.build()
    for labels in tasks(subject):
        predictions = mixed(labels)
        value = float(metric(predictions))
        cells, cell_of_row = cells_of(predictions)
        blank = [""] * TEXTS
        others = {
            "scores": replace(predictions, scores=predictions.scores * 0 + 0.5),
            "texts": replace(predictions, texts=Texts(blank)),
            "ids and groups": replace(predictions, ids=blank, groups=blank),
        }
        found = {f"with other {name}": float(metric(other)) for name, other in others.items()}
        counts = np.bincount(cell_of_row).astype(np.float64)
        found["counted by truth and prediction"] = float(metric(cells, counts[None])[0])
        for how, other in found.items():
            if not _near(value, other):
                raise Broken(f"{labels.task}: {value}, and {other} {how}; set `reads_scores = True`")


def _lies_between_its_extremes(subject: Subject) -> None:
    metric = subject.build()
    for labels in tasks(subject):
        truth = truth_of(labels)
        low, high = sorted((float(metric(all_wrong(truth, labels))), float(metric(all_right(truth, labels)))))
        value = float(metric(mixed(labels)))
        if not low <= value <= high:
            raise Broken(f"{labels.task}: {value} where three in four are right, {low} and {high} for none and all")


def _leaves_its_input(subject: Subject) -> None:
    metric = subject.build()
    for labels in tasks(subject):
        predictions, weights, fresh = mixed(labels), weights_of(3), mixed(labels)
        try:
            _both(metric, predictions, weights)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            try:
                _both(metric, writable(fresh), weights.copy())
            except Exception:  # noqa: BLE001 - what fails with any arrays is for another clause to tell
                continue
            fault = raised(error, subject.component)
            raise Broken(f"{labels.task}: given read-only arrays, as a run's are, it raises {fault}") from None
        same = [(getattr(predictions, name) == getattr(fresh, name)).all() for name in ("truth", "predicted", "scores")]
        if not all(same) or (weights != weights_of(3)).any():
            raise Broken(f"{labels.task}: it changes the predictions or the weights it is given")


def _both(metric: Metric, predictions: Predictions, weights: NDArray[np.float64]) -> None:
    metric(predictions)
    metric(predictions, weights)


def _is_the_same_again(subject: Subject) -> None:
    for labels in tasks(subject):
        values = [subject.build()(mixed(labels)) for _ in range(2)]
        if values[0] != values[1]:
            raise Broken(f"{labels.task}: asked twice, it says {values[0]} and {values[1]}")


def _demand_near(one: Any, other: Any, what: str) -> None:
    if not _near(float(one), float(other)):
        raise Broken(f"{what}: {float(one)} and {float(other)}")


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= _ROUNDING * max(1.0, abs(one))


_SOUND = ("metric.float", "metric.repeats", "metric.input")

METRIC: tuple[Check[Subject], ...] = (
    Check(
        Clause("metric.direction", "it says if greater is better and if it reads scores", "`select` turns by it"),
        _has_a_direction,
    ),
    Check(
        Clause("metric.input", "what it is given stays as it is", "other metrics read the same predictions"),
        _leaves_its_input,
        after=("metric.direction",),
    ),
    Check(
        Clause("metric.float", "it returns a float, or float64[draws] for weights [draws, n]", "intervals need draws"),
        _gives_a_float,
        after=("metric.direction", "metric.input"),
    ),
    Check(
        Clause("metric.repeats", "the same predictions have the same value", "a report must be repeatable"),
        _is_the_same_again,
        after=("metric.float",),
    ),
    Check(
        Clause("metric.extremes", "all right is better than all wrong", "else it rewards mistakes"),
        _prefers_the_right,
        after=_SOUND,
    ),
    Check(
        Clause("metric.order", "the order of the texts changes nothing", "a split has no order"),
        _ignores_order,
        after=_SOUND,
    ),
    Check(
        Clause("metric.weights", "a weight counts as that many rows", "the bootstrap draws weights instead of rows"),
        _counts_weights_as_rows,
        after=(*_SOUND, "metric.order"),
    ),
    Check(
        Clause("metric.cells", "without reading scores, it depends on truth and predictions alone", "its draws do too"),
        _depends_on_cells,
        after=(*_SOUND, "metric.order", "metric.weights"),
        applies=_reads_no_scores,
    ),
    Check(
        Clause("metric.range", "what is partly right lies between all wrong and all right", "a value must be readable"),
        _lies_between_its_extremes,
        after=(*_SOUND, "metric.extremes"),
    ),
    Check(
        Clause("metric.abstains", "a text without an answer (-1) counts as no label's", "`abstain_below` makes them"),
        _knows_abstentions,
        after=(*_SOUND, "metric.extremes", "metric.order", "metric.weights"),
        applies=_knows_single_labels,
    ),
)
