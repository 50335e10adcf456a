"""Owns `textclf evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Json, RunArgument, Runs, TextColumn
from .columns import Columns, Role, dataset_options
from .session import Session

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..data.tables import Row


def evaluate(
    ctx: typer.Context,
    run: RunArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table of labelled texts: CSV, TSV, JSONL, Parquet.")],
    text: TextColumn = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="COLUMN", help="The column of the labels; several are parted by |.")
    ] = None,
    pair: Annotated[
        str | None, typer.Option("--pair", metavar="COLUMN", help="The column of the second texts of pairs.")
    ] = None,
    runs: Runs = "runs",
    as_json: Json = False,
) -> None:
    """Judge a trained classifier on other labelled texts."""
    from .console import report_parts

    session = Session.of(ctx)
    engine = session.engine(runs=runs)
    classifier = engine.load(run)
    columns = _read(file, classifier, Columns(text, pair, label), dataset_options(engine, run))
    report = engine.evaluate(classifier, columns)
    if as_json:
        session.terminal.document({"run": run, "file": str(file), "report": report.to_json()})
    else:
        session.terminal.answer(*report_parts(report))


def _read(file: Path, classifier: Classifier, columns: Columns, options: dict[str, Any]) -> Any:
    """Return texts, second texts where the classifier reads pairs, and labels: a column each."""
    from ..data.tables import read_table

    roles: tuple[Role, ...] = ("text", "pair") if classifier.pairs else ("text",)
    several = classifier.labels.task == "multi-label"
    with read_table(file) as table:
        names = [columns.find(role, table.columns, options, str(file)) for role in roles]
        of_label = columns.find("label", table.columns, options, str(file))
        rows = [(*map(row.text, names), _labels(row, of_label, several)) for row in table.some_rows()]
    return tuple(map(list, zip(*rows, strict=True)))


def _labels(row: Row, column: str, several: bool) -> str | list[str]:
    value = row.values.get(column)
    if several and isinstance(value, (list, tuple)):
        return [str(name) for name in value]
    return [name for name in row.text(column).split("|") if name] if several else row.text(column)
