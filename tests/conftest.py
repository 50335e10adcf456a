"""What every test shares: one torch thread, no network by accident, and caches of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.packages import installed as installed

# Tiny networks train many times slower with two threads than with one on a busy two-core machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


# The same examples in every run, so that a test fails for a change and not by chance; `--hypothesis-profile=search`
# looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty folder, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTCLF_CACHE", str(tmp_path / "cache"))
