"""Owns `textclf predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import RecipeError, did_you_mean, listing
from .arguments import Encoding, RunArgument, Runs, TextColumn, as_text
from .rows import FORMATS, Columns, Rows, Wanted, dataset_options, rows_of_lines, rows_of_table
from .session import Session

if TYPE_CHECKING:
    from ..model.classifier import Classifier


TextArguments = Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts to classify.")]
Pair = Annotated[
    str | None,
    typer.Option("--pair", metavar="TEXT", help="The second text of a pair; with --input, the column of them."),
]
Source = Annotated[
    str | None, typer.Option("--input", metavar="FILE", help="A table: CSV, TSV, JSONL or Parquet; - is stdin.")
]
Target = Annotated[str | None, typer.Option("--output", metavar="FILE", help="Where to write the table; - is stdout.")]
Format = Annotated[
    str | None, typer.Option("--format", metavar="FORMAT", help="csv, tsv, jsonl or parquet; told by --output.")
]
Raw = Annotated[bool, typer.Option("--raw", help="Leave cells that a spreadsheet would run as formulas as they are.")]

_COLUMNS = "--input FILE --text COLUMN --pair COLUMN"

Fast = Annotated[bool, typer.Option("--fast", help="Score in bf16, where that was measured to pay; says which it is.")]


def predict(
    ctx: typer.Context,
    run: RunArgument,
    texts: TextArguments = None,
    pair: Pair = None,
    source: Source = None,
    target: Target = None,
    text: TextColumn = None,
    format: Format = None,
    raw: Raw = False,
    encoding: Encoding = "utf-8",
    fast: Fast = False,
    runs: Runs = "runs",
) -> None:
    """Classify texts: given ones, lines from stdin, or a table, whose other columns are kept.

    From file to file, the same command goes on where it was interrupted.
    """
    from .predict_job import Work, from_file_to_file, is_resumable, straight, trickling
    from .progress import Pace

    _check(texts, pair, source, target, format)
    texts, pair = [as_text(word) for word in texts or ()], pair if pair is None or source else as_text(pair)
    session = Session.of(ctx)
    engine = session.engine(runs=runs)
    wanted = Wanted(Columns(tuple(text or ()), (pair,) if pair and source else ()), format, raw, encoding)
    if source is None and not texts and (sys.stdin is None or sys.stdin.isatty()):
        raise RecipeError("nothing to classify: give texts, --input FILE, or pipe lines into stdin")
    classifier = engine.load(run)
    if pair is not None and not classifier.pairs:
        raise RecipeError("--pair: this classifier reads single texts, not pairs")
    with Pace(session.terminal.notes) as pace, classifier.context(fast=fast, observer=pace) as context:
        work = Work(session, classifier, context, pace)
        stream, pipe = trickling(sys.stdin.buffer) if source == "-" or (source is None and not texts) else (None, None)
        if source is None:
            straight(work, _given(texts or rows_of_lines(stream or ()), pair, classifier), target, wanted, pipe)
        elif target is not None and is_resumable(source, target):
            from_file_to_file(work, engine.model(run), source, target, wanted, dataset_options(engine, run))
        else:
            table = rows_of_table(stream or source, wanted, classifier.pairs, dataset_options(engine, run))
            with table as rows:
                straight(work, rows, target, wanted, pipe)


def _check(
    texts: list[str] | None, pair: str | None, source: str | None, target: str | None, format: str | None
) -> None:
    if source and target and Path(source).is_file() and Path(target).is_file() and Path(source).samefile(target):
        raise RecipeError("--output is the --input, which would be replaced by its own predictions; name another file")
    if source is not None and texts:
        raise RecipeError("give texts or --input, not both")
    if pair is not None and source is None and len(texts or ()) != 1:
        raise RecipeError(f"--pair is the second text of one TEXT; for many pairs use {_COLUMNS}")
    if format is not None and format not in FORMATS:
        raise RecipeError(f"--format: '{format}' is unknown{did_you_mean(format, FORMATS)} (known: {listing(FORMATS)})")


def _given(texts: Iterable[str], pair: str | None, classifier: Classifier) -> Rows:
    """Return the texts of the command line, or of the lines on stdin."""
    if classifier.pairs and pair is None:
        raise RecipeError(f"this classifier reads pairs of texts; add --pair TEXT, or use {_COLUMNS}")
    if pair is not None:
        given = [(text, pair) for text in texts]
        return Rows(("text", "pair"), zip(given, given, strict=True))
    return Rows(("text",), (((line,), line) for line in texts))
