"""The events that observers see, and their stable JSON form.

Where an event was told of a run, `run` is among the fields; `events.jsonl`, which lies in that run, leaves it out.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any


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
        # In a frozen class with slots, Python's own refusal is a TypeError about super().
        if "__setattr__" in vars(cls):
            cls.__setattr__ = cls.__delattr__ = _refuse  # type: ignore[method-assign,assignment]

    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON values: numbers and arrays of any library become plain, what JSON lacks is text."""
        values = {"event": type(self).__name__, **dataclasses.asdict(self)}
        if not self.run:
            del values["run"]
        plain: dict[str, Any] = json.loads(json.dumps(values, default=_as_json))
        return plain

    def about(self) -> dict[str, Any]:
        """Return the known fields as JSON values, without event, time, run and stage."""
        left_out = ("event", "time", "run", "stage")
        return {name: value for name, value in self.to_json().items() if name not in left_out and value is not None}


def _as_json(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays and numbers of numpy and torch
        return value.tolist()
    return sorted(value) if isinstance(value, Set) else str(value)


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
    which validation texts were scored. padding: share of the computed places that were padding. peak_share: share of
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
