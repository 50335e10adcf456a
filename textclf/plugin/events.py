"""The events that observers see, and their stable JSON form.

Where an event was told of a run, `run` is among the fields; `events.jsonl`, which lies in that run, leaves it out.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any

from ..errors import kind_of


def _refuse(event: Event, name: str, *value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"an event cannot be changed: its '{name}' is as it happened")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. `time` is seconds since the epoch.

    run: the folder of the run it happened in, as in RunStarted; the run fills it in for its observers. "" outside.
    """

    time: float = field(default_factory=time.time)
    run: str = ""

    def __init_subclass__(cls) -> None:
        # Of a frozen class that is made anew for its slots, Python's own refusal is a TypeError about super().
        if "__setattr__" in vars(cls):
            cls.__setattr__ = cls.__delattr__ = _refuse  # type: ignore[method-assign,assignment]

    def to_json(self) -> dict[str, Any]:
        told = {"event": type(self).__name__, **dataclasses.asdict(self)}
        return told if self.run else {name: value for name, value in told.items() if name != "run"}

    def about(self) -> dict[str, Any]:
        """Return what is known, without what happened, when, in which run and in which stage."""
        told = dataclasses.asdict(self)
        left_out = ("time", "run", "stage")
        return {name: value for name, value in told.items() if name not in left_out and value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A run begins, or goes on. folder: its own, as the user would name it: often relative to the current one."""

    name: str
    folder: str
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted(Event):
    """A stage begins: load, split, encode, train, evaluate or save."""

    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished(Event):
    """A stage is done. notes: what it found, such as how many texts were kept together."""

    stage: str
    seconds: float
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """How far a stage is: `done` of `total` units; `total` 0 where it is not known. At most four times a second.

    estimated: whether `total` is an estimate. per_second: units, where they are counted over the whole stage.
    """

    stage: str
    done: int
    total: int
    estimated: bool = False
    unit: str = "steps"
    per_second: float | None = None
    loss: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochFinished(Event):
    """An epoch of a training. objective: what was learned before the labels, or "" for the labels themselves."""

    epoch: int
    epochs: float
    step: int
    loss: float
    validation: dict[str, float] | None = None
    best: bool = False
    objective: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen(Event):
    """A choice that was measured or inferred, and is recorded so that a resumed run makes the same.

    options: what in the recipe would fix the choice, {"trainer.precision": "bf16"}; the run writes it into its recipe.
    """

    what: str
    choice: Any
    why: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast(Event):
    """What a stage will take, said before it begins (memory and disk) and after its first steps (seconds).

    memory, disk: bytes it needs, and bytes that are there. advice: what to change where that is much, with the seconds
    it would then take.
    """

    stage: str
    seconds: float | None = None
    memory: int | None = None
    memory_free: int | None = None
    disk: int | None = None
    disk_free: int | None = None
    advice: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounted(Event):
    """Where the time of a stage went.

    tokens: real ones, padding never counts. seconds: all of the stage's work. tokens_per_second: without the seconds in
    which validation texts were judged. padding: share of the computed places that were padding. peak_share: share of
    the matrix products that this machine was measured to do at its best, by the network's nominal FLOPs. parts: seconds
    each. first_step: where a resumed stage began; what came before is not in these numbers.
    """

    stage: str
    tokens: int
    seconds: float
    tokens_per_second: float
    padding: float | None = None
    peak_share: float | None = None
    parts: dict[str, float] = field(default_factory=dict)
    first_step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSaved(Event):
    """A training can go on from here. step: of the optimiser. folder: the checkpoint's, an absolute path."""

    step: int
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something the user should know; it stands in the report, too."""

    message: str
    stage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """A run is whole. folder: as in RunStarted. metrics: on the test split."""

    folder: str
    metrics: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(Event):
    """A run ended before it was whole, or was stopped. exit_code: what the command ends with."""

    folder: str
    error: str
    exit_code: int


_PLAIN = (str, int, float, bool, type(None))
_DEEPEST, _LONGEST = 20, 200


def plain(event: Event) -> tuple[Event, str]:
    """Return the event with what JSON knows in place of what it does not, and what became mere text, in words."""
    changed: dict[str, Any] = {}
    odd: list[str] = []
    for part in dataclasses.fields(event):
        value = getattr(event, part.name)
        if type(value) not in _PLAIN:
            before = len(odd)
            changed[part.name] = _plain(value, odd, 0)
            odd[before:] = [f"the event {type(event).__name__} holds {what} in '{part.name}'" for what in odd[before:]]
    return (dataclasses.replace(event, **changed) if changed else event), (odd[0] if odd else "")


def _plain(value: Any, odd: list[str], depth: int) -> Any:
    """Return a value as JSON has it; the kind of what is none, and becomes text, goes into `odd`."""
    if type(value) in _PLAIN:
        return value
    try:
        if depth <= _DEEPEST:
            return _taken_apart(value, odd, depth + 1)
    except Exception:  # noqa: BLE001 - a plugin's own class may raise anything, and this is no more than a note
        pass
    odd.append(kind_of(value))
    try:
        return str(value)[:_LONGEST]
    except Exception:  # noqa: BLE001 - as above
        return kind_of(value)


def _taken_apart(value: Any, odd: list[str], depth: int) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, odd, depth)
    if isinstance(value, Mapping):
        return {str(key): _plain(one, odd, depth) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, odd, depth) for one in value]
    if isinstance(value, Set):
        return sorted((_plain(one, odd, depth) for one in value), key=str)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), odd, depth) for f in dataclasses.fields(value)}
    if isinstance(value, (str, PurePath, date)):
        return str(value)
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    # Arrays and tensors, and the numbers of theirs that are no `Real`.
    return _plain(value.tolist(), odd, depth)
