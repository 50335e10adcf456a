"""Tables of texts: CSV, TSV, JSONL and Parquet, read row by row, with every value as it stands."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, cast, get_args

from ..errors import DataError, did_you_mean, listing
from .stream import RECORD_LIMIT, Source

Format = Literal["csv", "tsv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    number: the line of the file on which the row begins (CSV, TSV, JSONL) or the row (Parquet), from 1. values: by
    column; texts where the format knows nothing else, typed (str, int, float, bool, None, list) in JSONL and Parquet.
    """

    number: int
    values: Mapping[str, Any]
    source: str = "row "

    @property
    def place(self) -> str:
        """Where the row stands, for the beginning of a message: "reviews.csv:12"."""
        return f"{self.source}{self.number}"

    def text(self, column: str) -> str:
        """Return a column's value as text; a DataError where it is missing, null or no single value."""
        try:
            value = self.values[column]
        except KeyError:
            known = list(self.values)
            raise DataError(
                f"{self.place}: has no '{column}'{did_you_mean(column, known)} (it has: {listing(known) or 'nothing'})"
            ) from None
        return text_of(value, self, column)


def text_of(value: Any, row: Row, column: str) -> str:
    """Return a single value as text: numbers in their shortest form, true and false as JSON writes them."""
    if isinstance(value, str):
        return value
    if value is None:
        raise DataError(f"{row.place}: '{column}' is null, not a text; write an empty text or leave the row out")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{row.place}: '{column}' is {value}, which is neither a text nor a number")
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError(f"{row.place}: '{column}' holds bytes that are no UTF-8 text") from None
    if isinstance(value, (Sequence, Mapping)):
        kind = "an object" if isinstance(value, Mapping) else "a list"
        raise DataError(f"{row.place}: '{column}' is {kind}, not a text; put a single text into each row")
    return str(value)


class Table:
    """An open table: its columns are known, its rows are read while they are iterated over, once.

    `total` is its number of rows where the format tells it.
    An empty file is refused when it is opened. A header without rows is a table without rows; `some_rows` refuses it.
    """

    def __init__(
        self,
        source: Source,
        format: Format,
        columns: Sequence[str],
        rows: Iterable[tuple[int, Any]],
        total: int | None = None,
    ) -> None:
        self.total = total
        self.name, self.format, self.columns = source.name, format, tuple(columns)
        self._source, self._rows = source, iter(rows)
        self._prefix = f"{self.name}: row " if format == "parquet" else f"{self.name}:"

    def __iter__(self) -> Iterator[Row]:
        keyed = self.format in ("jsonl", "parquet")
        for number, values in self._rows:
            yield Row(number, values if keyed else dict(zip(self.columns, values, strict=True)), self._prefix)
        self._source.check_unchanged()

    def share(self) -> float | None:
        """Return how much of the file has been read, from 0 to 1, or None where that is not known."""
        return None if self.total is not None else self._source.share()

    def some_rows(self) -> Iterator[Row]:
        """Iterate as over the table itself; a DataError where there is no row at all."""
        empty = True
        for row in self:
            empty = False
            yield row
        if empty:
            raise DataError(f"{self.name}: has a header ({listing(self.columns)}) but no rows")

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def read_table(
    source: Path | BinaryIO,
    *,
    name: str = "",
    format: Format | None = None,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    quotes: bool = True,
    limit: int = RECORD_LIMIT,
) -> Table:
    """Open a table, gzipped or not, and read its columns; close it, or use it in a `with` statement.

    The format is told by the file's name, or, for a stream, by its first bytes. `quotes: false` takes quotes in CSV
    and TSV as ordinary characters. A record over `limit` characters, a torn file and everything else that would give
    wrong values is a DataError with the place.
    """
    opened = Source(source, name)
    try:
        kind = format or _format_of(opened)
        if kind == "parquet":
            from .parquet import parquet_rows

            columns, found, total = parquet_rows(opened.seekable(), opened.name, limit)
            return Table(opened, kind, _checked(columns, opened.name), found, total)
        lines = opened.lines(encoding, limit)
        if kind == "jsonl":
            return _jsonl(opened, lines)
        return _delimited(opened, lines, kind, delimiter or ("\t" if kind == "tsv" else ","), quotes, limit)
    except BaseException:
        opened.close()
        raise


def table_format(name: str) -> Format | None:
    """Tell the format by a file's name, with or without `.gz`, or None where it does not tell."""
    return _SUFFIXES.get(Path(name.lower().removesuffix(".gz")).suffix)


