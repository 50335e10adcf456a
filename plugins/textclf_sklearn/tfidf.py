"""The encoder `tfidf`: weighted n-gram counts, and the places of n-grams in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from textclf import ArtefactError, Context, DataError, Span, Split, Texts

from .options import TfidfOptions
from .storage import read_array, read_json, write_array, write_json

VOCABULARY, IDF = "tfidf.json", "idf.npy"
FEW = 1000  # texts
COLUMNS = ("first", "second")

Range = tuple[int, int]
_SPACES = re.compile(r"\s\s+")
@dataclass(slots=True)
class Vocabulary:
    """The n-grams of one column of texts, in the order of their features, and their weights."""

    options: TfidfOptions
    terms: list[str]
    idf: NDArray[np.float64]
    vectorizer: CountVectorizer = field(init=False)

    def __post_init__(self) -> None:
        columns = {term: i for i, term in enumerate(self.terms)}
        self.vectorizer = _vectorizer(self.options, vocabulary=columns)

    def count(self, texts: Sequence[str]) -> sparse.csr_matrix:
        if not self.terms:
            return sparse.csr_matrix((len(texts), 0), dtype=np.float32)
        return self.vectorizer.transform(texts)

    def weigh(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """Turn counts into features, in place."""
        # One order of columns, so that sums over a row give the same bits however it was counted.
        counts.sort_indices()
        values = counts.data
        if self.options.sublinear_tf:
            np.log(values, out=values)
            values += 1
        values *= self.idf.astype(np.float32)[counts.indices]
        if self.options.norm == "l2":
            rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
            squares = np.bincount(rows, np.square(values, dtype=np.float64), minlength=counts.shape[0])
            values /= np.sqrt(squares)[rows]
        return counts


class TfidfEncoder:
    """N-gram counts, weighted; the two texts of a pair have vocabularies, and columns, of their own."""

    def __init__(self, options: TfidfOptions, vocabularies: Sequence[Vocabulary] = ()) -> None:
        self.options = options
        self.vocabularies = list(vocabularies)
        self._counted: tuple[Texts, list[sparse.csr_matrix]] | None = None

    def fit(self, train: Split, context: Context) -> None:
        learnt = [_learn(self.options, column) for column in _columns(train.texts)]
        self.vocabularies = [vocabulary for vocabulary, _ in learnt]
        if not any(vocabulary.terms for vocabulary in self.vocabularies):
            raise DataError(_nothing_left(self.options, len(train)))
        # The training texts are encoded next: counting them is most of the work and is done once.
        self._counted = train.texts, [counts for _, counts in learnt]

    def encode(self, texts: Texts, context: Context) -> sparse.csr_matrix:
        columns = _columns(texts)
        if len(columns) != len(self.vocabularies):
            expected = "text pairs" if len(self.vocabularies) == 2 else "single texts"
            raise DataError(f"the tfidf encoder was fitted on {expected}, these are not")
        counted, self._counted = self._counted, None
        if counted is not None and counted[0] is texts:
            counts = counted[1]
        else:
            counts = [v.count(column) for v, column in zip(self.vocabularies, columns, strict=True)]
        blocks = [v.weigh(block) for v, block in zip(self.vocabularies, counts, strict=True)]
        return blocks[0] if len(blocks) == 1 else sparse.hstack(blocks, format="csr")

    def spans(self, texts: Texts, context: Context) -> list[dict[int, list[Span]]]:
        """Return the words, or the characters, of each n-gram of a text."""
        found: list[dict[int, list[Span]]] = [{} for _ in range(len(texts))]
        begin = 0
        for part, (vocabulary, column) in enumerate(zip(self.vocabularies, _columns(texts), strict=True)):
            known = vocabulary.vectorizer.vocabulary
            for units, text in zip(found, column, strict=True):
                for term, ranges in ngrams(text, self.options, _token_pattern(self.options)):
                    if term in known:
                        units.setdefault(begin + known[term], []).extend((part, *where) for where in ranges)
            begin += len(vocabulary.terms)
        return found

    def fingerprint(self) -> str:
        """Return "", so that nothing is cached: learning the vocabulary is most of the work and is needed anyway."""
        return ""

    def save(self, folder: Path) -> None:
        named = dict(zip(COLUMNS, self.vocabularies, strict=False))
        write_json(folder / VOCABULARY, {name: vocabulary.terms for name, vocabulary in named.items()})
        write_array(folder / IDF, np.concatenate([vocabulary.idf for vocabulary in self.vocabularies]))


def restore(options: TfidfOptions, folder: Path) -> TfidfEncoder:
    """Read what `save` wrote; an ArtefactError where vocabulary or weights are damaged."""
    values = read_json(folder / VOCABULARY)
    terms = [_checked(folder / VOCABULARY, name, values[name]) for name in COLUMNS if name in values]
    if not terms:
        raise ArtefactError(f"{folder / VOCABULARY}: has no vocabulary 'first'; the model is damaged")
    idf = read_array(folder / IDF, (sum(len(column) for column in terms),))
    cuts = np.cumsum([len(column) for column in terms])[:-1]
    return TfidfEncoder(options, [Vocabulary(options, *v) for v in zip(terms, np.split(idf, cuts), strict=True)])


def _checked(path: Path, name: str, terms: object) -> list[str]:
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise ArtefactError(f"{path}: the vocabulary '{name}' is no list of strings; the model is damaged")
    if len(set(terms)) != len(terms):
        raise ArtefactError(f"{path}: the vocabulary '{name}' has an n-gram twice; the model is damaged")
    return terms


def _columns(texts: Texts) -> list[Sequence[str]]:
    return [texts.first] if texts.second is None else [texts.first, texts.second]


def _learn(options: TfidfOptions, texts: Sequence[str]) -> tuple[Vocabulary, sparse.csr_matrix]:
    least = _min_df(options, len(texts))
    vectorizer = _vectorizer(options, min_df=least, max_df=options.max_df, max_features=options.max_features)
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:
        # scikit-learn raises it where no n-gram is left: one column of a pair may be empty.
        counts = sparse.csr_matrix((len(texts), 0), dtype=np.float32)
        return Vocabulary(options, [], np.zeros(0)), counts
    terms = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
    found = np.bincount(counts.indices, minlength=len(terms))
    idf = np.log((1 + len(texts)) / (1 + found)) + 1 if options.use_idf else np.ones(len(terms))
    return Vocabulary(options, terms, idf), counts


def _vectorizer(options: TfidfOptions, **choice: Any) -> CountVectorizer:
    return CountVectorizer(
        analyzer=options.analyzer, ngram_range=options.ngram_range, lowercase=options.lowercase, binary=options.binary,
        token_pattern=_token_pattern(options) if options.analyzer == "word" else None, dtype=np.float32, **choice,
    )  # fmt: skip


def _min_df(options: TfidfOptions, texts: int) -> int:
    """Return min_df, by default 2, since n-grams of one text are mostly noise, or 1 where there are few texts."""
    return options.min_df or (1 if texts < FEW else 2)


def _token_pattern(options: TfidfOptions) -> str:
    """Return the pattern of a word: unlike scikit-learn's own, "don't" stays whole, or its n't would be lost."""
    word = r"\w+(?:['’]\w+)*" if options.one_letter else r"\w(?:\w|['’]\w)+"
    return word + r"|[^\w\s]" if options.marks else word


def _nothing_left(options: TfidfOptions, texts: int) -> str:
    return (
        f"tfidf: no n-gram of the {texts} training texts is left with min_df {_min_df(options, texts)} "
        f"and max_df {options.max_df:g}; give longer texts, a lower min_df or the analyzer 'char'"
    )


def ngrams(text: str, options: TfidfOptions, token_pattern: str) -> Iterator[tuple[str, list[Range]]]:
    """Yield each n-gram of a text as often as it occurs, with the ranges of its words, or the one of its characters."""
    letters = _Letters.of(text, lower=options.lowercase)
    if options.analyzer == "word":
        return _of_words(letters, options.ngram_range, re.compile(token_pattern))
    find = _of_letters if options.analyzer == "char" else _inside_words
    return find(letters.with_single_spaces(), options.ngram_range)


class _Letters:
    """A text as it is counted, with the origin of each of its characters: lower case may be longer."""

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
