"""Tables written whole or not at all, harmless for spreadsheets: CSV, TSV, JSONL and Parquet."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from ..data.cleaning import whole
from ..errors import RecipeError
from ..files import disk_errors, part_of, put_in_place, sync
from .parquet import ParquetRows
from .reader import Format, table_format

_NEEDS_QUOTES = {",": re.compile('[,"\r\n]'), "\t": re.compile('[\t"\r\n]')}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)

WriteRow = Callable[[Sequence[Any]], object]


@contextmanager
def write_table(
    target: Path | BinaryIO, columns: Sequence[str], *, format: Format | None = None, raw: bool = False
) -> Iterator[WriteRow]:
    """Yield a function that writes one row, a value for each column.

    A file appears under its name when everything is written, and not at all after an error. In CSV and TSV a text that
    a spreadsheet would run as a formula is written with a leading apostrophe, unless `raw`.
    """
    if not isinstance(target, Path):
        with _rows(target, Path("output"), columns, format or "csv", raw) as write:
            yield write
        with disk_errors(Path("output")):
            target.flush()
        return
    kind = checked_target(target, format)
    with _whole_file(target) as file:
        packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if target.name.lower().endswith(".gz") else None
        with _rows(cast(BinaryIO, packed or file), target, columns, kind, raw) as write:
            yield write
        if packed is not None:
            with disk_errors(target):
                packed.close()


def checked_target(target: Path, format: Format | None) -> Format:
    """Return the format in which a file is to be written; a RecipeError where it cannot be."""
    kind = format or table_format(target.name)
    if kind is None:
        raise RecipeError(f"{target}: the name does not tell the format; end it with .csv, .tsv, .jsonl or .parquet")
    if target.is_dir():
        raise RecipeError(f"cannot write {target}: is a folder; name a file")
    if not target.parent.is_dir():
        raise RecipeError(f"cannot write {target}: there is no folder '{target.parent}'; make it")
    return kind


@contextmanager
def _whole_file(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file that takes its name when the block ends, and disappears where it raises.

    Only what is done to the file itself becomes an error of the disk: the rows come from the block, and reading them
    may fail too.
    """
    # A device or a pipe has no content to protect, and must not be replaced by a file.
    direct = target.exists() and not target.is_file()
    # Of a link, the file that it leads to is replaced.
    place = Path(os.path.realpath(target))
    part = target if direct else part_of(place)
    try:
        with disk_errors(target):
            file = part.open("wb")
        try:
            yield file
        finally:
            # What is still buffered may not fit: closing fails then, and a second try only frees the descriptor.
            with disk_errors(target):
                file.close()
        if not direct:
            with disk_errors(target):
                sync(part)
                put_in_place(part, place)
    finally:
        if not direct:
            with suppress(OSError):
                part.unlink()


@contextmanager
def _rows(file: BinaryIO, target: Path, columns: Sequence[str], kind: Format, raw: bool) -> Iterator[WriteRow]:
    with disk_errors(target):
        write, finish = _writer(file, str(target), columns, kind, raw)

    def write_row(row: Sequence[Any]) -> None:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} values for {len(columns)} columns")
        with disk_errors(target):
            write(row)

    yield write_row
    with disk_errors(target):
        finish()


def _writer(
    file: BinaryIO, name: str, columns: Sequence[str], kind: Format, raw: bool
) -> tuple[WriteRow, Callable[[], None]]:
    """Return what writes a row and what ends the table."""
    if kind == "parquet":
        rows = ParquetRows(file, name, columns)
        return lambda row: rows.write([whole(v) if isinstance(v, str) else v for v in row]), rows.close
    if kind == "jsonl":
        return lambda row: file.write(_json_line(dict(zip(columns, row, strict=True))).encode()), lambda: None
    delimiter = "\t" if kind == "tsv" else ","
    file.write(_line(columns, delimiter, raw).encode())
    return lambda row: file.write(_line(row, delimiter, raw).encode()), lambda: None


def _line(values: Sequence[Any], delimiter: str, raw: bool) -> str:
    cells = [_cell(value, raw) for value in values]
    pattern = _NEEDS_QUOTES[delimiter]
    quoted = ['"' + cell.replace('"', '""') + '"' if pattern.search(cell) else cell for cell in cells]
    # A line without any character would be read as a blank line, not as a row.
    return (delimiter.join(quoted) or '""') + "\n"


def _cell(value: Any, raw: bool) -> str:
    if isinstance(value, str):
        return whole(value) if raw else _harmless(whole(value))
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _harmless(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run; numbers, which it would not, stay as they are."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text) else text


def _json_line(values: dict[str, Any]) -> str:
    values = {column: _finite(value) for column, value in values.items()}
    line = json.dumps(values, ensure_ascii=False, default=_json_value)
    if line != whole(line):
        line = json.dumps(values, default=_json_value)  # a lone surrogate survives as an escape
    return line + "\n"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_value(value: Any) -> Any:
    """Return a number of numpy as Python's, anything else as text."""
    return _finite(value.item()) if hasattr(value, "item") else str(value)