def _format_of(source: Source) -> Format:
    if source.path is not None and (known := table_format(source.path.name)):
        return known
    if source.regular:
        raise DataError(
            f"{source.name}: the name does not tell the format (known: {', '.join(_SUFFIXES)}, each also with .gz); "
            f"rename the file or say `format` ({', '.join(FORMATS)})"
        )
    if source.head.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if source.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) else "csv"


def _delimited(source: Source, lines: Iterator[str], kind: Format, delimiter: str, quotes: bool, limit: int) -> Table:
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise DataError(f"{source.name}: the delimiter must be one character, and no quote or line end")
    records = _records(lines, source.name, delimiter, quotes, limit)
    number, header = next(records, (0, []))
    if not header:
        raise DataError(f"{source.name}: is empty; the first row must name the columns")
    columns = _checked(header, f"{source.name}:{number}")

    def rows() -> Iterator[tuple[int, list[str]]]:
        for line, fields in records:
            if len(fields) != len(columns):
                count = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                shown = "a tab" if delimiter == "\t" else f"'{delimiter}'"
                many = len(fields) > len(columns)
                hint = f"put texts that contain {shown} in quotes" if many else "a field or a line end is missing"
                raise DataError(f"{source.name}:{line}: {count} where the header has {len(columns)}; {hint}")
            yield line, fields

    return Table(source, kind, columns, rows())


def _records(
    lines: Iterator[str], name: str, delimiter: str, quotes: bool, limit: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line on which it begins, from 1; blank lines are left out."""
    begin, size = 1, 0

    def bounded() -> Iterator[str]:
        nonlocal size
        for line in lines:
            size += len(line)
            if size > limit:
                raise DataError(f"{name}:{begin}: the row that begins here is too long; is a quote never closed?")
            yield line

    # The module's own limit belongs to the whole process, so it is only raised; `bounded` keeps to that of this table.
    csv.field_size_limit(max(limit, csv.field_size_limit()))
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(bounded(), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for fields in reader:
            if fields:
                yield begin, fields
            begin, size = reader.line_num + 1, 0
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise DataError(
                f"{name}:{begin}: a quote is opened in the row that begins here and never closed; "
                "close it, or set `quotes: false` where quotes are ordinary characters"
            ) from None
        raise DataError(
            f"{name}:{reader.line_num}: text follows a closing quote; "
            'a quote inside a quoted field is written twice ("")'
        ) from None


def _jsonl(source: Source, lines: Iterator[str]) -> Table:
    records = _objects(lines, source.name)
    first = next(records, None)
    if first is None:
        raise DataError(f"{source.name}: is empty; each line must be a JSON object")
    columns = _checked(list(first[1]), f"{source.name}:{first[0]}")

    def all_records() -> Iterator[tuple[int, Any]]:
        yield first
        yield from records

    return Table(source, "jsonl", columns, all_records())


def _objects(lines: Iterator[str], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        place = f"{name}:{number}"
        try:
            value = json.loads(line.rstrip("\r\n"), parse_constant=_refuse_constant, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            raise DataError(_bad_json(place, number, line, error)) from None
        except (ValueError, RecursionError) as error:
            reason = "is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise DataError(f"{place}: {reason}") from None
        if not isinstance(value, dict):
            raise DataError(f'{place}: each line must be a JSON object such as {{"text": "..."}}, not {_kind(value)}')
        yield number, value


def _bad_json(place: str, number: int, line: str, error: json.JSONDecodeError) -> str:
    if number == 1 and line.lstrip().startswith("["):
        return f"{place}: is one JSON array over several lines; write one object a line (JSONL)"
    reason = error.msg[:1].lower() + error.msg[1:]
    return f"{place}:{error.colno}: is no JSON: {reason}; each line must be one JSON object"


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON; write null or leave the key out")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(key for key in keys if keys.count(key) > 1)}' is given twice")
    return made


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "null"}.get(type(value), "a single value")


def _checked(columns: Sequence[str], place: str) -> tuple[str, ...]:
    for index, column in enumerate(columns):
        if not column.strip():
            raise DataError(f"{place}: column {index + 1} has no name; the first row must name every column")
        if column in columns[:index]:
            first = columns.index(column) + 1
            raise DataError(f"{place}: columns {first} and {index + 1} are both called '{column}'; rename one")
    return cast(tuple[str, ...], tuple(columns))
