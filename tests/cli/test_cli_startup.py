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
with contextlib.redirect_stdout(io.StringIO()):
    code = main(sys.argv[1:])
print(json.dumps({"code": code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


@pytest.mark.parametrize(
    "arguments", ["--help", "check reviews_tfidf", "check reviews_minilm", "plugins", "recipes", "schema", "--version"]
)
def test_looking_around_loads_no_machine_learning(arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *arguments.split()], capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(done.stdout)
    assert found["code"] in (0, 2)
    assert HEAVY.isdisjoint(found["modules"])


def test_help_looks_for_no_plugin() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    modules = set(json.loads(done.stdout)["modules"])
    assert "textclf" in modules
    assert not [name for name in modules if name.startswith("textclf_")]
    assert "pluggy" not in modules


@pytest.mark.slow
def test_help_takes_at_most_1_6_times_its_libraries() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from startup import measure
    finally:
        sys.path.pop(0)
    floor, asked = measure()
    assert asked <= 1.6 * floor
