"""Owns what observers see of a run, and its stable JSON form: {"event": NAME, "time": SECONDS, ...fields}."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. `time` is seconds since the epoch."""

    time: float = field(default_factory=time.time)

    def to_json(self) -> dict[str, Any]:
        return {"event": type(self).__name__, **dataclasses.asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    name: str
    folder: str
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted(Event):
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished(Event):
    stage: str
    seconds: float
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """How far a stage is: `done` of `total` units; `total` 0 where it is not known. At most four times a second."""

    stage: str
    done: int
    total: int
    unit: str = "steps"
    loss: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochFinished(Event):
    epoch: int
    epochs: float
    step: int
    loss: float
    validation: dict[str, float] | None = None
    best: bool = False


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
class CheckpointSaved(Event):
    step: int
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    message: str
    stage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    folder: str
    metrics: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed(Event):
    folder: str
    error: str
    exit_code: int
