"""Owns the clause of trainers that read matrices: a sparse one holds the same numbers as a dense one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from ...data.predictions import Encoded
from ..clauses import Broken, Check, Clause, NotApplicable, raised
from .comparing import demand_same, dense
from .subject import Subject
from .training import Lesson, Trained, lesson_of, tasks_of, teach

# Solvers may take other steps through zeros that are not stored: what they find is near, not equal.
_NEAR = 0.05
_ROUNDING = 1e-4


def _forms() -> Mapping[str, Callable[[Any], Any]]:
    """Return the forms in which sparse features come: the encoder's own, or the cache's, which keeps a csr_matrix."""
    if find_spec("scipy") is None:
        raise NotApplicable("not installed: scipy")
    from scipy import sparse

    return {"csr_matrix": sparse.csr_matrix, "csr_array": sparse.csr_array}


def _takes_sparse_features(subject: Subject) -> None:
    component, options = subject.stand_in_encoder()
    if component.traits_of(options).makes not in ("matrix", "counts"):
        raise NotApplicable("its features are no matrix")
    for task in tasks_of(subject):
        lesson = lesson_of(subject, task)
        whole = teach(_as(lesson, dense), subject.context(seed=7))
        for name, form in _forms().items():
            try:
                _demand_alike(whole, _as(lesson, form), f"{task} scores of a dense array and of a {name}")
            except (Broken, NotApplicable):
                raise
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                raise Broken(f"given a {name} it raises {raised(error, subject.component)}") from None


def _demand_alike(whole: Trained, lesson: Lesson, what: str) -> None:
    """Raise Broken where a model scores a sparse matrix otherwise, or another is learnt from it."""
    subject = lesson.subject
    scores = whole.scores(subject)
    demand_same(scores, whole.model.scores(lesson.test.features, subject.context()), what, _ROUNDING)
    demand_same(scores, teach(lesson, subject.context(seed=7)).scores(subject), f"{what}, trained on each", _NEAR)


def _as(lesson: Lesson, form: Callable[[Any], Any]) -> Lesson:
    train, test = (Encoded(_turned(one.features, form), one.labels) for one in (lesson.train, lesson.test))
    return replace(lesson, train=train, test=test)


def _turned(features: Any, form: Callable[[Any], Any]) -> Any:
    return form(dense(features).astype(features.dtype))


SPARSE_TRAINER: tuple[Check[Subject], ...] = (
    Check(
        Clause("trainer.sparse", "dense or sparse, the same features give the same scores", "encoders make either"),
        _takes_sparse_features,
        after=("trainer.scores", "trainer.repeats", "trainer.input", "trainer.neighbours"),
    ),
)
