"""Owns what `textclf predict` reads and writes: rows with their texts, and rows with their predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import DataError
from .columns import Columns
from .terminal import Terminal
from .words import cut, fixed

if TYPE_CHECKING:
    from ..data.predictions import Prediction
    from ..model.classifier import Classifier

FORMATS = ("csv", "tsv", "jsonl", "parquet")
Write = Callable[[tuple[Any, ...], "Prediction"], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say about columns and form."""

    columns: Columns
    format: str | None
    raw: bool
    encoding: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to classify: the columns that are kept, and each row's values with its text, or pair of texts.

    total: how many there are. share: how much of the file has been read. Both may answer that they do not know.
    """

    columns: tuple[str, ...]
    items: Iterable[tuple[tuple[Any, ...], str | tuple[str, str]]]
    total: Callable[[], int | None] = lambda: None
    share: Callable[[], float | None] = lambda: None


def rows_of_lines(stream: Iterable[bytes]) -> Iterator[str]:
    """Return the lines of a stream of UTF-8, without their ends."""
    for number, line in enumerate(stream, 1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            place = f"stdin: line {number}, byte {error.start + 1}"
            raise DataError(f"{place}: is no UTF-8 text; convert it first, as with iconv -f LATIN1 -t UTF-8") from None


@contextmanager
def rows_of_table(
    source: str | BinaryIO, wanted: Wanted, pairs: bool, options: Mapping[str, Any]
) -> Iterator[Rows]:
    """Open a table, find the columns of the texts, and keep all others."""
    from ..tables.reader import read_table

    name = source if isinstance(source, str) else "stdin"
    place = Path(source) if isinstance(source, str) else source
    with read_table(place, name=name, encoding=wanted.encoding) as table:
        columns = wanted.columns.found(name, table.columns, options, ("text", "pair") if pairs else ("text",))

        def items() -> Iterator[tuple[tuple[Any, ...], str | tuple[str, str]]]:
            for row in table:
                yield tuple(row.values.get(column) for column in table.columns), columns.text_of(row)

        yield Rows(tuple(table.columns), items(), lambda: table.total, table.share)


@contextmanager
def sink(
    terminal: Terminal, target: str | None, columns: tuple[str, ...], classifier: Classifier, wanted: Wanted
) -> Iterator[Write]:
    """Yield what writes a row and its prediction: lines for a person at a terminal, else a table."""
    if target is None and wanted.format is None and terminal.out.isatty():
        yield _line_writer(terminal, classifier)
        return
    from ..tables.writer import write_table

    names = classifier.labels.names
    score = () if classifier.labels.task == "multi-label" else ("score",)
    added = ("predicted", *score, *(f"score_{name}" for name in names))
    place = terminal.out.buffer if target in (None, "-") else Path(str(target))
    format: Any = wanted.format or ("csv" if target in (None, "-") else None)
    headings = (*columns, *_fresh(added, columns))
    with write_table(place, headings, format=format, raw=wanted.raw) as write:

        def write_row(values: tuple[Any, ...], prediction: Prediction) -> None:
            best = () if isinstance(prediction.label, tuple) else (prediction.score,)
            scores = (prediction.scores[name] for name in names)
            label = list(prediction.label) if isinstance(prediction.label, tuple) else prediction.label
            write((*values, label, *best, *scores))

        yield write_row


def _line_writer(terminal: Terminal, classifier: Classifier) -> Write:
    width = min(max(map(len, classifier.labels.names), default=1), 24)

    def write_line(values: tuple[Any, ...], prediction: Prediction) -> None:
        said = ", ".join(prediction.label) if isinstance(prediction.label, tuple) else prediction.label
        label = cut(said or "(none)", max(width, 6))
        score = fixed(max(prediction.scores.values()) if prediction.score is None else prediction.score, 3)
        text = " | ".join(str(value) for value in values)
        terminal.answer(f"{label:{max(width, 6)}}  {score}  {cut(text, max(terminal.answers.width - width - 12, 20))}")

    return write_line


def _fresh(added: Iterable[str], taken: tuple[str, ...]) -> Iterator[str]:
    """Return the names of the added columns; one that the table already has gets a number."""
    names = set(taken)
    for name in added:
        unique, count = name, 2
        while unique in names:
            unique, count = f"{name}_{count}", count + 1
        names.add(unique)
        yield unique
