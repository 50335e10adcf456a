"""How light the command is: what it imports, and how long it takes to say something."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.packages import ROOT

HEAVY = {"torch", "transformers", "sklearn", "pandas", "numpy"}
LOOK = """
import contextlib, io, json, sys
from textclf.cli.main import main
for line in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()):
        code = main(line.split())
    print(json.dumps([line, code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
LINES = (
    "--version", "--help", "compare --help", "recipes", "plugins", "schema", "check reviews_tfidf",
    "check reviews_minilm",
)  # fmt: skip


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """The modules that are loaded after each command, in one process, lightest command first."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *LINES], capture_output=True, text=True, timeout=60, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    # Without the extras the last recipe lacks its libraries, which is exit code 5.
    assert [code for _, code, _ in answers] in ([0] * 8, [0] * 7 + [5]), done.stderr
    return {line: set(modules) for line, _, modules in answers}


@pytest.mark.parametrize("line", LINES)
def test_looking_around_loads_no_machine_learning(loaded: dict[str, set[str]], line: str) -> None:
    assert HEAVY.isdisjoint(loaded[line])


def test_help_looks_for_no_plugin(loaded: dict[str, set[str]]) -> None:
    assert "textclf" in loaded["--help"]
    assert not [name for name in loaded["--help"] if name.startswith("textclf_")]
    assert "pluggy" not in loaded["--help"]


@pytest.mark.slow
def test_help_takes_at_most_1_6_times_its_libraries() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from startup import measure
    finally:
        sys.path.pop(0)
    floor, asked = measure()
    assert asked <= 1.6 * floor
