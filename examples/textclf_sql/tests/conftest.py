"""What the tests share: a database of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from databases import write_database


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return write_database(tmp_path / "tickets.db")
