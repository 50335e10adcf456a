"""Owns the figures of a run's test texts: calibration, scores, and accuracy by length."""

from __future__ import annotations

from collections.abc import Sequence

from textclf import Markup

from .drawing import Figure, Plot, brief, ticks
from .measures import Bin, Calibration

_SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1.0]


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
