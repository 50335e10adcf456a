"""The journal of a run: its events, written to events.jsonl and sent to observers, and what they add up to."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import InitVar, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, ResourceError, Stopped, TextclfError, error_text
from ..evaluation.report import finite
from ..files import disk_errors
from ..plugin.component import failing_line
from ..plugin.events import Event, Progress, RunFailed, StageFinished, StageStarted, Warned

if TYPE_CHECKING:
    from .folder import RunFolder

_BETWEEN_PROGRESS = 0.25
# What every event has, beside what it is about.
_COMMON = ("event", "time", "stage")


def logged(event: Event) -> None:
    """Log a warning under the name "textclf": the observer of an engine that has none."""
    if isinstance(event, Warned):
        logging.getLogger("textclf").warning("%s", event.message)


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read the events of a run so far; empty where there are none."""
    return _parsed(path.read_bytes()) if path.exists() else []


def _parsed(written: bytes) -> list[dict[str, Any]]:
    events = []
    for line in written.decode("utf-8", "replace").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:  # a kill has cut this line
            continue
    return [event for event in events if isinstance(event, dict)]


def chosen_options(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the options that fix what a run chose, by their place in its recipe: {"trainer.precision": "bf16"}."""
    chosen = [event.get("options", {}) for event in events if event.get("event") == "Chosen"]
    return {place: value for options in chosen for place, value in options.items()}


@contextmanager
def event_file(path: Path) -> Iterator[tuple[list[dict[str, Any]], Callable[[Event], None]]]:
    """Open events.jsonl for one run; yield the events of earlier tries, and a function that appends one.

    The file is read once and stays open. Each event is a line that is with the system before the run goes on, so that a
    killed run has all of its events but the one it was writing.
    """
    with disk_errors(path):
        written = path.read_bytes() if path.exists() else b""
        file = path.open("ab", buffering=0)

    def write(line: bytes) -> None:
        # Unbuffered, since a buffer would keep what a full disk refused, and try it again when the file is closed.
        with disk_errors(path):
            while line:
                line = line[file.write(line) :]

    def append(event: Event) -> None:
        write(json.dumps(finite(event.to_json())).encode() + b"\n")

    with file:
        if written and not written.endswith(b"\n"):
            write(b"\n")  # the next event must not go on in a line that a kill has cut
        yield _parsed(written), append


@dataclass(slots=True)
class Journal:
    """The events of one run, which may come from several threads; one observer is called at a time.

    What the report needs of them is summed up here, so that events.jsonl is never read again. An observer that raises
    is named once in a warning and not called again.
    write: appends an event to the run's file. past: the events of earlier tries, as JSON. hints: by the name of an
    observer, what to do if it fails. run: the run's folder, which each event that observers see names, since they may
    observe several runs.
    """

    observers: list[tuple[str, Callable[[Event], None]]]
    write: Callable[[Event], None]
    past: InitVar[Iterable[Mapping[str, Any]]] = ()
    hints: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    # Of all tries, except `stages` and `tokens_per_second`, which are measured in this one.
    warnings: list[str] = field(default_factory=list)
    choices: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    forecasts: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    tokens_per_second: float | None = None
    _epochs: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    _last_progress: float = 0.0
    _warned: set[str] = field(default_factory=set)
    # Reentrant: an observer that is being called may itself cause an event, and so may this journal.
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self, past: Iterable[Mapping[str, Any]]) -> None:
        for event in past:
            self._remember(event)

    def emit(self, event: Event) -> None:
        """Write an event and send it to the observers."""
        with self._lock:
            self._take(event)

    def history(self) -> list[dict[str, Any]]:
        """Return the epochs as JSON: those of each objective in order, then those of the labels.

        An epoch that was trained again after an interruption stands here once.
        """
        names = [*dict.fromkeys(objective for objective, _ in self._epochs if objective), ""]
        return [self._epochs[key] for name in names for key in sorted(self._epochs) if key[0] == name]

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage; what is put into the yielded notes goes into its event."""
        self.emit(StageStarted(stage=name))
        notes: dict[str, Any] = {}
        began = time.perf_counter()
        yield notes
        self.stages[name] = round(time.perf_counter() - began, 3)
        self.emit(StageFinished(stage=name, seconds=self.stages[name], notes=notes))

    def _take(self, event: Event) -> None:
        if isinstance(event, Progress):
            # Progress is for who watches: not written, and sent at most four times a second.
            if event.stage == "train" and event.tokens_per_second is not None:
                self.tokens_per_second = float(event.tokens_per_second)
            if not self._is_due(event):
                return
        else:
            if isinstance(event, Warned):
                if event.message in self._warned:
                    return
                self._warned.add(event.message)
            self._remember(finite(event.to_json()))
            self.write(event)
        self._send(event)

    def _remember(self, event: Mapping[str, Any]) -> None:
        """Add an event's JSON, of this try or an earlier one, to what the report needs."""
        match event.get("event"):
            case "Warned":
                if event["message"] not in self.warnings:
                    self.warnings.append(event["message"])
            case "Chosen":
                self.choices[event["what"]] = event["choice"]
                self.options.update(event.get("options", {}))
            case "EpochFinished":
                self._epochs[event.get("objective", ""), event["epoch"]] = dict(event)
            case "StageFinished":
                self.notes[event["stage"]] = event.get("notes", {})
            case "Accounted":
                self.accounts[event["stage"]] = _about(event)
            case "Forecast":
                # A stage's memory and disk are forecast before it begins, its time after the first steps.
                self.forecasts.setdefault(event["stage"], {}).update(_about(event))

    def _is_due(self, event: Progress) -> bool:
        now = time.monotonic()
        if event.done != event.total and now - self._last_progress < _BETWEEN_PROGRESS:
            return False
        self._last_progress = now
        return True

    def _send(self, event: Event) -> None:
        sent = replace(event, run=self.run) if self.observers else event
        for entry in list(self.observers):
            name, observer = entry
            if entry not in self.observers:
                continue  # it failed at the warning about another one
            try:
                observer(sent)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - an observer must not be able to end a run
                self.observers.remove(entry)
                place = failing_line(error, observer.__module__)
                failure = f"observer {name} fails and is left out: {error_text(error)}{place}{self.hints.get(name, '')}"
                self.emit(Warned(message=failure))


def _about(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in _COMMON and value is not None}


@contextmanager
def recorded(folder: RunFolder, journal: Journal | None = None, name: str = "") -> Iterator[None]:
    """Record how a run, or a study, ended when it did not finish; what it saved stays and can be resumed.

    name: the folder as the user names it.
    """
    try:
        with disk_errors(folder.path):
            yield
    except BaseException as error:
        stopped = isinstance(error, (Stopped, KeyboardInterrupt))
        if isinstance(error, MemoryError):
            failure: BaseException = ResourceError("out of memory; use less data, a smaller model or smaller batches")
        else:
            failure = Cancelled("interrupted") if isinstance(error, KeyboardInterrupt) else error
        code = failure.exit_code if isinstance(failure, TextclfError) else 1
        # A full disk must not hide why the run ended.
        with suppress(ResourceError, OSError):
            folder.update(state="interrupted" if stopped else "failed", error=str(failure))
            if journal is not None:
                journal.emit(RunFailed(folder=name, error=str(failure), exit_code=code))
        if failure is not error:
            raise failure from error
        raise
    finally:
        folder.clear_work()
