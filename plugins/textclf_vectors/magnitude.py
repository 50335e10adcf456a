"""Owns `.magnitude` files: SQLite databases of vectors, read without the library that they are made for.

The layout is that of pymagnitude 0.1.143 and pymagnitude-lite 0.1.143 (`pymagnitude/converter.py` on PyPI, MIT):

    magnitude          key TEXT COLLATE NOCASE, dim_0 INTEGER, ..., dim_N INTEGER, magnitude REAL
    magnitude_format   key TEXT, value INTEGER: version (2), size, dim, precision, subword, subword_start, ...
    magnitude_subword  FTS3(char_ngrams, num_ngrams), its docid the word's rowid; only where `subword` is 1

A number of a vector is its integer, divided by 10^precision, times the row's `magnitude` (the vector's length; files of
version 1 have no such column, and vectors of length 1).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textclf import DataError

from . import subwords
from .reading import Keep, Kept, Vectors, demand_finite, shown, sized

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 2
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Format:
    """What a file says of itself."""

    dimensions: int
    precision: int
    lengths: bool
    ngrams: tuple[int, int] | None

    @property
    def columns(self) -> str:
        return ", ".join([*(f"dim_{i}" for i in range(self.dimensions)), *(["magnitude"] if self.lengths else [])])


def read(path: Path, keep: Keep) -> Vectors:
    """Read the wanted vectors of a .magnitude file; a DataError says what is wrong with it."""
    try:
        with closing(opened(path)) as database:
            told = read_format(path, database)
            kept, rows = Kept(path, keep), list[int]()
            for row, word in database.execute("SELECT rowid, key FROM magnitude ORDER BY rowid"):
                if not isinstance(word, str):
                    raise DataError(f"'{path}', row {row}: its key is no text")
                if kept.take(word):
                    rows.append(row)
            matrix = _scaled(path, told, list(_fetched(database, told, rows)), kept.words, rows)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' cannot be read as a .magnitude file: {error}") from None
    return Vectors(kept.words, matrix, kept.twice, partial(_guess, path) if told.ngrams else None)


def opened(path: Path) -> sqlite3.Connection:
    """Open a file for reading only; nothing that a hostile schema says is run."""
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA cell_size_check = ON")
    except sqlite3.Error:
        database.close()
        raise
    return database


def read_format(path: Path, database: sqlite3.Connection) -> Format:
    tables = dict(database.execute("SELECT name, type FROM sqlite_master WHERE name LIKE 'magnitude%'"))
    for name in ("magnitude", "magnitude_format"):
        if tables.get(name) != "table":
            raise DataError(f"'{path}' is an SQLite database without a table '{name}', so it is no .magnitude file")
    values: dict[Any, Any] = dict(database.execute("SELECT key, value FROM magnitude_format"))

    def number(key: str, default: int | None = None) -> int:
        value = values.get(key, default)
        if not isinstance(value, int):
            raise DataError(f"'{path}': its '{key}' is {value!r}, and should be a whole number")
        return value

    if number("version", 1) > VERSION:
        raise DataError(f"'{path}' has version {number('version')} of the format; known are those up to {VERSION}")
    if number("elmo", 0):
        raise DataError(f"'{path}' holds an ELMo network, not vectors of words")
    sized(path, number("size"), number("dim"), "its format")
    if not 0 <= number("precision") <= 18:
        raise DataError(f"'{path}': its 'precision' is {number('precision')}, and should be from 0 to 18")
    columns = [row[1] for row in database.execute("PRAGMA table_info(magnitude)")]
    missing = {"key", *(f"dim_{i}" for i in range(number("dim")))} - set(columns)
    if missing:
        raise DataError(f"'{path}' says that vectors have {number('dim')} dimensions, but has no column {min(missing)}")
    sizes = (number("subword_start"), number("subword_end")) if number("subword", 0) else None
    if sizes and not (1 <= sizes[0] <= sizes[1] <= 20 and "magnitude_subword" in tables):
        raise DataError(f"'{path}' says that it knows parts of words of {sizes[0]} to {sizes[1]} letters, and does not")
    return Format(number("dim"), number("precision"), "magnitude" in columns, sizes)


def _fetched(database: sqlite3.Connection, told: Format, rows: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of rows, which are in ascending order."""
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        query = f"SELECT {told.columns} FROM magnitude WHERE rowid IN ({marks}) ORDER BY rowid"
        yield from database.execute(query, some)


def _scaled(
    path: Path, told: Format, values: Sequence[tuple[Any, ...]], words: Sequence[str], rows: Sequence[int]
) -> NDArray[np.float32]:
    for row, word, each in zip(rows, words, values, strict=True):
        if not all(isinstance(value, (int, float)) for value in each):
            raise DataError(f"'{path}', row {row}: the vector of '{shown(word)}' holds something that is no number")
    wide = told.dimensions + told.lengths
    found = np.array(values, np.float64).reshape(len(values), wide)
    lengths = found[:, -1:] if told.lengths else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        matrix = (found[:, : told.dimensions] / 10.0**told.precision * lengths).astype(np.float32)
    demand_finite(path, matrix, words, rows, "row")
    return matrix


def _guess(path: Path, words: Sequence[str]) -> NDArray[np.float32]:
    """Return vectors of length 1 for words that the file does not have, float32[words, dimensions]."""
    try:
        with closing(opened(path)) as database:
            told = read_format(path, database)
            assert told.ngrams is not None
            source = subwords.Source(database, told.columns, told.dimensions, told.precision, told.ngrams, told.lengths)
            found = [subwords.vector(source, word) for word in words]
    except sqlite3.Error as error:
        raise DataError(f"'{path}': its parts of words cannot be searched: {error}") from None
    return np.array(found, np.float32).reshape(len(words), told.dimensions)
