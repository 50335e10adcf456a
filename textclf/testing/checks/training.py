"""Owns how a trainer under check is taught: the lesson it is given, and the model it gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...data.dataset import Dataset, Labels, Task
from ...data.predictions import Encoded
from ...errors import kind_of
from ...plugin.protocols import Encoder, Model
from ..clauses import Broken, NotApplicable, line_of
from ..context import LocalContext, judge_against
from .readonly import as_cached
from .subject import Subject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model and what it was trained with; `features` are those of the test split."""

    dataset: Dataset
    encoder: Encoder
    model: Model
    features: Any

    def scores(self, subject: Subject) -> NDArray[np.float32]:
        return self.model.scores(self.features, subject.context())


def train_once(subject: Subject, task: Task, *, labels: Labels | None = None, again: bool = False) -> Trained:
    """Train on the stand-in dataset, once for each task unless `again`; `labels` rename the dataset's."""
    key = ("trained", task)
    if again or labels is not None or key not in subject.memory:
        trained = teach(lesson_of(subject, task, labels), subject.context(seed=7))
        if again or labels is not None:
            return trained
        subject.memory[key] = trained
    kept: Trained = subject.memory[key]
    return kept


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a trainer is given: an encoder, the dataset encoded by it, and a judge of the test split.

    validation: what it is given as that, where it uses one, if not the test split.
    """

    subject: Subject
    dataset: Dataset
    encoder: Encoder
    train: Encoded
    test: Encoded
    validation: Encoded | None = None


def lesson_of(subject: Subject, task: Task, labels: Labels | None = None) -> Lesson:
    component, options = subject.stand_in_encoder()
    dataset = subject.dataset(task)
    dataset = dataset if labels is None else replace(dataset, labels=labels)
    if dataset.test is None:
        raise NotApplicable("the stand-in dataset has no test split")
    encoder: Encoder = component.build(options)
    context = subject.context()
    encoder.fit(dataset.train, context)
    folder = subject.folder()
    train = Encoded(as_cached(encoder.encode(dataset.train.texts, context), folder / "train.npy"), dataset.train.labels)
    test = Encoded(as_cached(encoder.encode(dataset.test.texts, context), folder / "test.npy"), dataset.test.labels)
    return Lesson(subject, dataset, encoder, train, test)


def teach(lesson: Lesson, context: LocalContext) -> Trained:
    subject, labels = lesson.subject, lesson.dataset.labels
    context.judging = judge_against(lesson.test.labels, labels)
    validation = (lesson.validation or lesson.test) if subject.traits.uses_validation else None
    trainer = subject.build()
    model = trainer.train(lesson.encoder, lesson.train, validation, labels, context)
    missing = [name for name in ("scores", "save") if not callable(getattr(model, name, None))]
    if missing:
        at = line_of(trainer.train, subject.component)
        raise Broken(f"train returns {kind_of(model)}, which has no {', '.join(missing)}{at}")
    return Trained(lesson.dataset, lesson.encoder, model, lesson.test.features)


def tasks_of(subject: Subject) -> Iterator[Task]:
    yield from sorted(subject.traits.tasks, reverse=True)
