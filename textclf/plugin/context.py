"""The protocol of the context that a component works in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PluginError
from .events import Event, Warned
from .protocols import Checkpoints, Judgement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Judge = Callable[["NDArray[np.float32]"], Judgement]


def never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class RunContext:
    """The Context of one stage; `at` makes that of the next."""

    seed: int
    work: Path
    emit: Callable[[Event], None]
    stage: str = ""
    cache: Path | None = None
    offline: bool = False
    fast: bool = False
    checkpoints: Checkpoints | None = None
    judging: Judge | None = None
    stopping: Callable[[], bool] = never
    steps: Mapping[str, Any] = field(default_factory=dict)

    def at(self, stage: str, component: str = "", **changes: object) -> RunContext:
        """Return the context of a stage and component: its own seed and its own corner to work in."""
        digest = hashlib.sha256(f"{self.seed}:{stage}:{component}".encode()).digest()
        seed = int.from_bytes(digest[:4], "little")
        work = self.work / stage
        work.mkdir(parents=True, exist_ok=True)
        return replace(self, seed=seed, work=work, stage=stage, **changes)  # type: ignore[arg-type]

    def judge(self, scores: NDArray[np.float32]) -> Judgement:
        if self.judging is None:
            raise PluginError(f"{self.stage}: context.judge was called, but there is no validation split to judge by")
        return self.judging(scores)

    def warn(self, message: str) -> None:
        self.emit(Warned(message=str(message), stage=self.stage))
