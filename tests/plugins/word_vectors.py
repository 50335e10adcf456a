"""Small files of word vectors in every format, written by the formats' own rules, and encoders that read them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from textclf_vectors import build
from textclf_vectors.options import VectorsOptions

from textclf import Encoded, Labels, Split, Texts
from textclf.testing import LocalContext

WORDS = ["the", "film", "was", "good", "bad", "not", "a", "plot", "very", ",", ".", "story", "it", "n't", "do"]
MATRIX = np.random.default_rng(5).normal(size=(len(WORDS), 6)).astype(np.float32)
NOUNS, STARTS = ("film", "plot", "story"), ("the", "a", "not a very")
TEXTS = [f"{start} {noun} was {word}" for word in ("good", "bad") for noun in NOUNS for start in STARTS]
LABELS = Labels(("negative", "positive"))
TRUTH = np.array([int("good" in text) for text in TEXTS])


def everything(number: int, word: str) -> bool:
    """Keep every word of a file."""
    return True


def write_text(
    path: Path, words: Sequence[str] = WORDS, matrix: Any = MATRIX, *, header: bool = False, end: str = "\n"
) -> Path:
    """Write GloVe's text, or with a header word2vec's; floats in as many digits as float32 needs."""
    lines = [f"{len(words)} {matrix.shape[1]}"] if header else []
    lines += [f"{word} {' '.join(repr(float(x)) for x in row)}" for word, row in zip(words, matrix, strict=True)]
    path.write_text("".join(line + end for line in lines), "utf-8", newline="")
    return path


def write_binary(path: Path, words: Sequence[str] = WORDS, matrix: Any = MATRIX, *, ends: bytes = b"\n") -> Path:
    """Write word2vec's binary format; the original program ends each vector with a line end, gensim does not."""
    head = f"{len(words)} {matrix.shape[1]}\n".encode()
    body = [word.encode() + b" " + row.astype("<f4").tobytes() + ends for word, row in zip(words, matrix, strict=True)]
    path.write_bytes(head + b"".join(body))
    return path


def write_magnitude(
    path: Path,
    words: Sequence[str] = WORDS,
    matrix: Any = MATRIX,
    *,
    precision: int = 7,
    sizes: tuple[int, int] | None = (3, 6),
    **told: Any,
) -> Path:
    """Write a .magnitude file table by table, as the format was published; told: other values of magnitude_format."""
    dimensions = matrix.shape[1]
    numbers = ", ".join(f"dim_{i} INTEGER" for i in range(dimensions))
    values: dict[str, Any] = {"version": 2, "elmo": 0, "size": len(words), "dim": dimensions, "precision": precision}
    if sizes:
        values |= {"subword": 1, "subword_start": sizes[0], "subword_end": sizes[1]}
    values |= {"entropy": 0, "max_duplicate_keys": 1, **told}
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE magnitude (key TEXT COLLATE NOCASE, {numbers}, magnitude REAL)")
        database.execute("CREATE TABLE magnitude_format (key TEXT COLLATE NOCASE, value INTEGER)")
        if sizes:
            database.execute("CREATE VIRTUAL TABLE magnitude_subword USING fts3(char_ngrams, num_ngrams)")
        marks = ", ".join("?" * (dimensions + 2))
        for word, row in zip(words, np.asarray(matrix, np.float64), strict=True):
            length = float(np.linalg.norm(row))
            scaled = [round(float(x) * 10**precision) for x in row / length]
            database.execute(f"INSERT INTO magnitude VALUES ({marks})", (word, *scaled, length))
            if sizes:
                ngrams = _ngrams(f"\uf000{word}\uf000".lower(), *sizes)
                plain = " ".join(sorted(n for n in ngrams if not any(c.isascii() and not c.isalnum() for c in n)))
                database.execute("INSERT INTO magnitude_subword VALUES (?, ?)", (plain, 4 * len(ngrams)))
        database.executemany("INSERT INTO magnitude_format VALUES (?, ?)", values.items())
        database.execute("CREATE INDEX magnitude_key_idx ON magnitude (key)")
    return path


def _ngrams(word: str, least: int, most: int) -> set[str]:
    return {word[i : i + n] for n in range(least, most + 1) for i in range(len(word) - n + 1)}


def encoder(folder: Path, **options: Any) -> Any:
    """Return an encoder of few weights that was fitted on TEXTS."""
    vectors = write_text(folder / "vectors.txt")
    made = build(VectorsOptions(**{"vectors": str(vectors), "hidden": 8, "filters": 4, **options}))
    made.fit(Split(Texts(TEXTS), TRUTH), LocalContext(folder))
    return made


def encoded(made: Any, folder: Path, texts: Texts | None = None, truth: Any = TRUTH) -> Encoded:
    return Encoded(made.encode(texts or Texts(TEXTS), LocalContext(folder)), truth)
