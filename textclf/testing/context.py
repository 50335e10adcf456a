"""LocalContext: a context without a run, for tests of one component."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.dataset import Labels
from ..data.predictions import Decision
from ..errors import PluginError
from ..plugin.events import Event
from ..plugin.protocols import Judgement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FolderCheckpoints:
    """A store of checkpoints in a folder: every one is kept, none is verified. The store of a real run is both."""

    folder: Path

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        place = self.folder / f"ck-{step:06d}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        write(place)

    def latest(self) -> Path | None:
        return max(self.folder.glob("ck-*"), default=None)


@dataclass(slots=True)
class LocalContext:
    """A context that stands alone: events and warnings are kept in lists, and nothing is shared or downloaded.

    folder: where `work` lies. judging: what `judge` answers with, see `judge_against`. stop_after: how many times
    `stopping` says no; None never stops. steps: what a run tells of its components.
    """

    folder: Path
    seed: int = 0
    cache: Path | None = None
    offline: bool = True
    fast: bool = False
    checkpoints: FolderCheckpoints | None = None
    judging: Callable[[NDArray[np.float32]], Judgement] | None = None
    stop_after: int | None = None
    steps: Mapping[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def work(self) -> Path:
        place = self.folder / "work"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def judge(self, scores: NDArray[np.float32]) -> Judgement:
        if self.judging is None:
            raise PluginError("this context has no judge; give it one: LocalContext(judging=judge_against(...))")
        return self.judging(scores)

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def stopping(self) -> bool:
        if self.stop_after is None:
            return False
        self.stop_after -= 1
        return self.stop_after < 0


def judge_against(
    truth: NDArray[np.int64] | NDArray[np.bool_], labels: Labels
) -> Callable[[NDArray[np.float32]], Judgement]:
    """Return a judge that answers with the share of right cells: texts, or texts and labels where there are several."""

    def judge(scores: NDArray[np.float32]) -> Judgement:
        value = float((Decision().decide(scores, labels) == truth).mean())
        return Judgement({"accuracy": value}, value)

    return judge
