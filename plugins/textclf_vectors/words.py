"""Owns how a text is cut into words, as the files of vectors have them, each with its place in the text.

The rule is near to that of the Penn Treebank, by which GloVe's texts were cut, and looks at no language but English:

1. numbers with their points and commas (1,000.50), abbreviations of letters and points (u.s.), words of letters,
   digits and marks with hyphens and apostrophes inside (well-known, o'brien), runs of points or dashes (..., --),
   doubled quotes ('' and ``), and each other sign that is no space, are a word each;
2. what ends with n't, 's, 're, 've, 'll, 'd or 'm is two words (do n't, it 's); a typographic apostrophe is plain.
"""

from __future__ import annotations

import re
from typing import NamedTuple

RULE = 1  # part of the encoder's fingerprint: raise it where the same text is cut otherwise
_LETTER = r"[\w\u0300-\u036f\u0900-\u0963\u0966-\u0dff]"  # with the vowel signs of Indic scripts, which \w leaves out
_PIECE = re.compile(
    rf"\d+(?:[.,]\d+)+|(?:[^\W\d_]\.){{2,}}|{_LETTER}+(?:[-'\u2019]{_LETTER}+)*|\.{{2,}}|-{{2,}}|''|``|\S"
)
_TAIL = re.compile(r"(?:n't|'(?:s|re|ve|ll|d|m))$", re.IGNORECASE)
_INNER = re.compile(r"[^-'.]+")


class Word(NamedTuple):
    """A word in its plain form, and where it stands: text[start:end]."""

    form: str
    start: int
    end: int


def words_with_spans(text: str) -> list[Word]:
    """Cut a text into words, in order; no two overlap."""
    found = []
    for piece in _PIECE.finditer(text):
        start, end = piece.span()
        form = piece.group()
        if "\u2019" in form and len(form) > 1:
            form = form.replace("\u2019", "'")
        tail = _TAIL.search(form) if "'" in form else None
        if tail and tail.start():
            border = start + tail.start()
            found += [Word(form[: tail.start()], start, border), Word(form[tail.start() :], border, end)]
        else:
            found.append(Word(form, start, end))
    return found


def parts_of(word: Word) -> list[Word]:
    """Return the parts of a word with hyphens, apostrophes or points inside; of another word nothing."""
    if not any(sign in word.form for sign in "-'."):
        return []
    parts = [Word(m.group(), word.start + m.start(), word.start + m.end()) for m in _INNER.finditer(word.form)]
    return parts if parts and parts[0].form != word.form else []
