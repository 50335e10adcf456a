"""Progress of runs and of predict: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from ..plugin import events
from .terminal import amount, clock, fixed, plain_lines, thousands

# Seconds between plain lines of progress, and the least between those of epochs, of which toys have thousands.
_PLAIN_EVERY, _EPOCH_EVERY = 10.0, 0.5


class Watcher:
    """An observer of runs. `run` is the folder of the run, or study, that started first."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.run = ""
        self._epoch_said = -_EPOCH_EVERY
        drawn = console.is_terminal and not console.is_dumb_terminal
        self._lines: _Bars | _Lines = _Bars(console) if drawn else _Lines()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._lines.close()

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Progress):
            self._say(self._lines.progress(event))
            return
        if isinstance(event, events.RunStarted):
            self.run = self.run or event.folder
        if isinstance(event, (events.StageFinished, events.RunFinished, events.RunFailed)):
            self._lines.stage_over()
        if not (isinstance(event, events.EpochFinished) and self._too_soon(event)):
            self._say(sentence(event))

    def _too_soon(self, event: events.EpochFinished) -> bool:
        now = time.monotonic()
        if now - self._epoch_said < _EPOCH_EVERY and event.epoch < event.epochs:
            return True
        self._epoch_said = now
        return False

    def _say(self, line: str) -> None:
        if line:
            self.console.print(Text(plain_lines(line)), soft_wrap=True)


def sentence(event: events.Event) -> str:
    """Return the line that an event deserves, or an empty string."""
    speak: Callable[[Any], str] | None = _SENTENCES.get(type(event))
    return speak(event) if speak else ""


def _started(event: events.RunStarted) -> str:
    return f"{'going on with' if event.resumed else 'running'} {event.name} in {event.folder}"


def _stage(event: events.StageFinished) -> str:
    # Texts, such as a citation of the data, are in the record; a line has room for numbers.
    notes = ", ".join(f"{key} {_note(value)}" for key, value in event.notes.items() if not isinstance(value, str))
    return f"{event.stage}: {clock(event.seconds)}" + (f" ({notes})" if notes else "")


