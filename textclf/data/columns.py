"""Owns what a program gives to be classified: texts, or pairs of texts, in columns or in rows; others are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from ..errors import DataError, kind_of
from .dataset import Texts

_BOTH = "give the second texts as pairs=[...], or both as textclf.Texts(first, second)"


def columns_of(texts: Any, pairs: Any, takes: str = "predict takes a list of texts") -> Texts:
    """Return what was given as texts and, where they come in pairs, as second ones; takes: what may be given."""
    if isinstance(texts, Texts):
        return texts
    return Texts(list(column_of(texts, takes)), None if pairs is None else list(column_of(pairs, takes)))


def column_of(texts: Any, takes: str) -> Iterable[Any]:
    """Return a column of texts, whatever the caller has them in; takes: what the caller may give."""
    if isinstance(texts, str):
        raise DataError(f"{takes}; for a single text use predict_one")
    table = hasattr(texts, "columns")  # gives the names of its columns one after the other
    if table or isinstance(texts, (Mapping, Set, bytes)) or not isinstance(texts, Iterable):
        raise DataError(f"{takes}, not {kind_of(texts)}")
    return texts


def rows_of(rows: Sequence[Any], paired: bool, done: int = 0) -> Texts:
    """Return rows, texts or pairs of texts, as Texts; a DataError names the first, behind `done`, that is none."""
    for row, text in enumerate(rows, done):
        if paired and not (isinstance(text, (tuple, list)) and len(text) == 2):
            raise DataError(f"text {row} is a {type(text).__name__}; this classifier was trained on pairs of texts")
        if not paired and isinstance(text, (tuple, list)):
            raise DataError(f"text {row} is a {type(text).__name__}; this classifier was trained on single texts")
    first = [first for first, _ in rows] if paired else list(rows)
    return checked(Texts(first, [second for _, second in rows] if paired else None), paired, done)


def checked(texts: Texts, paired: bool, done: int = 0) -> Texts:
    """Return texts that a classifier can read; paired: whether it reads pairs. done: how many came before."""
    for column in texts.columns():
        for row, text in enumerate(column, done):
            if not isinstance(text, str):
                way = f"; {_BOTH}" if paired and isinstance(text, (tuple, list)) and not texts.pairs else ""
                raise DataError(f"text {row} is a {type(text).__name__}, not a str{way}")
    if texts.pairs != paired:
        wants = f"pairs of texts; {_BOTH}" if paired else "single texts; give one"
        raise DataError(f"this classifier was trained on {wants}")
    return texts
