"""Owns the drawing of figures as SVG: a few marks in the page's own colours, escaped by the XML writer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from textclf import Markup, visible

Anchor = Literal["start", "middle", "end"]
SHAPES = ("round", "square", "diamond", "triangle")
Point = tuple[float, float]
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
        """Define stripes that the style sheet fills areas with, so that colour alone tells nothing apart."""
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
