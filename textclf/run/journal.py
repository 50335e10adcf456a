"""The journal of a run: events go to its folder and to observers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import said
from ..plugin.component import failing_line
from ..plugin.events import (
    Accounted,
    Chosen,
    EpochFinished,
    Event,
    Forecast,
    Progress,
    StageFinished,
    StageStarted,
    Warned,
)

_BETWEEN_PROGRESS = 0.25


def logged(event: Event) -> None:
    """Log a warning under the name textclf: what observes a run where a program lets nothing else do so."""
    if isinstance(event, Warned):
        logging.getLogger("textclf").warning("%s", event.message)


@dataclass(slots=True)
class Journal:
    """The events of one run, which may come from several threads; observers are called by one at a time.

    An observer that raises is removed, with one warning. warnings: those of earlier tries, too. ways: what to do about
    an observer that raises, by its name. run: the folder of the run, which observers see in each event, since they may
    observe several runs.
    """

    observers: list[tuple[str, Callable[[Event], None]]]
    keep: Callable[[Event], None]
    warnings: list[str] = field(default_factory=list)
    ways: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    forecasts: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens_per_second: float | None = None
    _last_progress: float = 0.0
    _warned: set[str] = field(default_factory=set)
    # Reentrant: what is told to an observer may make it, or this journal, tell something.
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def emit(self, event: Event, around: Callable[[str], AbstractContextManager[object]] = nullcontext) -> None:
        """Keep an event and tell it to the observers; around: what each of them, by its name, is called in."""
        with self._lock:
            self._take(event, around)

    def _take(self, event: Event, around: Callable[[str], AbstractContextManager[object]]) -> None:
        if isinstance(event, Progress):
            if event.stage == "train" and event.tokens_per_second is not None:
                self.tokens_per_second = float(event.tokens_per_second)
            if not self._due(event):
                return
        elif isinstance(event, Warned):
            if event.message in self._warned:
                return
            self._warned.add(event.message)
            if event.message not in self.warnings:
                self.warnings.append(event.message)
        elif isinstance(event, Chosen):
            self.choices[event.what] = event.to_json()["choice"]
        elif isinstance(event, EpochFinished):
            self.history.append(event.to_json())
        elif isinstance(event, Accounted):
            self.accounts[event.stage] = event.about()
        elif isinstance(event, Forecast):
            # Memory and disk are foretold before a stage, its time after its first steps.
            self.forecasts.setdefault(event.stage, {}).update(event.about())
        if not isinstance(event, Progress):
            self.keep(event)
        self._tell(event, around)

    def blame(self, name: str, fault: str) -> None:
        """Warn of what an observer did, and of what can be done about it."""
        self.emit(Warned(message=f"{fault}{self.ways.get(name, '')}"))

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage; what is put into the yielded notes goes into its event."""
        self.emit(StageStarted(stage=name))
        notes: dict[str, Any] = {}
        began = time.perf_counter()
        yield notes
        self.stages[name] = round(time.perf_counter() - began, 3)
        self.emit(StageFinished(stage=name, seconds=self.stages[name], notes=notes))

    def _due(self, event: Progress) -> bool:
        now = time.monotonic()
        if event.done != event.total and now - self._last_progress < _BETWEEN_PROGRESS:
            return False
        self._last_progress = now
        return True

    def _tell(self, event: Event, around: Callable[[str], AbstractContextManager[object]]) -> None:
        told = replace(event, run=self.run) if self.observers else event
        for entry in list(self.observers):
            name, observer = entry
            if entry not in self.observers:
                continue  # it failed at the warning about another one
            try:
                with around(name):
                    observer(told)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - an observer must not be able to end a run
                self.observers.remove(entry)
                place = failing_line(error, observer.__module__)
                self.blame(name, f"observer {name} fails and is left out: {said(error)}{place}")
