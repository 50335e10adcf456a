"""Owns the clauses of what a trainer is given: it leaves it as it is, and lives with a label that no text has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from ...data.predictions import Decision, Encoded
from ...errors import DataError
from ..clauses import Broken, Check, Clause, NotApplicable, raised
from .comparing import dense, take
from .readonly import as_made
from .subject import Subject
from .trainers import LEARNT, demand_probabilities
from .training import Lesson, lesson_of, tasks_of, teach, train_once

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _demand_matrix(subject: Subject) -> None:
    component, options = subject.stand_in_encoder()
    if component.traits_of(options).makes not in ("matrix", "counts"):
        raise NotApplicable("its features are no matrix")


def _leaves_its_input(subject: Subject) -> None:
    _demand_matrix(subject)
    for task in tasks_of(subject):
        lesson = lesson_of(subject, task)
        train, test = lesson.train, lesson.test
        before = [dense(train.features).copy(), train.labels.copy(), dense(test.features).copy()]
        try:
            _work(lesson)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            made, other = (replace(one, features=as_made(one.features)) for one in (train, test))
            _demand_no_better(subject, replace(lesson, train=made, test=other), error)
        after = [dense(train.features), train.labels, dense(test.features)]
        if any((one != other).any() for one, other in zip(before, after, strict=True)):
            raise Broken("it changes the features or labels it is given")


def _work(lesson: Lesson) -> None:
    teach(lesson, lesson.subject.context(seed=7)).scores(lesson.subject)


def _demand_no_better(subject: Subject, lesson: Lesson, fault: BaseException) -> NoReturn:
    """Raise Broken where a lesson that can be written into is learnt; what fails anyhow is for others to tell."""
    try:
        _work(lesson)
    except (Exception, SystemExit):  # noqa: BLE001 - as above
        raise NotApplicable("it does not get so far") from None
    said = raised(fault, subject.component)
    raise Broken(f"given read-only features, as a run's cache gives them, it raises {said}") from None


def _does_without_a_label(subject: Subject) -> None:
    for task in tasks_of(subject):
        lesson = lesson_of(subject, task)
        absent = _absent(lesson)
        try:
            trained = teach(_without(lesson, absent), subject.context(seed=7))
        except DataError as refused:
            raise NotApplicable(f"it refuses to learn without it: {refused}") from None
        demand_probabilities(subject, trained)
        right = _right_without(absent, Decision().decide(trained.scores(subject), lesson.dataset.labels), lesson.test)
        if right < LEARNT:
            name = lesson.dataset.labels.names[absent]
            raise Broken(
                f"where no training text has the label '{name}', of the other {task} texts it gets {right:.0%} right; "
                f"{LEARNT:.0%} is asked; keep a column for each of `labels`, in their order"
            )


def _absent(lesson: Lesson) -> int:
    """Return the column of a label in the middle: what drops it from the columns shifts those behind it."""
    labels = lesson.dataset.labels
    if len(labels) < 3:
        raise NotApplicable("without one of two labels nothing is left to tell apart")
    return len(labels) // 2


def _without(lesson: Lesson, absent: int) -> Lesson:
    """Return the lesson without the training texts of a label; in a multi-label task, without the label."""
    import numpy as np

    labels = lesson.train.labels.copy()
    if labels.ndim == 2:
        labels[:, absent] = False
        return replace(lesson, train=Encoded(lesson.train.features, labels))
    kept = np.flatnonzero(labels != absent)
    return replace(lesson, train=Encoded(take(lesson.train.features, kept.tolist()), labels[kept]))


def _right_without(absent: int, decided: NDArray[Any], test: Encoded) -> float:
    """Return the share of right answers to the texts of the other labels, or in the worst of their columns."""
    import numpy as np

    right = decided == test.labels
    others = np.delete(right, absent, axis=1) if right.ndim == 2 else right[test.labels != absent]
    return float(others.mean(axis=0).min())


def _uses_validation(subject: Subject) -> None:
    subject.stand_in_encoder()
    if not subject.traits.uses_validation:
        raise NotApplicable("it uses no validation texts")


def _learns_from_train_alone(subject: Subject) -> None:
    import numpy as np

    for task in tasks_of(subject):
        lesson = lesson_of(subject, task)
        turned = replace(lesson, validation=Encoded(lesson.test.features, np.roll(lesson.test.labels, 1, axis=0)))
        scores = train_once(subject, task).scores(subject)
        other = teach(turned, subject.context(seed=7)).scores(subject)
        if not np.array_equal(scores, other):
            raise Broken(
                f"with other labels of the validation texts, judged alike, {task} scores differ by up to "
                f"{np.abs(scores - other).max():.3g}: learn from train, and ask context.judge about validation"
            )


TAUGHT_TRAINER: tuple[Check[Subject], ...] = (
    Check(
        Clause("trainer.input", "what it is given stays as it is", "features are shared and cached"),
        _leaves_its_input,
    ),
    Check(
        Clause("trainer.absent", "a label that no training text has is a column, too", "small splits lack rare labels"),
        _does_without_a_label,
        after=("trainer.scores", "trainer.learns"),
    ),
    Check(
        Clause("trainer.validation", "it learns nothing from labels of validation", "what chooses must not be learnt"),
        _learns_from_train_alone,
        after=("trainer.scores", "trainer.repeats"),
        applies=_uses_validation,
    ),
)
