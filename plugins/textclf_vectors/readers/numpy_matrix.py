"""Vectors as a NumPy matrix with a word list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textclf import DataError, PluginError

from .reader import MOST_DIMENSIONS, Keep, Kept, Vectors, counted, demand_finite, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray


LONGEST = 1 << 16
_AT_ONCE = 1 << 16


def read(path: Path, words: Path, keep: Keep) -> Vectors:
    """Read the wanted rows of a matrix, which is mapped: what is not wanted is not read."""
    matrix = _mapped(path)
    kept, rows = Kept(words, keep), []
    for word in _listed(words):
        if kept.seen == len(matrix):
            raise DataError(f"'{words}' has more words than the {len(matrix)} rows of '{path}'")
        if kept.take(word):
            rows.append(kept.seen - 1)
    if kept.seen < len(matrix):
        raise DataError(f"'{words}' has {counted(kept.seen, 'word')}, and '{path}' {counted(len(matrix), 'row')}")
    return _taken(path, matrix, kept, rows)


def _taken(path: Path, matrix: NDArray[Any], kept: Kept, rows: list[int]) -> Vectors:
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(matrix[rows], np.float32)
    demand_finite(path, found, kept.words, rows, "row")
    return Vectors(kept.words, found, kept.twice)


def _mapped(path: Path) -> NDArray[Any]:
    try:
        matrix: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, OverflowError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"'{path}' cannot be read as a NumPy matrix: {reason}") from None
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind != "f":
        kind = f"{matrix.dtype}{list(matrix.shape)}" if isinstance(matrix, np.ndarray) else "several arrays"
        raise DataError(f"'{path}' is {kind}, and not a matrix of floating-point numbers, a row for each word")
    if not (len(matrix) and 0 < matrix.shape[1] <= MOST_DIMENSIONS):
        raise DataError(f"'{path}' has {len(matrix)} rows of {matrix.shape[1]} numbers; is it a matrix of vectors?")
    return matrix


def _listed(words: Path) -> Iterator[str]:
    if words.suffix.lower() == ".parquet":
        yield from _column(words)
        return
    with words.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST):
            number += 1
            if len(line) == LONGEST:
                raise DataError(f"'{words}', line {number} is longer than {LONGEST:,} bytes; is it a list of words?")
            try:
                yield line.rstrip(b"\r\n").decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(f"'{words}', line {number}: it is not UTF-8 (byte {error.start + 1})") from None


def _column(words: Path) -> Iterator[str]:
    """Yield the words of a Parquet file's one column."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise PluginError(f"'{words}' is Parquet, which needs pyarrow: pip install 'pyarrow>=17'") from None
    try:
        with ParquetFile(words) as file:
            names = file.schema_arrow.names
            if len(names) != 1:
                raise DataError(f"'{words}' has {len(names)} columns; a word list has one")
            for batch in file.iter_batches(batch_size=_AT_ONCE):
                yield from _texts(words, batch.column(0).to_pylist())
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"'{words}' cannot be read as Parquet: {reason}") from None


def _texts(words: Path, values: list[Any]) -> list[str]:
    wrong = next((value for value in values if not isinstance(value, str)), None)
    if wrong is not None or None in values:
        raise DataError(f"'{words}' holds {shown(repr(wrong))}, which is no word")
    return values
