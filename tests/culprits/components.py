"""Components that break one clause each of those that all kinds keep."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, field_serializer, field_validator

from textclf import Field, Options, Problem, Traits
from textclf.testing.toy import ToyAccuracy

from .making import Culprit, wrong

BOTH = frozenset({"single-label", "multi-label"})


class Loose(Options):
    model_config = ConfigDict(strict=False)
    size: int = Field(3, ge=1, description="how many")


class Silent(Options):
    size: int = Field(3, ge=1)


class Boundless(Options):
    size: int = Field(3, description="how many")


class Outside(Options):
    """Has a default that is out of its own bounds."""

    size: int = Field(0, ge=1, description="how many")


class Stumbling(Options):
    """Breaks down over its own default."""

    size: int = Field(3, ge=1, description="how many")

    @field_validator("size")
    @classmethod
    def look_up(cls, value: int) -> int:
        return {1: 1}[value]


class Growing(Options):
    size: int = Field(3, ge=1, description="how many")

    @field_serializer("size")
    def one_more(self, size: int) -> int:
        return size + 1


class Hiding(Options):
    """Refuses unknown options with a sentence that does not name them."""

    word: str = Field("a", description="a word")

    @classmethod
    def model_validate_json(cls, text: Any, **rest: Any) -> Any:
        import json

        if not set(json.loads(text)) <= {"word"}:
            raise ValueError("there is something that I do not know")
        return super().model_validate_json(text, **rest)


class Swallowing(Options):
    """Takes any word for a number."""

    size: int = Field(3, ge=1, description="how many")

    @field_validator("size", mode="before")
    @classmethod
    def read(cls, value: Any) -> Any:
        return int(value) if isinstance(value, (str, bool)) else value


class Crashing(Options):
    """Breaks down where a number is out of bounds."""

    size: int = Field(3, ge=1, le=9, description="how many")

    @field_validator("size", mode="before")
    @classmethod
    def look_up(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            [None, *range(1, 10)][value].bit_length()  # type: ignore[union-attr]
        return value


class Renamed(Options):
    """Reads what an older version called otherwise, and nothing else."""

    size: int = Field(3, ge=1, description="how many")

    @classmethod
    def migrate(cls, version: str, values: dict[str, Any]) -> dict[str, Any]:
        return {"size": values["number"]}


class Ranging(Options):
    low: int = Field(3, ge=1, le=8, description="the least")
    high: int = Field(6, ge=1, le=8, description="the most")


def bridge(options: Any) -> ToyAccuracy:
    """Takes options that do not go together."""
    assert options.low <= options.high
    return ToyAccuracy()


class Alternating:
    """Traits that differ from one question to the next."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, options: Any) -> Traits:
        self.asked += 1
        return Traits(tasks=BOTH, pairs=self.asked % 2 == 0)


ONLY = ToyAccuracy()

COMPONENTS: dict[str, Culprit] = {
    "component.summary": wrong("metric", summary=" "),
    "options.strict": wrong("metric", options=Loose),
    "options.described": wrong("metric", options=Silent),
    "options.bounded": wrong("metric", options=Boundless),
    "options.defaults": wrong("metric", options=Outside),
    "options.read": wrong("metric", options=Stumbling),
    "options.json": wrong("metric", options=Growing),
    "options.migrate": wrong("metric", options=Renamed),
    "options.unknown": wrong("metric", options=Hiding),
    "options.types": wrong("metric", options=Swallowing),
    "options.values": wrong("metric", options=Crashing),
    "component.traits": wrong("metric", traits=Alternating()),
    "component.check": wrong("metric", check=lambda options: [Problem("no")]),
    "component.install": wrong("metric", needs=("json",)),
    "component.build": wrong("metric", build=lambda options: None),
    "component.allowed": wrong("metric", bridge, options=Ranging),
    "component.fresh": wrong("metric", build=lambda options: ONLY),
}
