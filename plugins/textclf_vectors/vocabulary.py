"""Words of a text and their ids.

The rule is close to that of the Penn Treebank, by which GloVe's texts were cut, and has contractions of English only:

1. numbers with their points and commas (1,000.50), abbreviations of letters and points (u.s.), words of letters,
   digits and marks with hyphens and apostrophes inside (well-known, o'brien), runs of points or dashes (..., --),
   doubled quotes ('' and ``), and each other sign that is no space, are a word each;
2. what ends with n't, 's, 're, 've, 'll, 'd or 'm is two words (do n't, it 's); a typographic apostrophe is plain.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from textclf import ArtefactError

if TYPE_CHECKING:
    from .readers.reader import Keep, Vectors


FORMAT = 1
FILE = "vocabulary.json"
PADDING, UNKNOWN, BORDER = 0, 1, 2  # BORDER stands between the two texts of a pair
SPECIALS = 3
RULE = 1  # part of the encoder's fingerprint: raise it where the same text gets other words
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


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of a model. Ids: first the three that are no words, then `added`, then `words`.

    added: words without a vector of the file, each with one that is trained. words: those with a vector.
    """

    words: tuple[str, ...]
    added: tuple[str, ...]
    lowercase: bool
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {word: i for i, word in enumerate((*self.added, *self.words), SPECIALS)})

    def __len__(self) -> int:
        return SPECIALS + len(self.added) + len(self.words)

    def id_of(self, form: str) -> int | None:
        """Return the id of a word as it is written, else in lower case; None where it is not known."""
        if self.lowercase:
            return self._ids.get(form.lower())
        found = self._ids.get(form)
        return self._ids.get(form.lower()) if found is None else found

    def read(self, text: str) -> Iterator[tuple[int, Word]]:
        """Yield the words of a text with their ids; a word that is not known is read by its parts, where one is."""
        for word in words_with_spans(text):
            found = self.id_of(word.form)
            if found is not None:
                yield found, word
                continue
            parts = [(self.id_of(part.form), part) for part in parts_of(word)]
            if any(known is not None for known, _ in parts):
                yield from ((UNKNOWN if known is None else known, part) for known, part in parts)
            else:
                yield UNKNOWN, word

    def ids(self, text: str) -> list[int]:
        return [found for found, _ in self.read(text)]

    def fingerprint(self) -> str:
        """Return what the ids of a text depend on: the words in their order, the rule of cutting, Unicode's letters."""
        digest = hashlib.sha256(f"{FORMAT} {RULE} {unicodedata.unidata_version} {self.lowercase}".encode())
        for group in (self.added, self.words):
            for word in group:
                encoded = word.encode()
                digest.update(len(encoded).to_bytes(4, "little") + encoded)
            digest.update(b"\xff" * 4)
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        values = {"format": FORMAT, "lowercase": self.lowercase, "added": self.added, "words": self.words}
        (folder / FILE).write_text(json.dumps(values, ensure_ascii=False) + "\n", "utf-8")


def load(folder: Path) -> Vocabulary:
    """Read what `save` wrote; an ArtefactError where it is missing or broken."""
    file = folder / FILE
    try:
        values = json.loads(file.read_text("utf-8"))
        words, added, lowercase = tuple(values["words"]), tuple(values["added"]), values["lowercase"]
        valid = values["format"] == FORMAT and isinstance(lowercase, bool)
        valid = valid and all(isinstance(word, str) for word in (*words, *added))
    except (OSError, ValueError, KeyError, TypeError):
        valid = False
    if not valid or len({*words, *added}) != len(words) + len(added):
        raise ArtefactError(f"'{file}' is missing or broken, so the model cannot read words")
    return Vocabulary(words, added, lowercase)


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Count the words of texts as they are written."""
    return Counter(word.form for text in texts for word in words_with_spans(text))


def wanted(found: Counter[str], first: int | None) -> Keep:
    """Return which words of a file to read: its first so many, and all forms of the counted words."""
    forms = {form for word in found for form in (word, *(part.form for part in parts_of(Word(word, 0, len(word)))))}
    forms |= {form.lower() for form in forms}
    return lambda number, word: first is None or number < first or word in forms


def build(
    found: Counter[str], file: Vectors, lowercase: bool | None, added: int, guess: bool
) -> tuple[Vocabulary, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return the vocabulary of counted words and a file's vectors, and the matrix of its `words`.

    guess: words that the file does not have get vectors from their parts, as long as its own are on average.
    """
    lower = all(word == word.lower() for word in file.words) if lowercase is None else lowercase
    known = Vocabulary(tuple(file.words), (), lower)
    without = _without(found, known)
    words, matrix = known.words, file.matrix
    if guess and file.guess is not None and without:
        guessed = sorted(without)
        length = np.linalg.norm(matrix, axis=1).mean() if len(matrix) else 1.0
        matrix = np.concatenate([matrix, file.guess(guessed) * np.float32(length)])
        words, without = (*words, *guessed), Counter()
    own = sorted(without, key=lambda word: (-without[word], word))[:added]
    return Vocabulary(words, tuple(own), lower), matrix


def _without(found: Counter[str], known: Vocabulary) -> Counter[str]:
    """Count the words that a vocabulary knows neither as a whole nor by a part."""
    without: Counter[str] = Counter()
    for form, count in found.items():
        if known.ids(form) == [UNKNOWN]:
            without[form.lower() if known.lowercase else form] += count
    return without
