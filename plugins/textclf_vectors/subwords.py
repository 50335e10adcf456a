"""Owns the vectors of words that a .magnitude file does not have: Magnitude's scheme for out-of-vocabulary words.

Patel, Sands, Callison-Burch and Apidianaki 2018, "Magnitude: A Fast, Efficient Universal Vector Embedding Utility
Package", section 4, as pymagnitude-lite 0.1.143 does it with `language=None` (so without its lists of English prefixes
and suffixes) and unit vectors: 0.3 parts are pseudo-random, drawn from the hashes of the word's character n-grams, so
that like spellings come to like vectors; 0.7 parts are the mean of the three most alike words of the file: the same
word in another case or with its repeated letters shrunk, else those that share the most n-grams.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
