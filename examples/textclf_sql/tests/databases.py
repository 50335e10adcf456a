"""The small databases that the tests read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

SAID = ("I cannot log in", "refund my card")
ROWS = [(f"T-{n:02}", f"C-{n // 3}", f"{SAID[n % 2]} {n}", n % 2) for n in range(12)]
QUERY = "SELECT ticket, customer, text, team FROM tickets ORDER BY ticket"


def write_database(path: Path, rows: Iterable[Sequence[Any]] = ROWS) -> Path:
    """Write a table of tickets (ticket, customer, text, team), of any types, and return its path."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE tickets (ticket, customer, text, team)")
        database.executemany("INSERT INTO tickets VALUES (?, ?, ?, ?)", rows)
        database.commit()
    return path


def options(path: Path, query: str = QUERY, **changes: Any) -> dict[str, Any]:
    """Return a dataset step's options as a recipe gives them."""
    named = {"text": "text", "label": "team", "id": "ticket", "group": "customer"}
    return {"path": str(path), "query": query, **named, **changes}
