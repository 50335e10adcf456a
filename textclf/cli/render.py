"""Reports and summaries as tables on a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..errors import counted
from ..evaluation.report import Estimate, LabelRow, Report, Spread, Summary
from .format import duration, fixed, number, percent, shorten, thousands
from .terminal import new_table

# Beyond these a table is no longer read but searched; metrics.json and predictions.csv have everything.
_LABELS, _MATRIX, _CONFUSIONS, _WIDTH = 20, 10, 10, 32

# What stays on one side of a split: texts that are equal after cleaning, and rows of one group.
_UNSPLIT = {"repeated_texts": "repeated text", "groups": "group"}


def report_parts(report: Report | Summary) -> list[RenderableType]:
    """Return a run's report, or a study's summary, as renderables, the most important first."""
    if isinstance(report, Summary):
        return _summary_parts(report)
    parts: list[RenderableType] = ["", _title(report), "", _metrics(report), ""]
    parts += [_labels(report), *_cut_note(report), ""]
    parts += _confusion(report)
    return parts + _remarks(report)


def _summary_parts(summary: Summary) -> list[RenderableType]:
    """Return a study's table: a row for each member, then mean and interval."""
    names = list(summary.metrics)
    table = new_table("", *names, right=len(names))
    for member in summary.members:
        table.add_row(shorten(member.label, _WIDTH), *(fixed(member.metrics.get(name)) for name in names))
    spreads = [summary.metrics[name] for name in names]
    table.add_row("mean", *(fixed(spread.mean) for spread in spreads), style="bold")
    table.add_row("deviation", *(fixed(spread.deviation) for spread in spreads))
    table.add_row("95 % interval", *(_range(spread) for spread in spreads))
    warnings = [f"warning: {warning}" for warning in summary.warnings]
    return ["", f"{summary.name}: {counted(len(summary.members), 'run')}", "", table, "", *warnings]


def _title(report: Report) -> str:
    sizes = ", ".join(f"{thousands(size)} {name}" for name, size in report.sizes.items())
    return f"{report.name}: {counted(len(report.labels), 'label')}; texts: {sizes}"


def _metrics(report: Report) -> Table:
    table = new_table(f"on {report.tested_on}", "value", "95 % interval", "majority baseline", right=3)
    for name, estimate in report.metrics.items():
        style = "bold" if name == report.headline else ""
        baseline = fixed(report.baseline[name]) if name in report.baseline else ""
        table.add_row(shorten(name, _WIDTH), fixed(estimate.value), _range(estimate), baseline, style=style)
    if "log_loss" not in report.metrics:
        table.add_row("log_loss", fixed(report.log_loss), "", "")
    for name, value in report.validation.items():
        table.add_row(f"{shorten(name, _WIDTH)} on validation", fixed(value), "", "", style="dim")
    return table


def _range(estimate: Estimate | Spread) -> str:
    return "" if math.isnan(estimate.low) else f"{fixed(estimate.low)} to {fixed(estimate.high)}"


def _labels(report: Report) -> Table:
    table = new_table("label", "precision", "recall", "F1", "texts", right=4)
    rows: Sequence[LabelRow] = report.per_label
    if len(rows) > _LABELS:
        rows = sorted(rows, key=lambda row: row.f1)[:_LABELS]
    for row in rows:
        table.add_row(*_label_cells(row))
    for row in report.averages:
        label, *numbers = _label_cells(row)
        table.add_row(f"{label} average", *numbers, style="dim")
    return table


def _label_cells(row: LabelRow) -> list[str]:
    numbers = (fixed(value) for value in (row.precision, row.recall, row.f1))
    return [shorten(row.label, _WIDTH), *numbers, thousands(row.support)]


def _cut_note(report: Report) -> list[RenderableType]:
    if len(report.per_label) <= _LABELS:
        return []
    return [f"the {_LABELS} labels with the lowest F1, of {len(report.per_label)}; all are in metrics.json"]


