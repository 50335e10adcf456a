"""The clauses on side effects of a component at work."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import DownloadError, error_text
from ...plugin.component import Kind
from ..contract import Broken, Check, Clause, NotApplicable
from ..sandbox import Watched, watch
from .metric import mixed, tasks
from .output import finished_for
from .subject import Subject
from .trainer import train_once


def _load(subject: Subject) -> None:
    subject.build().load(subject.context())


def _encode(subject: Subject) -> None:
    subject.on_texts(lambda: _encode_once(subject))


def _encode_once(subject: Subject) -> None:
    encoder, train = subject.build(), subject.dataset().train
    encoder.fit(train, subject.context())
    encoder.encode(train.texts, subject.context())
    encoder.fingerprint()
    encoder.save(subject.folder())


def _train(subject: Subject) -> None:
    trained = train_once(subject, next(iter(sorted(subject.traits.tasks, reverse=True))), again=True)
    trained.scores(subject)
    trained.model.save(subject.folder())


def _measure(subject: Subject) -> None:
    metric = subject.build()
    for labels in tasks(subject):
        metric(mixed(labels))


def _write(subject: Subject) -> None:
    subject.build().write(finished_for(subject), subject.folder())


_WORK: Mapping[Kind, Callable[[Subject], None]] = {
    "dataset": _load, "encoder": _encode, "trainer": _train, "metric": _measure, "output": _write,
}  # fmt: skip
_TASKS = ("single-label", "multi-label")


def _watched(subject: Subject) -> Watched:
    if "watched" not in subject.memory:
        # What libraries set when they are imported is theirs: it is over when the component has worked before.
        worked = any(key in subject.memory for key in ("loaded", "fitted", *(("trained", task) for task in _TASKS)))
        litter: list[str] = []
        for _ in range(1 if worked else 2):
            with watch() as seen:
                try:
                    _WORK[subject.kind](subject)
                except NotApplicable:
                    raise
                except (Exception, SystemExit) as error:  # noqa: BLE001 - the clauses of its kind tell what fails
                    stuck = NotApplicable(f"it does not get so far: {error_text(error)}")
                    subject.memory["stuck"] = error if isinstance(error, DownloadError) else stuck
            litter += seen.written
        seen.written = sorted({*litter})
        subject.memory["watched"] = seen
    watched: Watched = subject.memory["watched"]
    return watched


def _finished_its_work(subject: Subject) -> Watched:
    seen = _watched(subject)
    if "stuck" in subject.memory:
        raise subject.memory["stuck"]
    return seen


def _leaves_the_world_alone(subject: Subject) -> None:
    seen = _finished_its_work(subject)
    if seen.world:
        raise Broken(f"it changes {' and '.join(seen.world)}")


def _leaves_nothing_behind(subject: Subject) -> None:
    seen = _finished_its_work(subject)
    if seen.written:
        raise Broken(f"it writes into the current folder: {', '.join(seen.written)}")


def _draws_from_its_seed(subject: Subject) -> None:
    seen = _finished_its_work(subject)
    if seen.chance:
        raise Broken(f"{' and '.join(seen.chance)} is drawn from or seeded; {_seeded(subject.kind)}")


def _seeded(kind: Kind) -> str:
    """Say what a component draws from instead: only what is trained may hang on the run's seed."""
    if kind in ("encoder", "trainer"):
        return "use context.seed"
    seed = "a fixed seed or an option of its own, not context.seed" if kind == "dataset" else "a fixed seed"
    return f"use a generator of its own, with {seed}"


def _is_quiet(subject: Subject) -> None:
    seen = _finished_its_work(subject)
    if seen.printed:
        raise Broken(f"it prints {seen.printed[:60]!r}; use context.warn or logging")


def _stays_offline(subject: Subject) -> None:
    seen = _watched(subject)
    if seen.connections:
        raise Broken(f"it {seen.connections[0]}")


WORK: tuple[Check[Subject], ...] = (
    Check(
        Clause("work.world", "it leaves working folder, environment and signal handlers alone", "they are the user's"),
        _leaves_the_world_alone,
    ),
    Check(
        Clause("work.files", "it writes nothing into the current folder", "a user does not look for its files there"),
        _leaves_nothing_behind,
        after=("output.folder",),
    ),
    Check(
        Clause("work.chance", "it neither draws from global generators nor seeds them", "context.seed decides a run"),
        _draws_from_its_seed,
    ),
    Check(
        Clause("work.quiet", "it prints nothing to stdout", "stdout carries the answer of a command"),
        _is_quiet,
    ),
    Check(
        Clause("work.offline", "where context.offline is true it opens no connection", "`--offline` promises it"),
        _stays_offline,
    ),
)
