"""How light the command is: what it imports, and how long it takes to say something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

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


@pytest.fixture(scope="module")
def startup() -> Iterator[ModuleType]:
    """The benchmark, whose measures the tests judge."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import startup

        yield startup
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def thirty(startup: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which thirty plugins are installed that `plugins new` made, with options of their own."""
    site = tmp_path_factory.mktemp("thirty") / "site"
    startup.install(site, list(startup.write_plugins(site.parent, 30)))
    return site


def _paths(site: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(site)]))}


@pytest.mark.slow
def test_help_takes_at_most_1_6_times_its_libraries(startup: ModuleType) -> None:
    floor, asked = startup.measure()
    assert asked <= 1.6 * floor


@pytest.mark.slow
def test_thirty_plugins_are_found_and_sound(thirty: Path) -> None:
    command = [sys.executable, "-m", "textclf", "plugins", "--json"]
    done = subprocess.run(command, env=_paths(thirty), capture_output=True, text=True, check=True)
    made = [plugin for plugin in json.loads(done.stdout)["plugins"] if plugin["name"].startswith("made_")]
    assert len(made) == 30
    assert [plugin["broken"] for plugin in made] == [None] * 30
    assert [len(plugin["offers"]) for plugin in made].count(1) == 25  # an observer offers nothing


@pytest.mark.slow
def test_check_takes_at_most_0_2_seconds_more_with_thirty_plugins(startup: ModuleType, thirty: Path) -> None:
    _, more = startup.cost(startup.CHECK, thirty)
    assert more <= 0.2


@pytest.mark.slow
def test_help_does_the_same_with_thirty_plugins_as_with_none(startup: ModuleType, thirty: Path) -> None:
    with_none, with_all = (_imported(startup.HELP, env) for env in (dict(os.environ), _paths(thirty)))
    assert with_all == with_none
    assert "importlib.metadata" not in with_all
    alone, more = startup.cost(startup.HELP, thirty)
    assert more <= 0.1 * alone  # a busy machine makes one command differ so much from itself


def _imported(command: list[str], environment: dict[str, str]) -> set[str]:
    """Return the modules that a command imports."""
    verbose = [command[0], "-X", "importtime", *command[1:]]
    done = subprocess.run(verbose, env=environment, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
