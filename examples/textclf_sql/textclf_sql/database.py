"""The database: opened for reading alone, and what can be found wrong with it before any row is read."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from textclf import DataError, Problem, did_you_mean

from . import SqlOptions

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
# What SQLite's own virtual tables (full text, json_each) ask of themselves.
_PRAGMAS = {"data_version", "page_size"}
_WRITES = "the query does more than read; write one SELECT"
_PATIENCE = 1.0  # seconds that `check` gives a query that must compute something before it can tell its columns


def connect(path: str) -> sqlite3.Connection:
    """Open an SQLite database for reading alone; a DataError says why it cannot be."""
    file = Path(path).expanduser()
    if not file.is_file():
        what = "is a folder, not a file" if file.is_dir() else "is no regular file" if file.exists() else "no such file"
        raise DataError(f"'{path}': {what}")
    database = None
    try:
        database = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        if database is not None:
            database.close()
        raise DataError(f"'{path}': cannot be read as an SQLite database: {error}") from None
    database.set_authorizer(_may)
    return database


def _may(action: int, first: str | None, *_: str | None) -> int:
    """Allow what reads; the file could not be written anyway, but others could be attached, or memory filled."""
    own = action == sqlite3.SQLITE_UPDATE and first == "sqlite_master"
    own = own or (action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS)
    return sqlite3.SQLITE_OK if own or action in _READING else sqlite3.SQLITE_DENY


def refused(error: sqlite3.Error | sqlite3.Warning) -> str:
    """Say in words why SQLite does not take a query."""
    said = str(error)
    if re.search(r"not authorized|authorization denied|prohibited", said):
        return _WRITES
    if "one statement" in said:
        return "the query is more than one statement; write one SELECT"
    if "bindings" in said:
        return "the query has a placeholder such as ?, which nothing fills; write the value itself"
    return f"the query does not compile: {said}"


def problems(options: SqlOptions) -> Iterator[Problem]:
    """Look at file, query and columns here and now; no row of the result is read."""
    try:
        database = connect(options.path)
    except DataError as error:
        yield Problem(str(error), ("path",), exit_code=3 if Path(options.path).expanduser().is_file() else 2)
        return
    with closing(database):
        try:
            there = columns(database, options.query)
        except DataError as error:
            yield Problem(str(error), ("query",))
            return
    yield from missing(options, there)


def columns(database: sqlite3.Connection, query: str) -> Sequence[str]:
    """Return the names of a query's columns, none where telling them would take long; a DataError if it has none."""
    try:
        database.execute(f"EXPLAIN {query}")  # compiles it and runs nothing
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise DataError(refused(error)) from None
    end = time.monotonic() + _PATIENCE
    database.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        found = database.execute(f"SELECT * FROM (\n{query.rstrip().rstrip(';')}\n) LIMIT 0").description
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return ()
        raise DataError(_WRITES) from None  # it compiles alone, but not as a SELECT's source
    finally:
        database.set_progress_handler(None, 0)
    return [column for column, *_ in found]


def missing(options: SqlOptions, there: Sequence[str]) -> Iterator[Problem]:
    """Give a problem for each column that the options name and the query does not have, or has twice."""
    if not there:
        return
    wanted: list[tuple[tuple[str | int, ...], str | None]] = [(("label",), options.label)]
    wanted += [(("id",), options.id), (("group",), options.group)]
    if isinstance(options.text, str):
        wanted.insert(0, (("text",), options.text))
    else:
        wanted = [*((("text", place), column) for place, column in enumerate(options.text)), *wanted]
    for path, column in wanted:
        if column is None:
            continue
        if column not in there:
            known = ", ".join(f"'{name}'" for name in there[:20])
            meant = did_you_mean(column, there)
            yield Problem(f"the query gives no column '{column}'{meant} (it gives: {known})", path)
        elif list(there).count(column) > 1 or f"{column}:1" in there:
            yield Problem(f"the query gives the column '{column}' twice; name one of them otherwise with AS", path)
