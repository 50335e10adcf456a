"""`.magnitude` files: SQLite databases of vectors, with subwords for unknown words.

Patel, Sands, Callison-Burch and Apidianaki 2018, "Magnitude: A Fast, Efficient Universal Vector Embedding Utility
Package", section 4, as pymagnitude-lite 0.1.143 does it with `language=None` (so without its lists of English prefixes
and suffixes) and unit vectors: 0.3 parts are pseudo-random, drawn from the hashes of the word's character n-grams, so
that like spellings come to like vectors; 0.7 parts are the mean of the three most alike words of the file: the same
word in another case or with its repeated letters shrunk, else those that share the most n-grams.

The layout is that of pymagnitude 0.1.143 and pymagnitude-lite 0.1.143 (`pymagnitude/converter.py` on PyPI, MIT):

    magnitude          key TEXT COLLATE NOCASE, dim_0 INTEGER, ..., dim_N INTEGER, magnitude REAL
    magnitude_format   key TEXT, value INTEGER: version (2), size, dim, precision, subword, subword_start, ...
    magnitude_subword  FTS3(char_ngrams, num_ngrams), its docid the word's rowid; only where `subword` is 1

A number of a vector is its integer, divided by 10^precision, times the row's `magnitude` (the vector's length; files of
version 1 have no such column, and vectors of length 1).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textclf import DataError

from .reader import Keep, Kept, Vectors, demand_finite, shown, sized

if TYPE_CHECKING:
    from numpy.typing import NDArray


BORDER = "\uf000"  # stands before and behind a word
RANDOM, ALIKE = 0.3, 0.7
TOP = 3
LONGEST = 1000
HASHED = range(1, 7)
_SAMPLED = {6: 4, 5: 8, 4: 12}  # n-grams of so many letters that are searched for at most, before they are thinned out
_MASK = 0xFFFFFFFF
_PRIMES = (2654435761, 2246822519, 3266489917, 668265263, 374761393)


@dataclass(frozen=True, slots=True)
class Source:
    """An open file, and what it says of itself; ngrams: the sizes of the n-grams that it knows."""

    database: sqlite3.Connection
    columns: str
    dimensions: int
    precision: int
    ngrams: tuple[int, int]
    lengths: bool


def vector(source: Source, word: str) -> NDArray[np.float64]:
    """Return the vector, of length 1, of a word that a file does not have."""
    bordered = _shrunk(f"{BORDER}{word}{BORDER}", keep=2)
    mixed = RANDOM * _hashed(bordered, source.dimensions) + ALIKE * _alike(source, word, bordered)
    return _unit(mixed)


def _hashed(bordered: str, dimensions: int) -> NDArray[np.float64]:
    drawn = [
        # The legacy generator: its stream for a seed is fixed for ever.
        np.random.RandomState(xxh32(ngram.encode("utf-8"))).uniform(-1, 1, dimensions)
        for size in HASHED
        for ngram in _ngrams(bordered, size)
    ]
    return _unit(np.mean(drawn, axis=0))


def _alike(source: Source, word: str, bordered: str) -> NDArray[np.float64]:
    rows = list(_same(source, word)) if len(bordered) < LONGEST else []
    if not rows and len(bordered) < LONGEST:
        rows = _sharing(source, bordered)
    if not rows:
        return np.zeros(source.dimensions)
    found = np.array([row[: source.dimensions] for row in rows], np.float64) / 10.0**source.precision
    return _unit(found.mean(axis=0))


def _same(source: Source, word: str) -> Iterator[Any]:
    """Yield the rows of the same word in another case, or with repeated letters shrunk to one, and to two."""
    query = f"SELECT {source.columns} FROM magnitude WHERE key = ? LIMIT ?"
    once, twice = _shrunk(word, keep=1), _shrunk(word, keep=2)
    ones, twos = (source.database.execute(query, (form, TOP)).fetchall() for form in (once, twice))
    # Two of the one and one of the other make three; where there are fewer, all count.
    few = [*ones[: TOP - 1], *twos[: TOP // 2]]
    yield from few if len(few) >= TOP else [*ones, *twos]


def _sharing(source: Source, bordered: str) -> list[Any]:
    """Return the rows of the words that share the most n-grams, the longest n-grams first."""
    rows: list[Any] = []
    least, most = source.ngrams
    for size in range(most, least - 1, -1):
        if len(rows) >= TOP:
            break
        ngrams = _ngrams(bordered, size)
        while size in _SAMPLED and len(ngrams) > _SAMPLED[size]:
            ngrams = ngrams[:-1][::2] + ngrams[-1:]
        rows = _search(source, bordered, ngrams)
    return rows


def _search(source: Source, bordered: str, ngrams: list[str]) -> list[Any]:
    wanted = " OR ".join(f'"{_quoted(ngram)}"' for ngram in ngrams)
    length = len(bordered) - 2 * len(BORDER)
    ends, given = "", list[Any]()
    if length <= 6:
        ends = """magnitude.key LIKE ? || '%' AND LENGTH(magnitude.key) <= ? DESC,
                  magnitude.key LIKE '%' || ? AND LENGTH(magnitude.key) <= ? DESC,"""
        given = [bordered[1:2], length, bordered[-2:-1], length]
    columns = ", ".join(f"magnitude.{name}" for name in source.columns.split(", "))
    # `offsets` gives four numbers for each n-gram that is shared, so its spaces count them.
    query = f"""SELECT {columns} FROM magnitude_subword, magnitude
                WHERE char_ngrams MATCH ? AND magnitude.rowid = magnitude_subword.rowid
                ORDER BY LENGTH(offsets(magnitude_subword)) - LENGTH(REPLACE(offsets(magnitude_subword), ' ', '')) DESC,
                         {ends} LENGTH(magnitude.key) ASC
                LIMIT ?"""
    return source.database.execute(query, (wanted, *given, TOP)).fetchall()


def _quoted(ngram: str) -> str:
    return "".join(f"\\{letter}" if letter in "*^" else letter for letter in ngram).replace('"', '""')


def _ngrams(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(len(text) - size + 1)]


def _shrunk(text: str, *, keep: int) -> str:
    """Return the text with letters that are repeated more often shown so often; `<` stays as it is."""
    return re.sub(rf"([^<])\1{{{keep},}}", r"\1" * keep, text)


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(values))
    return values / length if length else values


def xxh32(data: bytes) -> int:
    """Return the 32-bit xxHash of bytes, seed 0 (the specification: xxhash.com, version 0.1.1)."""
    one, two, three, four, five = _PRIMES
    place = 0
    if len(data) >= 16:
        lanes = [(one + two) & _MASK, two, 0, (-one) & _MASK]
        while place + 16 <= len(data):
            for lane in range(4):
                word = int.from_bytes(data[place : place + 4], "little")
                lanes[lane] = _turned((lanes[lane] + word * two) & _MASK, 13) * one & _MASK
                place += 4
        found = sum(_turned(value, by) for value, by in zip(lanes, (1, 7, 12, 18), strict=True))
    else:
        found = five
    found = (found + len(data)) & _MASK
    while place + 4 <= len(data):
        word = int.from_bytes(data[place : place + 4], "little")
        found = _turned((found + word * three) & _MASK, 17) * four & _MASK
        place += 4
    for byte in data[place:]:
        found = _turned((found + byte * five) & _MASK, 11) * one & _MASK
    found = (found ^ found >> 15) * two & _MASK
    found = (found ^ found >> 13) * three & _MASK
    return found ^ found >> 16


def _turned(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & _MASK


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
            layout = read_format(path, database)
            kept, rows = Kept(path, keep), list[int]()
            for row, word in database.execute("SELECT rowid, key FROM magnitude ORDER BY rowid"):
                if not isinstance(word, str):
                    raise DataError(f"'{path}', row {row}: its key is no text")
                if kept.take(word):
                    rows.append(row)
            matrix = _scaled(path, layout, list(_fetched(database, layout, rows)), kept.words, rows)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' cannot be read as a .magnitude file: {error}") from None
    return Vectors(kept.words, matrix, kept.twice, partial(_guess, path) if layout.ngrams else None)


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


def _fetched(database: sqlite3.Connection, layout: Format, rows: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of rows, which are in ascending order."""
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        query = f"SELECT {layout.columns} FROM magnitude WHERE rowid IN ({marks}) ORDER BY rowid"
        yield from database.execute(query, some)


