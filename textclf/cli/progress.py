"""Progress of runs and of predict: bars on a terminal, plain lines everywhere else."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from ..plugin import events
from .format import duration, fixed, number, plain_lines, size, thousands

# Seconds between plain lines of progress, and between lines of epochs, of which toys have thousands.
_LINE_EVERY, _EPOCH_EVERY = 10.0, 0.5
# Seconds before predict shows anything, so that a few texts are answered in silence, and between two of its events.
_QUIET, _EVENT_EVERY = 1.0, 0.3


class RunProgress:
    """An observer of runs. `run` is the folder of the run, or study, that started first."""

    def __init__(self, console: Console) -> None:
        self.console, self.run = console, ""
        self._draws = console.is_terminal and not console.is_dumb_terminal
        self._bar: Progress | None = None
        self._stage, self._first = "", 0
        self._began = self._printed = 0.0
        self._last_epoch = -_EPOCH_EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._end_stage()

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Progress):
            self._show(event)
            return
        if isinstance(event, events.RunStarted):
            self.run = self.run or event.folder
        if isinstance(event, (events.StageFinished, events.RunFinished, events.RunFailed)):
            self._end_stage()
        if isinstance(event, events.EpochFinished):
            now = time.monotonic()
            if now - self._last_epoch < _EPOCH_EVERY and event.epoch < event.epochs:
                return
            self._last_epoch = now
        self._print(describe(event))

    def _show(self, event: events.Progress) -> None:
        """Draw a bar that goes when its stage is over, or print a line every ten seconds."""
        now = time.monotonic()
        if event.stage != self._stage:
            self._end_stage()
            self._stage, self._first, self._began, self._printed = event.stage, event.done, now, now
        if not self._draws and now - self._printed < _LINE_EVERY:
            return
        self._printed = now
        text = _figures(event, event.done - self._first, now - self._began)
        if not self._draws:
            self._print(f"{event.stage}: {text}")
            return
        if self._bar is None:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24))
            figures = TextColumn("{task.fields[figures]}", markup=False)
            self._bar = Progress(*columns, figures, console=self.console, transient=True, refresh_per_second=4)
            self._bar.add_task(event.stage, total=None, figures="")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=event.done, total=event.total or None, figures=text)

    def _end_stage(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._stage = None, ""

    def _print(self, line: str) -> None:
        if line:
            self.console.print(Text(plain_lines(line)), soft_wrap=True)


class PredictProgress:
    """An observer of a classifier that predicts; `update` reports how far the rows are."""

    def __init__(self, console: Console) -> None:
        self._progress = RunProgress(console)
        self._described: set[str] = set()
        self._first = self._done = self._total = 0
        self._estimated = False
        self._tokens: float | None = None
        self._began = time.monotonic()
        self._shown = self._began + _QUIET - _EVENT_EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.__exit__(*exc)

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Progress):
            if event.stage == "score":
                self._tokens = event.tokens_per_second
                self._show(self._done + event.done)
        elif isinstance(event, (events.Chosen, events.Warned)):
            # Each window reports the same, with other numbers in it.
            line = re.sub(r"\d+", "#", describe(event))
            if line not in self._described:
                self._described.add(line)
                self._progress(event)

    def begin(self, done: int) -> None:
        """Start the clock; done: how many rows an earlier job scored."""
        self._first = self._done = done
        self._began = time.monotonic()

    def update(self, done: int, total: int | None = None, share: float | None = None) -> None:
        """Report how many rows are done, of how many there are, or the share of the file that was read for them."""
        self._done = done
        if total is not None:
            self._total = total
        elif share:
            # Two digits of an estimate are enough, and do not flicker.
            self._total, self._estimated = int(float(f"{done / share:.2g}")), True
        self._show(done)

    def _show(self, done: int) -> None:
        now = time.monotonic()
        if now - self._shown < _EVENT_EVERY:
            return
        self._shown = now
        total = max(self._total, done) if self._total else 0
        speed = (done - self._first) / max(now - self._began, 1e-9)
        self._progress(
            events.Progress(
                stage="predict", done=done, total=total, estimated=self._estimated, unit="texts", per_second=speed,
                tokens_per_second=self._tokens,
            )
        )  # fmt: skip


def _figures(event: events.Progress, done: int, seconds: float) -> str:
    """Return how far a stage is, its loss and speed, and the time left at the speed of `done` units in `seconds`."""
    total = f" of {'about ' if event.estimated else ''}{thousands(event.total)}" if event.total else ""
    figures = [f"{thousands(event.done)}{total} {event.unit}"]
    if event.loss is not None:
        figures.append(f"loss {fixed(event.loss)}")
    if event.per_second is not None:
        figures.append(f"{thousands(event.per_second)} {event.unit} per second")
    if event.tokens_per_second is not None:
        figures.append(f"{thousands(event.tokens_per_second)} tokens per second")
    if done > 0 and event.done < event.total and seconds > 1:
        figures.append(f"about {duration(seconds / done * (event.total - event.done))} left")
    return ", ".join(figures)


def describe(event: events.Event) -> str:
    """Return the line to print for an event, or an empty string."""
    describer: Callable[[Any], str] | None = _DESCRIBERS.get(type(event))
    return describer(event) if describer else ""


def _started(event: events.RunStarted) -> str:
    return f"{'resuming' if event.resumed else 'running'} {event.name} in {event.folder}"


def _stage(event: events.StageFinished) -> str:
    # Texts, such as a citation of the data, are in the record; a line has room for numbers.
    notes = ", ".join(f"{key} {number(value)}" for key, value in event.notes.items() if not isinstance(value, str))
    return f"{event.stage}: {duration(event.seconds)}" + (f" ({notes})" if notes else "")


def _epoch(event: events.EpochFinished) -> str:
    validation = "".join(f", validation {name} {fixed(value)}" for name, value in (event.validation or {}).items())
    best = " (best so far)" if event.best else ""
    objective = f"{event.objective}, " if event.objective else ""
    return f"{objective}epoch {event.epoch} of {event.epochs:g}: loss {fixed(event.loss)}{validation}{best}"


def _chosen(event: events.Chosen) -> str:
    return f"{event.what}: {event.choice}" + (f" ({event.why})" if event.why else "")


def _forecast(event: events.Forecast) -> str:
    if event.seconds is not None:
        advice = [f"\n  {what}: about {duration(seconds)}" for what, seconds in event.advice.items()]
        shorter = "; shorter would be" + "".join(advice) if advice else ""
        return f"{event.stage}: about {duration(event.seconds)} to go{shorter}"
    needs = []
    for what, needed, free in (("memory", event.memory, event.memory_free), ("disk", event.disk, event.disk_free)):
        if needed:
            needs.append(f"{size(needed)} of {what}" + (f" ({size(free)} free)" if free is not None else ""))
    return f"{event.stage}: needs about {' and '.join(needs)}" if needs else ""


_DESCRIBERS: dict[type[events.Event], Callable[[Any], str]] = {
    events.RunStarted: _started,
    events.StageFinished: _stage,
    events.EpochFinished: _epoch,
    events.Chosen: _chosen,
    events.Forecast: _forecast,
    events.Warned: lambda event: f"warning: {event.message}",
}
