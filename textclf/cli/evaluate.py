"""`textclf evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Encoding, Json, RunArgument, Runs, TextColumn
from .rows import Columns, Role, dataset_options, is_model
from .session import Session

if TYPE_CHECKING:
    from ..model.classifier import Classifier


def evaluate(
    ctx: typer.Context,
    run: RunArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table of labelled texts: CSV, TSV, JSONL, Parquet.")],
    text: TextColumn = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="COLUMN", help="The column of the labels, or, repeated, columns of 0 and 1."),
    ] = None,
    pair: Annotated[
        str | None, typer.Option("--pair", metavar="COLUMN", help="The column of the second texts of pairs.")
    ] = None,
    encoding: Encoding = "utf-8",
    runs: Runs = "runs",
    as_json: Json = False,
) -> None:
    """Evaluate a trained classifier on other labelled texts."""
    from .render import report_parts

    session = Session.of(ctx)
    engine = session.engine(runs=runs)
    classifier = engine.load(run)
    columns = Columns(tuple(text or ()), (pair,) if pair else (), tuple(label or ()))
    data = _read(file, classifier, columns, dataset_options(engine, run), encoding)
    report = engine.evaluate(classifier, data, run=None if is_model(run) else run)
    if as_json:
        session.terminal.document({"run": run, "file": str(file), "report": report.to_json()})
    else:
        session.terminal.answer(*report_parts(report))


def _read(file: Path, classifier: Classifier, named: Columns, dataset: dict[str, Any], encoding: str) -> Any:
    """Return texts, second texts where the classifier reads pairs, and labels: a column each."""
    from ..tables.reader import read_table

    roles: tuple[Role, ...] = ("text", "pair", "label") if classifier.pairs else ("text", "label")
    several = classifier.labels.task == "multi-label"
    with read_table(file, encoding=encoding) as table:
        columns = named.find(str(file), table.columns, dataset, roles)
        read = columns.labels_of if several else columns.label_of
        rows = [(columns.text_of(row), read(row, dataset)) for row in table.some_rows()]
    texts, labels = zip(*rows, strict=True)
    return (*map(list, zip(*texts, strict=True)), list(labels)) if classifier.pairs else (list(texts), list(labels))
