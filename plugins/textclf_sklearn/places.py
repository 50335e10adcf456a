"""Owns where in a text its n-grams are: the same n-grams that scikit-learn's CountVectorizer counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .options import TfidfOptions

Range = tuple[int, int]
_SPACES = re.compile(r"\s\s+")


def ngrams(text: str, options: TfidfOptions, token_pattern: str) -> Iterator[tuple[str, list[Range]]]:
    """Yield each n-gram of a text as often as it occurs, with the ranges of its words, or the one of its characters."""
    letters = _Letters.of(text, lower=options.lowercase)
    if options.analyzer == "word":
        return _of_words(letters, options.ngrams, re.compile(token_pattern))
    find = _of_letters if options.analyzer == "char" else _inside_words
    return find(letters.with_single_spaces(), options.ngrams)


class _Letters:
    """A text as it is counted, and where each of its characters came from: lower case may be longer."""

    def __init__(self, text: str, origins: Sequence[int]) -> None:
        self.text, self._origins = text, origins

    @classmethod
    def of(cls, text: str, *, lower: bool) -> _Letters:
        counted = text.lower() if lower else text
        if len(counted) == len(text):
            return cls(counted, range(len(text)))
        # Not letter by letter: what a capital sigma becomes depends on its neighbours, but never how many letters.
        return cls(counted, [place for place, char in enumerate(text) for _ in char.lower()])

    def with_single_spaces(self) -> _Letters:
        origins, at = list[int](), 0
        for run in _SPACES.finditer(self.text):
            origins += self._origins[at : run.start() + 1]
            at = run.end()
        return _Letters(_SPACES.sub(" ", self.text), [*origins, *self._origins[at:]])

    def range(self, start: int, end: int) -> Range:
        """Return where in the text a range of the counted characters, which is not empty, came from."""
        return self._origins[start], self._origins[end - 1] + 1


def _of_words(letters: _Letters, sizes: tuple[int, int], pattern: re.Pattern[str]) -> Iterator[tuple[str, list[Range]]]:
    words = [(found[0], letters.range(*found.span())) for found in pattern.finditer(letters.text) if found[0]]
    for size in range(sizes[0], sizes[1] + 1):
        for start in range(len(words) - size + 1):
            some = words[start : start + size]
            yield " ".join(word for word, _ in some), [place for _, place in some]


def _of_letters(letters: _Letters, sizes: tuple[int, int]) -> Iterator[tuple[str, list[Range]]]:
    for size in range(sizes[0], sizes[1] + 1):
        for start in range(len(letters.text) - size + 1):
            yield letters.text[start : start + size], [letters.range(start, start + size)]


def _inside_words(letters: _Letters, sizes: tuple[int, int]) -> Iterator[tuple[str, list[Range]]]:
    """As scikit-learn: each word with a space on either side, and one that is shorter than an n-gram counts whole."""
    for word in re.finditer(r"\S+", letters.text):
        padded, begin, end = f" {word[0]} ", word.start(), word.end()
        for size in range(sizes[0], sizes[1] + 1):
            for start in range(max(1, len(padded) - size + 1)):
                # Without the spaces on either side, which were added; a space alone is of no word.
                first, last = max(begin, begin + start - 1), min(end, begin + start - 1 + size)
                yield padded[start : start + size], [letters.range(first, last)] if first < last else []
            if size >= len(padded):
                break
