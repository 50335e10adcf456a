"""`textclf predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import RecipeError, did_you_mean, listing
from .arguments import Encoding, RunArgument, Runs, TextColumn, as_text
from .rows import FORMATS, Columns, ReadOptions, dataset_options, decoded_lines, rows_of_table, rows_of_texts
from .session import Session

_COLUMNS = "--input FILE --text COLUMN --pair COLUMN"

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
    str | None,
    typer.Option("--format", metavar="FORMAT", help="csv, tsv, jsonl or parquet; else by the name of --output."),
]
Raw = Annotated[bool, typer.Option("--raw", help="Leave cells that a spreadsheet would run as formulas as they are.")]
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
    """Classify texts, lines from stdin, or a table, whose other columns are written again.

    From file to file, the same command resumes where it was interrupted.
    """
    from .predict_job import ScoringJob, is_resumable, open_pipe, score_file, score_stream
    from .progress import PredictProgress

    _check(texts, pair, source, target, format)
    session = Session.of(ctx)
    engine = session.engine(runs=runs)
    if source is None and not texts and (sys.stdin is None or sys.stdin.isatty()):
        raise RecipeError("nothing to classify: give texts, --input FILE, or pipe lines into stdin")
    classifier = engine.load(run)
    if pair is not None and not classifier.pairs:
        raise RecipeError("--pair: this classifier reads single texts, not pairs")
    if pair is None and source is None and classifier.pairs:
        raise RecipeError(f"this classifier reads pairs of texts; add --pair TEXT, or use {_COLUMNS}")
    columns = Columns(tuple(text or ()), (pair,) if pair and source else ())
    options = ReadOptions(columns, encoding, format, raw, dataset_options(engine, run) if source else {})
    progress = PredictProgress(session.terminal.notes)
    with progress, classifier.context(fast=fast, observer=progress) as context:
        job = ScoringJob(session, classifier, context, progress, options)
        if source is not None and target is not None and is_resumable(source, target):
            score_file(job, engine.model(run), source, target)
            return
        piped = source == "-" or (source is None and not texts)
        stream, pipe = open_pipe(sys.stdin.buffer) if piped else (None, None)
        if source is None:
            lines = map(as_text, texts) if texts else decoded_lines(stream or ())
            score_stream(job, rows_of_texts(lines, pair if pair is None else as_text(pair)), target, pipe)
        else:
            with rows_of_table(stream or source, options, classifier.pairs) as rows:
                score_stream(job, rows, target, pipe)


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
