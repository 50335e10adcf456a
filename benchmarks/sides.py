"""The sides of a training comparison: ours and the Trainer's, from the same texts and the same first weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from peers.talking import Side

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """What both sides train: the texts in `folder` (see texts.py), blocks of so many of them.

    start: where ours writes its first weights, from which the others begin. total: steps of the learning rate's
    schedule. dropout: hidden dropout, None for the checkpoint's own.
    """

    folder: Path
    checkpoint: str
    device: str
    batch_size: int
    block: int
    max_length: int
    dropout: float | None = None
    seed: int = 1
    total: int = 100_000
    learning_rate: float = 1e-4
    trainer: dict[str, Any] = field(default_factory=dict)

    @property
    def start(self) -> Path:
        return self.folder / f"start-{self.seed}"

    def asked(self, **more: Any) -> dict[str, Any]:
        return {**asdict(self), "data": str(self.folder), "folder": str(self.folder), "start": str(self.start), **more}


@dataclass(frozen=True, slots=True)
class Block:
    tokens: int
    seconds: float
    loss: float
    profile: str = ""

    @property
    def rate(self) -> float:
        """Return real tokens a second."""
        return self.tokens / self.seconds


class Training:
    """A side that trains, a block at a time."""

    def __init__(self, side: Side, case: Case, texts_a_step: int, **asked: Any) -> None:
        self._side, self._steps = side, max(1, case.block // texts_a_step)
        self.about = side.ask("begin", **case.asked(**asked))

    def run(self, steps: int | None = None, *, within: float | None = None, profile: bool = False) -> Block:
        found = self._side.ask("steps", steps=steps or self._steps, within=within, profile=profile)
        return Block(found["tokens"], found["seconds"], found["loss"], found.get("profile", ""))

    def rate(self) -> float:
        return self.run().rate

    def end(self) -> None:
        self._side.ask("end")


def ours(side: Side, case: Case, **asked: Any) -> Training:
    """Begin textclf's training in a process of `peers/ours.py`."""
    return Training(side, case, case.batch_size, **asked)


def trainer(side: Side, case: Case, settings: Settings, **asked: Any) -> Training:
    """Begin a training of Hugging Face's Trainer in a process of `peers/hf_trainer.py`."""
    of_a_step = step_size(settings)
    steps = max(1, case.block // of_a_step)
    return Training(side, case, of_a_step, settings=settings, **{**asked, "block": steps})


def step_size(settings: Settings) -> int:
    return int(settings["batch_size"]) * int(settings.get("accumulate", 1))


def launch_ours() -> Side:
    return Side("ours.py")


def launch_trainer() -> Side:
    return Side("hf_trainer.py", "--serve")