def _note(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return thousands(value)
    return fixed(value) if isinstance(value, float) else str(value)


def _epoch(event: events.EpochFinished) -> str:
    judged = "".join(f", validation {name} {fixed(value)}" for name, value in (event.validation or {}).items())
    best = " (best so far)" if event.best else ""
    what = f"{event.objective}, " if event.objective else ""
    return f"{what}epoch {event.epoch} of {event.epochs:g}: loss {fixed(event.loss)}{judged}{best}"


def _chosen(event: events.Chosen) -> str:
    return f"{event.what}: {event.choice}" + (f" ({event.why})" if event.why else "")


def _forecast(event: events.Forecast) -> str:
    if event.seconds is not None:
        ways = [f"{what}: about {clock(seconds)}" for what, seconds in event.advice.items()]
        shorter = "\n  ".join(["; shorter would be", *ways]) if ways else ""
        return f"{event.stage}: about {clock(event.seconds)} to go{shorter}"
    needs = []
    for what, size, free in (("memory", event.memory, event.memory_free), ("disk", event.disk, event.disk_free)):
        if size:
            needs.append(f"{amount(size)} of {what}" + (f" ({amount(free)} free)" if free is not None else ""))
    return f"{event.stage}: needs about {' and '.join(needs)}" if needs else ""


_SENTENCES: dict[type[events.Event], Callable[[Any], str]] = {
    events.RunStarted: _started,
    events.StageFinished: _stage,
    events.EpochFinished: _epoch,
    events.Chosen: _chosen,
    events.Forecast: _forecast,
    events.Warned: lambda event: f"warning: {event.message}",
}


def _left(done: int, total: int, seconds: float) -> str:
    return f"about {clock(seconds / done * (total - done))} left" if 0 < done < total and seconds > 1 else ""


class _Lines:
    """Progress where no bar can be drawn: a line every ten seconds."""

    def __init__(self) -> None:
        self._stage = ""
        self._began = self._said = (0, 0.0)

    def progress(self, event: events.Progress) -> str:
        now = time.monotonic()
        if event.stage != self._stage:
            self._stage, self._began, self._said = event.stage, (event.done, now), (event.done, now)
        if now - self._said[1] < _PLAIN_EVERY:
            return ""
        self._said = (event.done, now)
        first, since = self._began
        total = f" of {'about ' if event.estimated else ''}{thousands(event.total)}" if event.total else ""
        parts = [f"{event.stage}: {thousands(event.done)}{total} {event.unit}", *_figures(event)]
        left = _left(event.done - first, event.total - first, now - since)
        return ", ".join([*parts, left] if left else parts)

    def stage_over(self) -> None:
        self._stage = ""

    def close(self) -> None:
        """Nothing stays open."""


class _Bars:
    """Progress as a bar, with loss, tokens per second and time left; gone when its stage is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._stage = ""

    def progress(self, event: events.Progress) -> str:
        if event.stage != self._stage:
            self.stage_over()
        bar = self._progress or self._open(event)
        bar.update(self._task, completed=event.done, total=event.total or None, figures=", ".join(_figures(event)))
        return ""

    def _open(self, event: events.Progress) -> Progress:
        name = TextColumn("{task.description}", markup=False)
        columns = (name, BarColumn(bar_width=24), _Done(), _Left(), _Figures())
        bar = Progress(*columns, console=self._console, transient=True, refresh_per_second=4)
        self._stage = event.stage
        fields: dict[str, Any] = {"first": event.done, "unit": event.unit, "figures": "", "began": time.monotonic()}
        self._task = bar.add_task(event.stage, total=event.total or None, **fields)
        bar.start()
        self._progress = bar
        return bar

    def stage_over(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._stage = None, ""

    def close(self) -> None:
        self.stage_over()


def _figures(event: events.Progress) -> list[str]:
    loss = [] if event.loss is None else [f"loss {fixed(event.loss)}"]
    speed = [] if event.tokens_per_second is None else [f"{thousands(event.tokens_per_second)} tokens per second"]
    pace = [] if event.per_second is None else [f"{thousands(event.per_second)} {event.unit} per second"]
    return loss + pace + speed


class _Done(ProgressColumn):
    def render(self, task: Task) -> Text:
        total = f" of {thousands(task.total)}" if task.total else ""
        return Text(f"{thousands(task.completed)}{total} {task.fields['unit']}")


class _Left(ProgressColumn):
    def render(self, task: Task) -> Text:
        first = task.fields["first"]
        seconds = time.monotonic() - task.fields["began"]
        return Text(_left(int(task.completed - first), int((task.total or 0) - first), seconds))


class _Figures(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields["figures"])


# Seconds before anything is said, so that a few texts are answered without a word, and between two events.
_QUIET, _EVERY = 1.0, 0.3


class Pace:
    """An observer of a classifier at work; `at` tells it how far the rows are."""

    def __init__(self, console: Console) -> None:
        self._watcher = Watcher(console)
        self._told: set[str] = set()
        self._first = self._done = self._total = 0
        self._estimated = False
        self._tokens: float | None = None
        self._began = time.monotonic()
        self._shown = self._began + _QUIET - _EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._watcher.__exit__(*exc)

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Progress):
            if event.stage == "score":
                self._tokens = event.tokens_per_second
                self._show(self._done + event.done)
        elif isinstance(event, (events.Chosen, events.Warned)):
            # The same of each window is said once, whatever the numbers in it.
            key = re.sub(r"\d+", "#", sentence(event))
            if key not in self._told:
                self._told.add(key)
                self._watcher(event)

    def begin(self, done: int) -> None:
        """Count the rate from here: so many rows were done before."""
        self._first = self._done = done
        self._began = time.monotonic()

    def at(self, done: int, total: int | None = None, share: float | None = None) -> None:
        """Tell how many rows are done, of how many there are, or of how much of the file was read for them."""
        self._done = done
        if total is not None:
            self._total = total
        elif share:
            # Two digits of an estimate are enough, and do not flicker.
            guess = done / share
            self._total, self._estimated = int(float(f"{guess:.2g}")), True
        self._show(done)

    def _show(self, done: int) -> None:
        now = time.monotonic()
        if now - self._shown < _EVERY:
            return
        self._shown = now
        self._watcher(
            events.Progress(
                stage="predict",
                done=done,
                total=max(self._total, done) if self._total else 0,
                estimated=self._estimated,
                unit="texts",
                per_second=(done - self._first) / max(now - self._began, 1e-9),
                tokens_per_second=self._tokens,
            )
        )