def _confusion(report: Report) -> list[RenderableType]:
    if not report.confusion:
        return []
    if len(report.labels) <= _MATRIX:
        return [_matrix(report.labels, report.confusion), ""]
    cells = [
        (count, true, predicted)
        for true, row in zip(report.labels, report.confusion, strict=False)
        for predicted, count in zip((*report.labels, "(abstained)"), row, strict=False)
        if count and true != predicted
    ]
    table = new_table("most confused: true label", "texts", "predicted as", right=2)
    table.columns[2].justify = "left"
    for count, true, predicted in sorted(cells, key=lambda cell: -cell[0])[:_CONFUSIONS]:
        table.add_row(shorten(true, _WIDTH), thousands(count), shorten(predicted, _WIDTH))
    return [table, ""] if cells else []


def _matrix(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> Table:
    headings = [*labels, "(abstained)"][: len(confusion[0])]
    width = max(6, 56 // len(headings) - 2)
    columns = [shorten(label, width) for label in headings]
    table = new_table("true label \\ predicted", *columns, right=len(columns))
    for row, (label, counts) in enumerate(zip(labels, confusion, strict=False)):
        cells = [Text(thousands(count), style="bold" if row == column else "") for column, count in enumerate(counts)]
        table.add_row(shorten(label, _WIDTH), *cells)
    return table


def _remarks(report: Report) -> list[RenderableType]:
    lines = [f"intervals: {thousands(report.draws)} bootstrap draws of {_resampled(report)}"]
    if report.coverage < 1:
        lines.append(f"decided: {report.coverage:.1%} of the texts; the others were left without a label")
    together = [counted(report.split[key], noun) for key, noun in _UNSPLIT.items() if report.split.get(key)]
    lines += [f"split: {' and '.join(together)} kept on one side"] if together else []
    lines += [f"chosen: {', '.join(_notes(report.choices))}"] if report.choices else []
    if report.stages:
        times = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in report.stages.items())
        speed = None if report.accounts else report.tokens_per_second
        lines.append(f"time: {times}" + (f"; {thousands(speed)} tokens per second" if speed else ""))
    lines += [account(stage, about) for stage, about in report.accounts.items()]
    for name, about in report.objectives.items():
        first, last = fixed(about["first_loss"]), fixed(about["last_loss"])
        lines.append(f"{name}: loss {first}" + ("" if first == last else f" in its first epoch, {last} in its last"))
    lines += [f"warning: {warning}" for warning in report.warnings]
    return [*lines]


def _resampled(report: Report) -> str:
    if report.tested_on == "the test split":
        return f"the test split's {report.resampled}"
    return "these texts" if report.resampled == "texts" else "these texts' groups"


def account(stage: str, about: Mapping[str, Any]) -> str:
    """Return in one line how fast a stage was, and where its time went."""
    facts = [f"{thousands(about['tokens_per_second'])} tokens per second"]
    if about.get("peak_share") is not None:
        facts.append(f"{percent(about['peak_share'])} of the measured matrix peak")
    if about.get("padding") is not None:
        facts.append(f"{percent(about['padding'])} padding" if about["padding"] else "no padding")
    if about.get("first_step"):
        facts.append(f"from step {thousands(about['first_step'])} on")
    total = sum(about.get("parts", {}).values())
    # What takes less than a hundredth is not worth a word.
    parts = [f"{name} {percent(each / total)}" for name, each in about.get("parts", {}).items() if each > total / 100]
    return f"{stage}: {', '.join(facts)}" + (f"; {', '.join(parts)}" if parts else "")


def _notes(notes: Any) -> Iterable[str]:
    for key, value in notes.items():
        name = str(key).replace("_", " ")
        if isinstance(value, dict):
            yield from (f"{name} {inner}" for inner in _notes(value))
        elif isinstance(value, int):
            yield f"{name} {number(value)}"
        elif value is not None and value != "":
            yield f"{name} {value}"
