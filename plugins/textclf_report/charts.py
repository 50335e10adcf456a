"""Charts as SVG: curves, bars and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from textclf import Markup, quoted, visible

from .measures import Bin, Calibration

Anchor = Literal["start", "middle", "end"]
SHAPES = ("round", "square", "diamond", "triangle")
Point = tuple[float, float]
_LOSSES = ("loss", "log_loss")
_SERIES = 4
METRICS_TITLE = "Validation metrics by epoch"
_SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
LIMIT = 20  # labels; more are a table of the commonest confusions
_CELL_LETTER = 6.6  # pixels, about
_LETTER = 7.5  # pixels a digit takes in the size of ticks, at most


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from `low` to `high` onto places from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = 0.5 if span == 0 else (value - self.low) / span
        return self.start + share * (self.end - self.start)


class Figure:
    """An SVG in the making. Colours and line styles are classes of the page's style sheet.

    width, height: in CSS pixels; at these a letter has the size it has in the text.
    """

    def __init__(self, key: str, title: str, description: str, width: float = 360, height: float = 240) -> None:
        self.width, self.height = width, height
        size = {"viewBox": f"0 0 {number(width)} {number(height)}", "width": number(width), "height": number(height)}
        self._root = Element("svg", {"role": "img", "aria-labelledby": f"{key}-t {key}-d", **size})
        SubElement(self._root, "title", {"id": f"{key}-t"}).text = visible(title)
        SubElement(self._root, "desc", {"id": f"{key}-d"}).text = visible(description)

    def markup(self) -> Markup:
        return Markup(tostring(self._root, encoding="unicode", short_empty_elements=False))

    def rect(
        self, x: float, y: float, width: float, height: float, style: str, tip: str = "", opacity: float | None = None
    ) -> None:
        place = {"x": number(x), "y": number(y), "width": number(width), "height": number(height)}
        faded = {} if opacity is None else {"fill-opacity": f"{opacity:.3f}"}
        self._mark("rect", {**place, **faded}, style, tip)

    def line(self, start: Point, end: Point, style: str) -> None:
        (x1, y1), (x2, y2) = start, end
        self._mark("line", {"x1": number(x1), "y1": number(y1), "x2": number(x2), "y2": number(y2)}, style)

    def path(self, points: Sequence[Point], style: str) -> None:
        if len(points) > 1:
            places = " ".join(f"{number(x)},{number(y)}" for x, y in points)
            self._mark("polyline", {"points": places}, style)

    def dot(self, point: Point, style: str, tip: str = "", shape: str = "round", size: float = 3.5) -> None:
        x, y = point
        if shape == "round":
            self._mark("circle", {"cx": number(x), "cy": number(y), "r": number(size)}, style, tip)
            return
        corners = {
            "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
            "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
            "triangle": ((0, -1.2), (1.2, 0.9), (-1.2, 0.9)),
        }[shape]
        places = " ".join(f"{number(x + dx * size)},{number(y + dy * size)}" for dx, dy in corners)
        self._mark("polygon", {"points": places}, style, tip)

    def text(
        self, x: float, y: float, words: str, style: str = "", anchor: Anchor = "start", turn: float = 0, tip: str = ""
    ) -> None:
        place = {"x": number(x), "y": number(y), "text-anchor": anchor}
        turned = {"transform": f"rotate({number(turn)} {number(x)} {number(y)})"} if turn else {}
        mark = self._mark("text", {**place, **turned}, style)
        mark.text = visible(words)
        if tip:
            SubElement(mark, "title").text = visible(tip)

    def hatch(self, name: str) -> None:
        """Define stripes that the style sheet fills areas with, so that colour is not the only difference."""
        size = {"width": "6", "height": "6", "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
        pattern = SubElement(SubElement(self._root, "defs"), "pattern", {"id": name, **size})
        SubElement(pattern, "line", {"x1": "0", "y1": "0", "x2": "0", "y2": "6", "class": "stripe"})

    def _mark(self, kind: str, attributes: dict[str, str], style: str, tip: str = "") -> Element:
        mark = SubElement(self._root, kind, {**attributes, **({"class": style} if style else {})})
        if tip:
            SubElement(mark, "title").text = visible(tip)
        return mark


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure with axes: `x` and `y` map values to places inside its frame."""

    figure: Figure
    x: Scale
    y: Scale

    @classmethod
    def of(
        cls, figure: Figure, x: tuple[float, float], y: tuple[float, float], y_ticks: Sequence[float],
        *, bottom: float = 44,
    ) -> Plot:  # fmt: skip
        """Leave room for what stands on the left of the frame, and `bottom` pixels for what stands below it."""
        left = 26 + _LETTER * max([3, *(len(brief(tick)) for tick in y_ticks)])
        return cls(figure, Scale(*x, left, figure.width - 12), Scale(*y, figure.height - bottom, 12))

    def frame(
        self, x_name: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[float], y_name: str,
        *, signed: bool = True,
    ) -> None:  # fmt: skip
        """Draw the grid, the ticks and the axes' names; without `signed` what is below zero is an amount as well."""
        figure, bottom = self.figure, self.y.start
        for value in y_ticks:
            figure.line((self.x.start, self.y(value)), (self.x.end, self.y(value)), "grid")
            figure.text(self.x.start - 6, self.y(value) + 4, brief(value if signed else abs(value)), "tick", "end")
        figure.line((self.x.start, bottom), (self.x.end, bottom), "axis")
        for value, words in x_ticks:
            figure.text(self.x(value), bottom + 16, words, "tick", "middle")
        figure.text((self.x.start + self.x.end) / 2, bottom + 34, x_name, "name", "middle")
        figure.text(12, (bottom + self.y.end) / 2, y_name, "name", "middle", turn=-90)

    def at(self, x: float, y: float) -> Point:
        return self.x(x), self.y(y)

    def whisker(self, x: float, low: float, high: float, style: str) -> None:
        """Draw an interval as a vertical line with caps."""
        self.figure.line(self.at(x, low), self.at(x, high), style)
        for end in (low, high):
            place = self.at(x, end)
            self.figure.line((place[0] - 3, place[1]), (place[0] + 3, place[1]), style)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return at most `most` round numbers that cover `low` to `high`: the first is not above, the last not below."""
    span = high - low
    if not span > 0:
        low, high, span = low - 0.5, high + 0.5, 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    for step in (power * factor for factor in (1, 2, 2.5, 5, 10, 20, 25, 50)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first < most:
            break
    return [round(place * step, 12) for place in range(first, last + 1)]


def whole_ticks(low: int, high: int, most: int = 8) -> list[int]:
    """Return at most `most` whole numbers between `low` and `high`, evenly apart."""
    step = max(1, math.ceil((high - low + 1) / most))
    return list(range(low, high + 1, step))


def number(value: float) -> str:
    """Return a coordinate in hundredths of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def brief(value: float) -> str:
    """Return a number for an axis: 0.25, 1,200, 98k, 1.5M."""
    for size, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / {'M': 1e6, 'k': 1e3}[unit]:.3g}{unit}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def short(words: str, most: int) -> str:
    """Return words of at most `most` signs: of longer ones their beginning and their end."""
    shown = visible(words)
    if len(shown) <= most:
        return shown
    tail = most // 3
    return f"{shown[: most - tail - 1]}…{shown[-tail:]}"