def _scaled(
    path: Path, layout: Format, values: Sequence[tuple[Any, ...]], words: Sequence[str], rows: Sequence[int]
) -> NDArray[np.float32]:
    for row, word, each in zip(rows, words, values, strict=True):
        if not all(isinstance(value, (int, float)) for value in each):
            raise DataError(f"'{path}', row {row}: the vector of '{shown(word)}' holds something that is no number")
    wide = layout.dimensions + layout.lengths
    found = np.array(values, np.float64).reshape(len(values), wide)
    lengths = found[:, -1:] if layout.lengths else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        matrix = (found[:, : layout.dimensions] / 10.0**layout.precision * lengths).astype(np.float32)
    demand_finite(path, matrix, words, rows, "row")
    return matrix


def _guess(path: Path, words: Sequence[str]) -> NDArray[np.float32]:
    """Return vectors of length 1 for words that the file does not have, float32[words, dimensions]."""
    try:
        with closing(opened(path)) as database:
            layout = read_format(path, database)
            assert layout.ngrams is not None
            source = Source(
                database, layout.columns, layout.dimensions, layout.precision, layout.ngrams, layout.lengths
            )  # fmt: skip
            found = [vector(source, word) for word in words]
    except sqlite3.Error as error:
        raise DataError(f"'{path}': its parts of words cannot be searched: {error}") from None
    return np.array(found, np.float32).reshape(len(words), layout.dimensions)
