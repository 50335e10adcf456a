"""The way from the rows of a query to a dataset, row by row."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from textclf import Context, DataError, Dataset, Labels, Split, Texts

from . import SqlOptions
from .database import connect, missing, refused


@dataclass(slots=True)
class _Rows:
    """What is kept of the rows: each text once, and a number in place of each label."""

    texts: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    labels: array[int] = field(default_factory=lambda: array("q"))


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the result, by column; `number` is from 1."""

    path: str
    number: int
    values: Sequence[Any]
    places: dict[str, int]

    def fault(self, what: str) -> DataError:
        return DataError(f"{self.path}: row {self.number} of the query: {what}")

    def text(self, column: str) -> str:
        value = self.values[self.places[column]]
        if isinstance(value, str):
            return value
        if value is None:
            raise self.fault(f"'{column}' is NULL; leave such rows out with WHERE {column} IS NOT NULL")
        raise self.fault(f"'{column}' is {_kind(value)}, not a text; say CAST({column} AS TEXT) if it is meant as one")

    def name(self, column: str) -> str:
        """Return a value that names something: a text, or a whole number as text."""
        value = self.values[self.places[column]]
        found = str(value) if isinstance(value, int) else self.text(column)
        if not found.strip():
            raise self.fault(f"'{column}' is empty; fill it, or leave such rows out with WHERE")
        return found


class SqlDataset:
    def __init__(self, options: SqlOptions) -> None:
        self.options = options

    def load(self, context: Context) -> Dataset:
        """Run the query and keep its rows; a DataError names the row, the cause and the way out."""
        options, rows = self.options, _Rows()
        seen: dict[str, int] = {}
        with closing(connect(options.path)) as database:
            for row in _rows(database, options):
                rows.texts.append(_text(row, options.texts))
                rows.labels.append(rows.numbers.setdefault(_label(row, options), len(rows.numbers)))
                rows.ids.append(_id(row, options.id, seen))
                if options.group is not None:
                    rows.groups.append(row.name(options.group))
        if not rows.texts:
            raise DataError(f"{options.path}: the query gives no rows; look at its WHERE")
        labels = self._labels(rows.numbers)
        columns = np.array([labels.index(name) for name in rows.numbers], np.int64)
        groups = rows.groups if options.group is not None else None
        train = Split(Texts(rows.texts), columns[np.frombuffer(rows.labels, np.int64)], rows.ids, groups)
        return Dataset(labels, train, source=options.path)

    def _labels(self, seen: dict[str, int]) -> Labels:
        named = dict.fromkeys(self.options.label_names.values())
        return Labels(tuple(name for name in named if name in seen)) if named else Labels.of(seen)


def _rows(database: sqlite3.Connection, options: SqlOptions) -> Iterator[_Row]:
    number = 0
    try:
        cursor = database.execute(options.query)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise DataError(f"{options.path}: {refused(error)}") from None
    names = [column for column, *_ in cursor.description or ()]
    if not names:
        raise DataError(f"{options.path}: the query gives no columns; write one SELECT")
    for problem in missing(options, names):
        raise DataError(f"{options.path}: {problem.message}")
    places = {name: place for place, name in enumerate(names)}
    try:
        for number, values in enumerate(cursor, 1):
            yield _Row(options.path, number, values, places)
    except sqlite3.Error as error:
        raise DataError(f"{options.path}: row {number + 1} of the query cannot be read: {error}") from None


def _text(row: _Row, columns: Sequence[str]) -> str:
    if len(columns) == 1:
        return row.text(columns[0])
    return "\n".join(text for column in columns if (text := row.text(column)))


def _label(row: _Row, options: SqlOptions) -> str:
    label = row.name(options.label)
    if not options.label_names:
        return label
    if label not in options.label_names:
        known = ", ".join(f"'{name}'" for name in list(options.label_names)[:12])
        raise row.fault(f"the label '{label[:60]}' is not among label_names ({known}); add it there")
    return options.label_names[label]


def _id(row: _Row, column: str | None, seen: dict[str, int]) -> str:
    if column is None:
        return str(row.number)
    name = row.name(column)
    if name in seen:
        raise row.fault(f"the id '{name[:60]}' was already given in row {seen[name]}; make ids unique")
    seen[name] = row.number
    return name


def _kind(value: Any) -> str:
    return {int: "a whole number", float: "a number", bytes: "a blob"}.get(type(value), "no text")
