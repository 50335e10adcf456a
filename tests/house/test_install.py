"""What a user installs: the wheel holds what it must, and works alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import textclf

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("textclf_engine-*.whl"))


def test_the_wheel_holds_the_core_every_plugin_their_recipes_and_their_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = [ROOT / "textclf", *sorted((ROOT / "plugins").glob("textclf_*"))]
    for source in sources:
        for file in source.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert file.relative_to(source.parent).as_posix() in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {source.name for source in sources} | {f"textclf_engine-{textclf.__version__}.dist-info"}


def test_the_wheel_carries_the_licences_of_code_and_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert "textclf_reviews/data/LICENSE.txt" in names


def test_the_changelog_begins_with_the_version_of_the_package():
    heading = next(line for line in (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines() if line.startswith("## "))
    assert heading == f"## {textclf.__version__}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == textclf.__version__


@pytest.mark.slow
def test_the_wheel_without_extras_names_the_libraries_that_are_absent_and_runs_the_baseline(wheel, tmp_path):
    place = tmp_path / "environment"
    venv.create(place, with_pip=True)
    command = place / "bin" / "textclf"
    pins = ROOT / "constraints.txt"
    subprocess.run([place / "bin" / "pip", "install", "--quiet", "-c", pins, wheel], check=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*arguments):
        return subprocess.run(
            [command, *arguments], cwd=empty, env=environment, capture_output=True, text=True, check=False
        )

    checked = run("check", "recipes/imdb_bert.yaml")
    assert checked.returncode == 5
    assert "needs gdown, which is not installed: pip install 'gdown>=6.4'" in checked.stderr
    assert "pip install 'torch>=2.10' 'transformers>=5.3' 'safetensors>=0.5'" in checked.stderr
    done = run("run", "reviews_tfidf")
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