@dataclass(frozen=True, slots=True)
class Curve:
    """A number for each epoch; NaN where it is not defined."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class History:
    """The epochs of one phase.

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
    validations = [event.get("validation") or {} for event in events]
    curves = [
        Curve(f"validation {name}", tuple(_number(metrics.get(name)) for metrics in validations))
        for name in dict.fromkeys(name for metrics in validations for name in metrics)
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


def reliability_figure(found: Calibration, *, several: bool) -> Markup:
    """Draw how often what scored so much held, against the diagonal of perfect calibration."""
    low = 0.0 if found.bins[0].low < 0.5 else 0.5
    held = "share of labels that hold" if several else "share of right labels"
    parts = "; ".join(f"score {part.mean:.2f}: {part.share:.2f}" for part in found.bins)
    figure = Figure("reliability", "Reliability diagram", f"{held} by score. {parts}.", height=300)
    floor = min([low, *(part.interval[0] for part in found.bins)])
    steps = ticks(floor, 1)
    plot = Plot.of(figure, (low, 1), (steps[0], steps[-1]), steps)
    marks = _SHARES if low == 0 else [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    plot.frame("score", [(mark, brief(mark)) for mark in marks], steps, held)
    figure.line(plot.at(low, low), plot.at(1, 1), "ideal")
    figure.path([plot.at(part.mean, part.share) for part in found.bins], "curve s0")
    for part in found.bins:
        plot.whisker(part.mean, *part.interval, "whisker")
        tip = f"scores {part.low:.3f} to {part.high:.3f}: {part.held:,} of {part.count:,}, {_percent(part.share)}"
        figure.dot(plot.at(part.mean, part.share), "s0", tip)
    return figure.markup()


def score_figure(bins: Sequence[Bin], *, several: bool) -> Markup:
    """Draw what held upwards, and what did not downwards, on one scale."""
    names = ("labels that hold", "labels that do not") if several else ("right", "wrong")
    held, failed = max(part.held for part in bins), max(part.count - part.held for part in bins)
    total, right = sum(part.count for part in bins), sum(part.held for part in bins)
    what = f"Of {total:,} scores, {right:,} are of {names[0]} and {total - right:,} of {names[1]}"
    figure = Figure("scores", "Scores", f"{what}; the counts of each bin are in the table.", height=300)
    steps = [step for step in ticks(-failed, max(held, 1)) if step == int(step)]
    ends = min(steps[0], -failed), max(steps[-1], held)
    plot = Plot.of(figure, (bins[0].low, bins[-1].high), ends, steps, bottom=64)
    marks = [bins[0].low + i * (bins[-1].high - bins[0].low) / 5 for i in range(6)]
    counted = "labels of texts" if several else "texts"
    plot.frame("score", [(mark, brief(round(mark, 2))) for mark in marks], steps, counted, signed=False)
    figure.hatch("hatch")
    for part in bins:
        left, right_edge = plot.x(part.low) + 0.75, plot.x(part.high) - 0.75
        top, zero, deep = plot.y(part.held), plot.y(0), plot.y(part.held - part.count)
        counts = f"{part.held:,} {names[0]}, {part.count - part.held:,} {names[1]}"
        tip = f"score {part.low:.3f} to {part.high:.3f}: {counts}"
        figure.rect(left, top, right_edge - left, zero - top, "right", tip)
        figure.rect(left, zero, right_edge - left, deep - zero, "wrong", tip)
        figure.rect(left, zero, right_edge - left, deep - zero, "hatched", tip)
    figure.line((plot.x.start, plot.y(0)), (plot.x.end, plot.y(0)), "axis")
    for place, (name, arrow, styles) in enumerate(zip(names, "▲▼", (["right"], ["wrong", "hatched"]), strict=True)):
        x = plot.x.start + 150 * place
        for style in styles:
            figure.rect(x, figure.height - 15, 18, 11, style)
        figure.text(x + 24, figure.height - 5, f"{arrow} {name}", "mark")
    return figure.markup()


def length_figure(unit: str, bins: Sequence[Bin], overall: float, *, several: bool) -> Markup:
    """Draw the share of right texts by length, with intervals, against that of all texts."""
    held = "share with all labels right" if several else "share of right labels"
    parts = "; ".join(f"{_range(part)} {unit}: {part.share:.2f}" for part in bins)
    figure = Figure("lengths", "Accuracy by length of text", f"{held}. {parts}. All texts: {overall:.2f}.", height=260)
    steps = ticks(min(part.interval[0] for part in bins), max(part.interval[1] for part in bins))
    plot = Plot.of(figure, (-0.5, len(bins) - 0.5), (max(0.0, steps[0]), min(1.0, steps[-1])), steps)
    steps = [step for step in steps if 0 <= step <= 1]
    plot.frame(unit, [(place, _range(part)) for place, part in enumerate(bins)], steps, held)
    figure.line((plot.x.start, plot.y(overall)), (plot.x.end, plot.y(overall)), "ideal")
    for place, part in enumerate(bins):
        plot.whisker(place, *part.interval, "whisker")
        tip = f"{part.low:,.0f} to {part.high:,.0f} {unit}: {part.held:,} of {part.count:,}, {_percent(part.share)}"
        figure.dot(plot.at(place, part.share), "s0", tip, size=4.5)
    return figure.markup()


def _range(part: Bin) -> str:
    low, high = brief(part.low), brief(part.high)
    return low if low == high else f"{low}–{high}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def matrix_figure(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> Markup:
    """Draw the matrix; a column beyond the labels counts the texts that got none. It scrolls rather than shrinks."""
    columns = [quoted(name) for name in names] + ["no label"] * (len(matrix[0]) - len(names))
    cell = 74 if len(names) <= 3 else 50 if len(names) <= 8 else 42
    rows = [short(quoted(name), 16) for name in names]
    heads = [short(name, 16) for name in columns]
    flat = max(map(len, heads)) * _CELL_LETTER < cell
    left = 12 + _CELL_LETTER * max(len("predicted →"), *map(len, rows))
    top = 40.0 if flat else 28 + 0.75 * _CELL_LETTER * max(map(len, heads))
    slack = 0 if flat else 0.7 * _CELL_LETTER * max(map(len, heads[-2:]))
    right = sum(counts[row] for row, counts in enumerate(matrix))
    figure = Figure(
        "matrix", "Confusion matrix",
        f"True labels in rows, predicted ones in columns. {right:,} of {sum(map(sum, matrix)):,} texts are on the "
        f"diagonal: right. The same numbers are in the table.",
        left + cell * len(columns) + max(8, slack), top + cell * len(matrix) + 8,
    )  # fmt: skip
    figure.text(left - 8, top - 24, "predicted →", "name", "end")
    figure.text(left - 8, top - 8, "true ↓", "name", "end")
    for column, head in enumerate(heads):
        x = left + cell * (column + 0.5)
        if flat:
            figure.text(x, top - 8, head, "tick", "middle", tip=columns[column])
        else:
            figure.text(x, top - 8, head, "tick", "start", turn=-45, tip=columns[column])
    for row, counts in enumerate(matrix):
        y = top + cell * row
        figure.text(left - 8, y + cell / 2 + 4, rows[row], "tick", "end", tip=quoted(names[row]))
        for column, count in enumerate(counts):
            what = f"true {columns[row]}, predicted {columns[column]}"
            _cell(figure, left + cell * column, y, cell, count, sum(counts), what, right=row == column)
    return figure.markup()


def _cell(figure: Figure, x: float, y: float, size: float, count: int, total: int, what: str, *, right: bool) -> None:
    share = count / total if total else 0.0
    tip = f"{what}: {count:,} of {total:,}, {100 * share:.1f} %"
    figure.rect(x + 1, y + 1, size - 2, size - 2, "cell own" if right else "cell", tip, share)
    middle = x + size / 2
    figure.text(middle, y + size / 2 - 2, f"{count:,}", "count", "middle", tip=tip)
    figure.text(middle, y + size / 2 + 12, f"{100 * share:.0f} %", "share", "middle", tip=tip)
