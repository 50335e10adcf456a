"""Tables written whole or not at all, harmless for spreadsheets: CSV, TSV, JSONL and Parquet."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from ..data.cleaning import whole
from ..errors import RecipeError, ResourceError
from ..files import sync
from .parquet import ParquetRows
from .reader import Format, table_format

_NEEDS_QUOTES = {",": re.compile('[,"\r\n]'), "\t": re.compile('[\t"\r\n]')}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)

WriteRow = Callable[[Sequence[Any]], None]


@contextmanager
def write_table(
    target: Path | BinaryIO, columns: Sequence[str], *, format: Format | None = None, raw: bool = False
) -> Iterator[WriteRow]:
    """Yield a function that writes one row, a value for each column.

    A file appears under its name when everything is written, and not at all after an error. In CSV and TSV a text that
    a spreadsheet would run as a formula is written with a leading apostrophe, unless `raw`.
    """
    if not isinstance(target, Path):
        with _rows(target, "output", columns, format or "csv", raw) as write:
            yield write
        with saying("output"):
            target.flush()
        return
    kind = checked_target(target, format)
    with _whole_file(target) as file:
        packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if target.name.lower().endswith(".gz") else None
        with _rows(cast(BinaryIO, packed or file), str(target), columns, kind, raw) as write:
            yield write
        if packed is not None:
            with saying(str(target)):
                packed.close()


def checked_target(target: Path, format: Format | None) -> Format:
    """Return the format in which a file is to be written; a RecipeError where it cannot be."""
    kind = format or table_format(target.name)
    if kind is None:
        raise RecipeError(f"{target}: the name does not tell the format; end it with .csv, .tsv, .jsonl or .parquet")
    if target.is_dir():
        raise RecipeError(f"{target}: cannot be written: is a folder; name a file")
    return kind


@contextmanager
def _whole_file(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file that takes its name, durably, when the block ends, and disappears where it raises."""
    name = str(target)
    if target.exists() and not target.is_file() and not target.is_dir():
        # A device or a pipe has no content to protect, and must not be replaced by a file.
        with _opened(target, name) as device:
            yield device
        return
    place = Path(os.path.realpath(target))
    part = place.with_name(f".{place.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with _opened(part, name) as file:
            yield file
            with saying(name):
                file.flush()
                os.fsync(file.fileno())
        with saying(name):
            part.replace(place)
            sync(place.parent)
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    with saying(name):
        file = path.open("wb")
    try:
        yield file
    finally:
        # What is still buffered may not fit: closing fails then, and a second try only frees the descriptor.
        with saying(name):
            file.close()


@contextmanager
def _rows(file: BinaryIO, name: str, columns: Sequence[str], kind: Format, raw: bool) -> Iterator[WriteRow]:
    with saying(name):
        write, finish = _writer(file, name, columns, kind, raw)

    def write_fitting(row: Sequence[Any]) -> None:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} values for {len(columns)} columns")
        with saying(name):
            write(row)

    yield write_fitting
    with saying(name):
        finish()


def _writer(
    file: BinaryIO, name: str, columns: Sequence[str], kind: Format, raw: bool
) -> tuple[WriteRow, Callable[[], None]]:
    """Return what writes a row and what ends the table."""
    if kind == "parquet":
        rows = ParquetRows(file, name, columns)
        return lambda row: rows.write(tuple(map(_parquet_value, row))), rows.close
    if kind == "jsonl":
        return lambda row: _write(file, _json_line(dict(zip(columns, row, strict=True)))), lambda: None
    delimiter = "\t" if kind == "tsv" else ","
    _write(file, _line(columns, delimiter, raw))
    return lambda row: _write(file, _line(row, delimiter, raw)), lambda: None


def _write(file: BinaryIO, line: str) -> None:
    file.write(line.encode("utf-8"))


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
    line = json.dumps(values, ensure_ascii=False, default=_plain)
    if line != whole(line):
        line = json.dumps(values, default=_plain)  # a lone surrogate survives as an escape
    return line + "\n"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """Return a number of numpy as Python's, anything else as text."""
    return _finite(value.item()) if hasattr(value, "item") else str(value)


def _parquet_value(value: Any) -> Any:
    return whole(value) if isinstance(value, str) else value


@contextmanager
def saying(name: str) -> Iterator[None]:
    """Turn what the system refuses into an error that names the file and the way out."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise RecipeError(f"{name}: cannot be written: there is no folder '{Path(name).parent}'; make it") from None
    except PermissionError as error:
        raise RecipeError(f"{name}: cannot be written: {error.strerror}; name another file") from None
    except OSError as error:
        raise ResourceError(f"{name}: cannot be written: {error.strerror}; free space or name another place") from None
