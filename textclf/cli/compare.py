"""`textclf compare`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..errors import counted
from .arguments import Json, Runs, complete_run
from .format import fixed, p_value, plain, shorten, signed, thousands
from .session import Session
from .terminal import new_table, whole

if TYPE_CHECKING:
    from ..compare.comparison import Comparison, Difference

_VERSUS = "vs"
# Columns of a terminal: of a name at most and at least, of a metric's name at most, of the numbers with their gaps.
_WIDTH, _NARROWEST, _METRIC, _NUMBERS = 36, 12, 20, 52


def compare(
    ctx: typer.Context,
    run: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Runs to compare with the first; a study (NAME or NAME/ID) stands for its recipe. "
            "'A1 A2 vs B1 B2': runs of two recipes, several seeds each.",
            autocompletion=complete_run,
        ),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="Compare by this metric instead of the recipes'. Repeatable."),
    ] = None,
    runs: Runs = "runs",
    as_json: Json = False,
) -> None:
    """Test whether runs differ: classifiers, or recipes by several seeds, on the same test texts."""
    session = Session.of(ctx)
    found = session.engine(runs=runs).compare(_sides(run), metrics=metric or ())
    if as_json:
        session.terminal.document({"comparison": found.to_json()})
        return
    terminal = session.terminal
    drawn = whole(table(found)) if terminal.piped() else table(found, terminal.answers.width)
    terminal.answer("", drawn, "", *found.sentences(), *_tests(found), "", *_remarks(found))


def _sides(words: Sequence[str]) -> list[str | list[str]]:
    """Return the words one by one, or, where `vs` stands between them, the words of each side."""
    if _VERSUS not in words:
        return [*words]
    sides: list[list[str]] = [[]]
    for word in words:
        if word == _VERSUS:
            sides.append([])
        else:
            sides[-1].append(word)
    return [*sides]


def table(found: Comparison, width: int | None = None) -> Table:
    """Return each metric of each side; names are cut so that all fits into so many columns, numbers are not."""
    longest = max(len(name) for name in found.metrics)
    room = None if width is None else min(_WIDTH, max(_NARROWEST, width - _NUMBERS - min(longest, _METRIC)))
    labels = ("recipe", "mean") if found.speaks_of == "recipes" else ("run", "value")
    rows = new_table("metric", *labels, "difference", "95 % interval", "p", right=4)
    for name, each in found.metrics.items():
        for place, (side, one) in enumerate(zip(found.contenders, each, strict=True)):
            cells = _cells(one) if place else [fixed(one.value), "", "", ""]
            metric, label = plain(name), plain(side.label)
            if room is not None:
                metric, label = shorten(metric, _METRIC), shorten(label, room)
            row = ("" if place else metric, label, *cells)
            rows.add_row(*map(Text, row), style="bold" if one.different else "")
    return rows


def _cells(one: Difference) -> list[str]:
    if math.isnan(one.low):
        return [fixed(one.value), "undefined", "", ""]
    return [fixed(one.value), signed(one.difference), f"{signed(one.low)} to {signed(one.high)}", p_value(one.p)]


def _tests(found: Comparison) -> Iterator[str]:
    whole = ", groups taken whole" if found.resampled == "groups" else ""
    others = len(found.runs) - 1
    corrected = f", corrected for {others} comparisons" if others > 1 else ""
    for name, test in zip(found.runs[1:], found.mcnemar, strict=False):
        yield (
            f"only {name} decides {counted(test.other, 'text')} right, only {found.runs[0]} {thousands(test.first)}: "
            f"p {p_value(test.p)} by McNemar's exact test{whole}{corrected}"
        )


def _remarks(found: Comparison) -> Iterator[str]:
    yield found.scope()
    over = f"{thousands(found.draws)} bootstrap draws of the {found.resampled} of {counted(found.texts, 'test text')}"
    if found.resampled == "texts":
        over = f"{thousands(found.draws)} bootstrap draws of {counted(found.texts, 'test text')}, the same for all"
    spread = ", and the spread between seeds" if found.speaks_of == "recipes" else ""
    yield f"intervals: {over}{spread}"
    comparisons = len(found.runs) - 1
    if comparisons > 1:
        yield f"each against the first; p is corrected by Holm's method for {comparisons} comparisons of each metric"
    yield from (f"warning: {warning}" for warning in found.warnings)
