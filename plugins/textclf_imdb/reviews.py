"""Owns what a file of reviews must look like, and reading one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textclf import DataError, Row, did_you_mean, read_table

from .drive import explain, is_page

COLUMNS = ("review", "label")
LABELS = ("negative", "positive")
_VALUES = {"0": 0, "1": 1}


@dataclass(frozen=True, slots=True)
class Reviews:
    texts: list[str]
    labels: list[int]


def read(path: Path, rows: int, name: str = "") -> Reviews:
    """Read the columns review and label; a DataError where they are missing, or the rows are not `rows` (0: any).

    `name` stands for the path in messages.
    """
    name = name or str(path)
    _refuse_page(path, name)
    reviews = Reviews([], [])
    with read_table(path, name=name, format="csv") as table:
        for column in COLUMNS:
            if column not in table.columns:
                known = f"{did_you_mean(column, table.columns)} (columns: {', '.join(table.columns)})"
                raise DataError(f"{name}: has no column '{column}'{known}")
        for row in table.some_rows():
            reviews.texts.append(row.values["review"])
            reviews.labels.append(_label(row))
    count = len(reviews.texts)
    if rows and count != rows:
        raise DataError(f"{name}: has {count:,} rows, not {rows:,}; set dataset.rows=0 if that is meant")
    return reviews


def _label(row: Row) -> int:
    value = row.values["label"]
    if value not in _VALUES:
        raise DataError(f"{row.place}: the label is '{str(value)[:40]}', neither 0 (negative) nor 1 (positive)")
    return _VALUES[value]


def _refuse_page(path: Path, name: str) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(2**16)
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from None
    if is_page(head[:512]):
        meaning = explain(head.decode("utf-8", "replace"))
        raise DataError(f"{name}: is a web page, not a CSV file" + (f": {meaning}" if meaning else ""))
