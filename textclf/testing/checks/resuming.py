"""Owns the clauses of trainers that are stopped: they stop when asked, and go on as if they had not been."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import Stopped
from ..clauses import Broken, Check, Clause, NotApplicable
from ..context import FolderCheckpoints
from .comparing import demand_no_pickle
from .subject import Subject
from .training import lesson_of, tasks_of, teach, train_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    store = _checkpoints(subject)
    # Stopped anew soon after it was resumed: what it saves then has to hold all that was before, too.
    with suppress(Stopped):
        _teach(subject, store, stop_after=1)
    _demand_whole(subject, _teach(subject, store), "stopped twice and resumed")
    _demand_whole(subject, _teach(subject, store), "resumed once more when it was over")


def _checkpoints(subject: Subject) -> FolderCheckpoints:
    _stops_when_asked(subject)
    store: FolderCheckpoints = subject.memory["checkpoints"]
    if store.latest() is None:
        raise NotApplicable("it saves no checkpoint: what is stopped begins anew")
    return store


def _teach(subject: Subject, store: FolderCheckpoints, stop_after: int | None = None) -> NDArray[np.float32]:
    """Go on from the newest checkpoint, and return the scores."""
    context = subject.context(seed=7)
    context.checkpoints, context.stop_after = store, stop_after
    return teach(lesson_of(subject, next(tasks_of(subject))), context).scores(subject)


def _demand_whole(subject: Subject, resumed: NDArray[np.float32], how: str) -> None:
    import numpy as np

    whole = train_once(subject, next(tasks_of(subject))).scores(subject)
    if not np.array_equal(resumed, whole):
        worst = np.abs(resumed - whole).max()
        raise Broken(f"{how}, its scores differ from those of a whole training by up to {worst:.3g}")


def _checkpoints_no_pickle(subject: Subject) -> None:
    demand_no_pickle(_checkpoints(subject).folder)


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
    Check(
        Clause("trainer.checkpoints", "no checkpoint is a pickle", "loading a pickle runs whatever is in it"),
        _checkpoints_no_pickle,
        after=("trainer.stopping", "trainer.resume"),
    ),
)
