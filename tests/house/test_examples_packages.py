"""What the example packages promise: they keep their contracts, and their recipes run where they are installed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.packages import LOOK, ROOT

EXAMPLES = ROOT / "examples"
PACKAGES = {"sql": EXAMPLES / "textclf_sql", "ngrams": EXAMPLES / "textclf_ngrams", "trees": EXAMPLES / "textclf_trees"}
TICKETS = ("--set", "sql.path=tickets.db", "--set", "sql.query=SELECT text, team AS label FROM tickets")


@pytest.fixture(scope="session")
def house(installed):
    """An installation of all three; LightGBM is not installed with them, and may well be absent."""
    return installed(*PACKAGES.values())


def make_tickets(python, folder: Path) -> None:
    """Run the command of the README that makes the database, with the paths as they are here."""
    readme = (PACKAGES["sql"] / "README.md").read_text("utf-8")
    (line,) = re.findall(r"^    python (examples/\S+ examples/tickets.csv tickets.db)$", readme, re.MULTILINE)
    script, source, target = line.split()
    done = python(str(ROOT / script), str(ROOT / source), str(folder / target))
    assert done.returncode == 0, done.stderr


def run(house, recipe: str, folder: Path, *arguments: str):
    done = house.python("-m", "textclf", "run", recipe, "--runs", str(folder / "runs"), "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["report"]


def test_all_three_packages_are_found_and_none_is_broken(house):
    found = house.answer(LOOK)
    assert {found["reasons"][f"textclf_{name}"] for name in PACKAGES} == {""}
    kinds = {"sql": "dataset", "ngrams": "encoder", "trees": "trainer"}
    assert all([kind, name, f"textclf_{name}"] in found["offers"] for name, kind in kinds.items())


def test_the_sql_package_keeps_its_contract(house, tmp_path):
    make_tickets(house.python, tmp_path)
    done = house.python("-m", "textclf", "plugins", "check", "sql", *TICKETS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" 0 failed")


def test_the_ngrams_package_keeps_its_contract(house):
    done = house.python("-m", "textclf", "plugins", "check", "ngrams", "--set", "ngrams.columns=4096")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" 0 failed")


def test_the_recipe_of_the_sql_package_runs_on_the_database_that_its_readme_makes(house, tmp_path):
    make_tickets(house.python, tmp_path)
    report = run(house, str(PACKAGES["sql"] / "sql.yaml"), tmp_path, "--set", "report.draws=100")
    assert report["labels"] == ["billing", "login", "praise", "technical"]
    assert report["metrics"]["accuracy"]["value"] > report["baseline"]["accuracy"]


def test_the_recipe_of_the_ngrams_package_runs(house, tmp_path):
    few = ("--set", "split.limit=2000", "--set", "encoder.longest=3", "--set", "report.draws=100")
    report = run(house, str(PACKAGES["ngrams"] / "ngrams.yaml"), tmp_path, *few)
    assert report["metrics"]["accuracy"]["value"] > 0.58 > report["baseline"]["accuracy"]


def test_the_recipe_of_the_trees_package_is_sound_and_names_what_to_install_where_lightgbm_is_absent(house):
    done = house.python("-m", "textclf", "check", str(PACKAGES["trees"] / "trees.yaml"))
    if find_spec("lightgbm") is None:
        assert done.returncode == 5
        assert "needs lightgbm, which is not installed: pip install 'lightgbm>=4.6,<5'" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PACKAGES)
def test_in_an_environment_of_its_own_a_package_passes_its_tests_and_every_clause(name, tmp_path):
    """As a stranger would: a fresh environment, everything from the index, no path into this repository."""
    place, package = tmp_path / "environment", tmp_path / f"textclf_{name}"
    shutil.copytree(PACKAGES[name], package, ignore=shutil.ignore_patterns("__pycache__"))
    venv.create(place, with_pip=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def call(*command: object, folder: Path = tmp_path) -> str:
        line = [str(place / "bin" / str(command[0])), *map(str, command[1:])]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(line)}\n{done.stdout}{done.stderr}"
        return done.stdout

    call("pip", "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt", ROOT, package, "pytest")
    assert " failed" not in call("pytest", "-q", "-p", "no:cacheprovider", folder=package).splitlines()[-1]
    options: tuple[str, ...] = ()
    if name == "sql":
        call("python", package / "make_tickets.py", EXAMPLES / "tickets.csv", "tickets.db")
        options = TICKETS
    assert call("textclf", "plugins", "check", name, *options).splitlines()[-1].endswith(" 0 failed")
    few = () if name == "sql" else ("--set", "split.limit=1000")
    assert "accuracy" in call("textclf", "run", package / f"{name}.yaml", *few)
