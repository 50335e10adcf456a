"""word2vec's binary files."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

from textclf import DataError

from .reader import Keep, Kept, Vectors, counted, demand_finite, sized, stacked

LONGEST = 4096  # bytes of a word, or of the first line


def read(path: Path, keep: Keep) -> Vectors:
    """Read the wanted vectors of a binary file; a DataError names the word where it is broken."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _read(path, content, keep)
    except (OSError, ValueError) as error:  # mmap says ValueError of an empty file
        raise DataError(f"'{path}' cannot be read: {error}") from None


def _read(path: Path, content: mmap.mmap, keep: Keep) -> Vectors:
    count, dimensions, place = _header(path, content)
    size = 4 * dimensions
    # Known before anything is read: the shortest file of so many words.
    if len(content) - place < count * (size + 1):
        claimed = f"{counted(count, 'word')} of {counted(dimensions, 'dimension')}"
        raise DataError(f"'{path}' is too short for the {claimed} that it begins with")
    kept, rows, places = Kept(path, keep), [], []
    for number in range(1, count + 1):
        while content[place : place + 1] == b"\n":  # the original program ends each vector with a line end
            place += 1
        end = content.find(b" ", place, place + LONGEST)
        if end < 0 or end + 1 + size > len(content):
            raise DataError(f"'{path}', word {number} of {count}: it is not whole; is the file?")
        if kept.take(_word(path, number, content[place:end])):
            rows.append(np.frombuffer(content[end + 1 : end + 1 + size], "<f4").astype(np.float32))
            places.append(number)
        place = end + 1 + size
    matrix = stacked(rows, dimensions)
    demand_finite(path, matrix, kept.words, places, "word")
    return Vectors(kept.words, matrix, kept.twice)


def _header(path: Path, content: mmap.mmap) -> tuple[int, int, int]:
    """Return how many words and dimensions there are, and where the first word begins."""
    end = content.find(b"\n", 0, LONGEST)
    parts = content[: max(0, end)].split()
    if len(parts) != 2 or not all(part.isdigit() and len(part) < 20 for part in parts):
        raise DataError(f"'{path}' does not begin with a line of two numbers, as word2vec's binary files do")
    sized(path, int(parts[0]), int(parts[1]), "line 1")
    return int(parts[0]), int(parts[1]), end + 1


def _word(path: Path, number: int, word: bytes) -> str:
    try:
        return word.decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"'{path}', word {number}: it is not UTF-8") from None
