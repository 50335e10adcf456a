"""Windows of rows over an endless input: small at first, bounded in number and in size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """The most rows, and the most characters, of a window: it ends with the row that reaches either.

    The first window has `first` rows, each further one four times as many, so that the first predictions come soon.
    Where windows end depends on the rows alone, so that a job that is resumed cuts them as before.
    """

    texts: int = 8192
    characters: int = 1_000_000
    first: int = 64

    def full(self, number: int, texts: int, characters: int) -> bool:
        """Tell whether the window with this number, from 0, is full."""
        return texts >= min(self.texts, self.first << min(2 * number, 40)) or characters >= self.characters

    def cut(self, texts: Iterable[T], number: int = 0) -> Iterator[list[T]]:
        """Cut texts, or pairs of texts, into windows; number: that of the first window."""
        rows: list[T] = []
        characters = 0
        for text in texts:
            rows.append(text)
            characters += characters_of(text)
            if self.full(number, len(rows), characters):
                yield rows
                rows, number, characters = [], number + 1, 0
        if rows:
            yield rows


def characters_of(value: object) -> int:
    """Count the characters of a text, of a pair of texts, or of nested ones; anything else counts as 1."""
    if isinstance(value, str):
        return len(value)
    return sum(map(characters_of, value)) if isinstance(value, (tuple, list)) else 1


WINDOW = Window()
