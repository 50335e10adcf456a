"""Owns where the words of a text are, whatever its script, and a text without some of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

Range = tuple[int, int]

# Scripts that put no spaces between words: each of their characters is a word of its own.
_ALONE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_JOINERS = "\u200c\u200d"
# Over kinds of characters: w of words, a alone, s signs, m marks on what is before them, j joiners.
_WORD = re.compile(r"w[wmj]*(?:'w[wmj]*)*|[as'](?:m|j[as]?)*|[mj]+")


def words_of(text: str) -> list[Range]:
    """Return the ranges of a text's words, in order: runs of letters and digits, and every other visible character."""
    kinds = {char: _kind(char) for char in set(text)}
    return [found.span() for found in _WORD.finditer("".join(map(kinds.__getitem__, text)))]


def without(text: str, ranges: Iterable[Range]) -> str:
    """Return the text without the ranges, nor the spaces that would be left over."""
    kept, at = "", 0
    pieces = []
    for start, end in sorted(ranges):
        pieces.append(text[at:start])
        kept, at = pieces[-1] or kept, end
        if at < len(text) and text[at].isspace() and (not kept or kept[-1].isspace()):
            at += 1
    return "".join([*pieces, text[at:]])


def _kind(char: str) -> str:
    if char in "'\u2019":
        return "'"
    if char in _JOINERS:
        return "j"
    category = unicodedata.category(char)
    if char.isspace() or category in ("Cc", "Cf", "Cs"):
        return " "
    if category[0] == "M":
        return "m"
    if char == "_" or char.isalnum():
        return "a" if _ALONE.match(char) else "w"
    return "s"
