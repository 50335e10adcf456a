"""What readers of vectors share: requests, results and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textclf import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


MOST_DIMENSIONS = 10_000
MOST_WORDS = 50_000_000

Keep = Callable[[int, str], bool]  # of a word's place in the file, from 0, and the word
Guess = Callable[[Sequence[str]], "NDArray[np.float32]"]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Words, each once, in the file's order, and their vectors, float32[words, dimensions], all finite.

    twice: words of the file that came again, and were left out. guess: where the file can, vectors for words that it
    does not have, from their parts.
    """

    words: list[str]
    matrix: NDArray[np.float32]
    twice: int = 0
    guess: Guess | None = None


class Kept:
    """The words of a file that are wanted, gathered one by one; the first of two equal ones counts."""

    def __init__(self, path: Path, keep: Keep) -> None:
        self._path, self._keep = path, keep
        self._known: set[str] = set()
        self._seen = 0
        self.words: list[str] = []
        self.twice = 0

    def take(self, word: str) -> bool:
        """Tell whether the file's next word is wanted, and remember it if so."""
        number, self._seen = self._seen, self._seen + 1
        if number >= MOST_WORDS:
            raise DataError(f"'{self._path}' has more than {MOST_WORDS:,} words; is it a file of vectors?")
        if not self._keep(number, word):
            return False
        if word in self._known:
            self.twice += 1
            return False
        self._known.add(word)
        self.words.append(word)
        return True

    @property
    def seen(self) -> int:
        return self._seen


def demand_finite(
    path: Path, matrix: NDArray[np.float32], words: Sequence[str], places: Sequence[int], what: str
) -> None:
    """Raise a DataError that names the first vector with a number that is none; places: of the vectors in the file."""
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any():
        first = int(bad.argmax())
        raise DataError(
            f"'{path}', {what} {places[first]}: the vector of '{shown(words[first])}' holds NaN, infinity or a number "
            "beyond float32"
        )


def sized(path: Path, count: int, dimensions: int, where: str) -> None:
    """Raise a DataError where a header claims what no file of vectors has."""
    if not (0 < count <= MOST_WORDS and 0 < dimensions <= MOST_DIMENSIONS):
        claimed = f"{counted(count, 'word')} of {counted(dimensions, 'dimension')}"
        raise DataError(f"'{path}', {where}: {claimed}; is it a file of vectors?")


def counted(number: int, noun: str) -> str:
    """Return "1 word", "1204 words"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def stacked(rows: Iterable[NDArray[np.float32]], dimensions: int) -> NDArray[np.float32]:
    found = list(rows)
    return np.stack(found) if found else np.zeros((0, dimensions), np.float32)


def shown(word: str) -> str:
    """Return a word as a message shows it: printable, and no longer than a line."""
    text = word if word.isprintable() else ascii(word)[1:-1]
    return text if len(text) <= 40 else f"{text[:40]}..."
