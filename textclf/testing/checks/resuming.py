"""Owns the clauses of trainers that are stopped: they stop when asked, and go on as if they had not been."""

from __future__ import annotations

from ...errors import Stopped
from ..clauses import Broken, Check, Clause, NotApplicable
from ..context import FolderCheckpoints
from .subject import Subject
from .training import lesson_of, tasks_of, teach, train_once


def _stops_when_asked(subject: Subject) -> None:
    if "stopped" not in subject.memory:
        subject.memory["stopped"] = _stopped(subject)
    if not subject.memory["stopped"]:
        raise NotApplicable("it never asks context.stopping(): training is over before anybody could wish to stop it")


def _stopped(subject: Subject) -> bool:
    """Stop training at its second question, and tell whether it asked at all."""
    context = subject.context(seed=7)
    context.checkpoints, context.stop_after = FolderCheckpoints(subject.folder()), 1
    try:
        teach(lesson_of(subject, next(tasks_of(subject))), context)
    except Stopped:
        subject.memory["checkpoints"] = context.checkpoints
        return True
    if context.stop_after < 0:
        raise Broken("asked to stop, it goes on to the end: save a checkpoint and raise textclf.Stopped")
    return False


def _resumes(subject: Subject) -> None:
    import numpy as np

    _stops_when_asked(subject)
    store: FolderCheckpoints = subject.memory["checkpoints"]
    if store.latest() is None:
        raise NotApplicable("it saves no checkpoint: what is stopped begins anew")
    task = next(tasks_of(subject))
    context = subject.context(seed=7)
    context.checkpoints = store
    resumed = teach(lesson_of(subject, task), context).scores(subject)
    whole = train_once(subject, task).scores(subject)
    if not np.array_equal(resumed, whole):
        worst = np.abs(resumed - whole).max()
        raise Broken(f"stopped and resumed, its scores differ from those of a whole training by up to {worst:.3g}")


RESUMED_TRAINER: tuple[Check[Subject], ...] = (
    Check(
        Clause("trainer.stopping", "asked to stop, it raises Stopped", "Ctrl-C must not lose hours"),
        _stops_when_asked,
        after=("trainer.scores",),
    ),
    Check(
        Clause("trainer.resume", "stopped and resumed, it gives the same scores, bit for bit", "nothing is lost"),
        _resumes,
        after=("trainer.stopping", "trainer.repeats", "trainer.scores"),
    ),
)
