"""Vectors as text: GloVe, word2vec and fastText `.vec`, or gzip of these.

A line is a word, which may contain spaces, and its numbers, with one space between.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textclf import DataError

from .reader import Keep, Kept, Vectors, counted, demand_finite, shown, sized, stacked

if TYPE_CHECKING:
    from numpy.typing import NDArray


LONGEST = 1 << 20  # bytes of a line, so that a file without line ends, or a gzip bomb, is no matter of memory


def read(path: Path, keep: Keep) -> Vectors:
    """Read the wanted vectors of a text file; a DataError names the line where it is broken."""
    kept, rows, places = Kept(path, keep), list["NDArray[np.float32]"](), list[int]()
    dimensions, promised = 0, None
    for number, line in _lines(path):
        if not dimensions and number == 1 and (header := _header(line)):
            promised, dimensions = header
            sized(path, promised, dimensions, "line 1")
            continue
        if not dimensions:
            dimensions = line.count(b" ")
            sized(path, 1, dimensions, f"line {number}")
        parts = line.rsplit(b" ", dimensions)
        if len(parts) != dimensions + 1:
            raise DataError(f"'{path}', line {number}: {len(parts) - 1} numbers, not {dimensions}; is the file whole?")
        if kept.take(_word(path, number, parts[0])):
            rows.append(_numbers(path, number, kept.words[-1], parts[1:]))
            places.append(number)
    if promised is not None and kept.seen != promised:
        found = counted(kept.seen, "word")
        raise DataError(f"'{path}' has {found}, and its first line says {promised}; is the file whole?")
    if not dimensions:
        raise DataError(f"'{path}' is empty")
    matrix = stacked(rows, dimensions)
    demand_finite(path, matrix, kept.words, places, "line")
    return Vectors(kept.words, matrix, kept.twice)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers from 1."""
    try:
        with _opened(path) as file:
            number = 0
            while line := file.readline(LONGEST):
                number += 1
                if len(line) == LONGEST and not line.endswith(b"\n"):
                    raise DataError(f"'{path}', line {number} is longer than {LONGEST:,} bytes; is it a text file?")
                # Not `strip`: a word may be a strange kind of space. Some writers end each line with a space.
                line = line.rstrip(b" \r\n")
                if line:
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' cannot be read: {error}") from None


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _header(line: bytes) -> tuple[int, int] | None:
    parts = line.split(b" ")
    if len(parts) == 2 and all(part.isdigit() and len(part) < 20 for part in parts):
        return int(parts[0]), int(parts[1])
    return None


def _word(path: Path, number: int, word: bytes) -> str:
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start + 1
        raise DataError(f"'{path}', line {number}: its word is not UTF-8 (byte {place} of the line)") from None


def _numbers(path: Path, number: int, word: str, parts: list[bytes]) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            return np.array(parts, np.float64).astype(np.float32)
    except ValueError:
        wrong = next(part for part in parts if not _is_number(part))
        text = shown(wrong.decode("utf-8", "replace"))
        raise DataError(f"'{path}', line {number}: '{text}' behind '{shown(word)}' is no number") from None


def _is_number(part: bytes) -> bool:
    try:
        float(part)
    except ValueError:
        return False
    return True
