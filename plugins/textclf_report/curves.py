"""Owns the learning curves: the training loss and the validation metrics of each epoch, the chosen epoch marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textclf import Markup

from .drawing import SHAPES, Figure, Plot, short, ticks, whole_ticks

_LOSSES = ("loss", "log_loss")
_SERIES = 4
METRICS_TITLE = "Validation metrics by epoch"


@dataclass(frozen=True, slots=True)
class Curve:
    """A number for each epoch; NaN where it is not defined."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class History:
    """What is known of the epochs of one phase.

    objective: what was learned before the labels, "" for the labels. chosen: the epoch whose weights the model has,
    None where it has the last one's.
    """

    objective: str
    epochs: tuple[int, ...]
    losses: tuple[Curve, ...]
    metrics: tuple[Curve, ...]
    chosen: int | None


def phases_of(events: Sequence[Mapping[str, Any]]) -> list[History]:
    """Read the events EpochFinished of a run, a phase for each objective and one for the labels, in order."""
    names = dict.fromkeys(str(event.get("objective", "")) for event in events)
    return [_phase(name, [event for event in events if event.get("objective", "") == name]) for name in names]


def _phase(objective: str, events: Sequence[Mapping[str, Any]]) -> History:
    epochs = tuple(int(event["epoch"]) for event in events)
    training = Curve("training loss", tuple(_number(event.get("loss")) for event in events))
    judged = [event.get("validation") or {} for event in events]
    curves = [
        Curve(f"validation {name}", tuple(_number(metrics.get(name)) for metrics in judged))
        for name in dict.fromkeys(name for metrics in judged for name in metrics)
    ]
    losses = [curve for curve in curves if curve.name.rpartition(" ")[2] in _LOSSES]
    best = [epoch for epoch, event in zip(epochs, events, strict=True) if event.get("best")]
    metrics = tuple(curve for curve in curves if curve not in losses)
    return History(objective, epochs, (training, *losses), metrics, best[-1] if best else None)


def loss_title(history: History) -> str:
    return f"Loss of {history.objective} by epoch" if history.objective else "Loss by epoch"


def loss_figure(history: History, place: int) -> Markup:
    """Draw the losses of a phase, the one at `place` among the phases."""
    title = loss_title(history)
    return _figure(history, f"losses{place}", title, "loss", history.losses[:_SERIES])


def metric_figure(history: History, place: int) -> Markup | None:
    """Draw the first metrics; all of them are in the table."""
    if not history.metrics:
        return None
    return _figure(history, f"metrics{place}", METRICS_TITLE, "on validation", history.metrics[:_SERIES])


def _figure(history: History, key: str, title: str, y_name: str, curves: Sequence[Curve]) -> Markup:
    """Draw curves over epochs, with a legend beneath: the word "chosen" stands where such curves seldom are."""
    figure = Figure(key, title, _described(history, curves), height=236 + 18 * len(curves))
    defined = [value for curve in curves for value in curve.values if not math.isnan(value)] or [0.0, 1.0]
    steps = ticks(min(defined), max(defined))
    first, last = history.epochs[0], history.epochs[-1]
    edge = 0.5 if first == last else 0.04 * (last - first)
    plot = Plot.of(figure, (first - edge, last + edge), (steps[0], steps[-1]), steps, bottom=44 + 18 * len(curves))
    plot.frame("epoch", [(epoch, str(epoch)) for epoch in whole_ticks(first, last)], steps, y_name)
    if history.chosen is not None:
        place = plot.x(history.chosen)
        figure.line((place, plot.y.start), (place, plot.y.end), "chosen")
        early = history.chosen < (first + last) / 2
        height = plot.y.end + 10 if y_name == "loss" else plot.y.start - 6
        figure.text(place + (5 if early else -5), height, "chosen", "mark", "start" if early else "end")
    for index, curve in enumerate(curves):
        _draw(plot, history.epochs, curve, index)
        y = figure.height - 18 * (len(curves) - index) + 10
        figure.path([(plot.x.start, y - 4), (plot.x.start + 26, y - 4)], f"curve s{index}")
        figure.dot((plot.x.start + 13, y - 4), f"s{index}", shape=SHAPES[index])
        figure.text(plot.x.start + 34, y, short(curve.name, 44), "mark", tip=curve.name)
    return figure.markup()


def _draw(plot: Plot, epochs: Sequence[int], curve: Curve, index: int) -> None:
    """Draw a curve with its marks, parted where a value is not defined."""
    part: list[tuple[float, float]] = []
    for epoch, value in zip(epochs, curve.values, strict=True):
        if math.isnan(value):
            plot.figure.path(part, f"curve s{index}")
            part = []
            continue
        part.append(plot.at(epoch, value))
    plot.figure.path(part, f"curve s{index}")
    for epoch, value in zip(epochs, curve.values, strict=True):
        if not math.isnan(value):
            tip = f"epoch {epoch}: {curve.name} {value:.4f}"
            plot.figure.dot(plot.at(epoch, value), f"s{index}", tip, SHAPES[index])


def _described(history: History, curves: Sequence[Curve]) -> str:
    ends = [f"{curve.name} from {curve.values[0]:.4f} to {curve.values[-1]:.4f}" for curve in curves]
    chosen = "" if history.chosen is None else f"; the weights of epoch {history.chosen} were chosen"
    return f"Over {len(history.epochs)} epochs: {', '.join(ends)}{chosen}."


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
