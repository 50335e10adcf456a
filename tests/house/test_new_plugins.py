"""A stranger's first ten minutes: `textclf plugins new`, pip, pytest and a run, in an environment of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.packages import ROOT
from textclf.scaffold import KINDS

# Downloads and builds take long where the network or the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
ABOUT = "textclf_shape-0.1.0.dist-info"


def call(*command: str | Path, cwd: Path, timeout: float = 1800, **environment: str) -> str:
    there = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env={**there, **environment}, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _work() -> float:
    """Return the CPU seconds of all commands so far: what they take where nobody else uses the machine, or less."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def files_in_wheel(python: Path, folder: Path) -> list[str]:
    """Build a package's wheel, and return the names of the files in it."""
    with TemporaryDirectory() as place:
        call(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", place, folder, cwd=folder)
        (wheel,) = Path(place).glob("*.whl")
        return sorted(zipfile.ZipFile(wheel).namelist())


def modules(files: list[str]) -> list[str]:
    return [name for name in files if not name.startswith(ABOUT)]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where textclf is installed as a user would install it, without extras; downloaded once for all kinds."""
    place = tmp_path_factory.mktemp("ours") / "environment"
    venv.create(place, with_pip=True)
    pins = ROOT / "constraints.txt"
    call(place / "bin" / "pip", "install", "--quiet", "-c", pins, ROOT, cwd=place)
    return place


@pytest.fixture
def python(ours: Path, tmp_path: Path) -> Path:
    """The Python of an environment that holds textclf and nothing else."""
    place = tmp_path / "environment"
    venv.create(place, with_pip=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = ours / "lib" / version / "site-packages"
    (place / "lib" / version / "site-packages" / "textclf_is_there.pth").write_text(f"{packages}\n")
    return place / "bin" / "python"


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_its_own_tests_and_runs_with_no_edit(kind: str, python: Path, tmp_path: Path) -> None:
    call(python, "-m", "textclf", "plugins", "new", "shape", "--kind", kind, cwd=tmp_path)
    folder = tmp_path / "textclf-shape"
    call(python, "-m", "pip", "install", "--quiet", "-e", ".[test]", cwd=folder)
    began = _work()
    tested = call(python, "-m", "pytest", cwd=folder)
    assert _work() - began < 60
    assert " passed" in tested
    assert "failed" not in tested
    assert "textclf-shape" in call(python, "-m", "textclf", "plugins", cwd=tmp_path)
    recipe = "recipe.yaml" if (folder / "recipe.yaml").exists() else "reviews_tfidf"
    diary = tmp_path / "diary.jsonl"
    ran = call(python, "-m", "textclf", "run", recipe, cwd=folder, TEXTCLF_SHAPE_DIARY=str(diary))
    assert "accuracy" in ran
    assert diary.exists() == (kind == "observer")
    written = {path.name for path in folder.rglob("shape_*.jsonl")}
    assert written == ({"shape_mistakes.jsonl"} if kind == "output" else set())


def test_a_wheel_of_a_new_plugin_holds_its_module_and_its_licence(ours: Path, tmp_path: Path) -> None:
    python = ours / "bin" / "python"
    call(python, "-m", "textclf", "plugins", "new", "shape", "--kind", "dataset", cwd=tmp_path)
    inside = files_in_wheel(python, tmp_path / "textclf-shape")
    assert modules(inside) == ["textclf_shape.py"]
    assert f"{ABOUT}/licenses/LICENSE" in inside


def test_a_new_plugin_grows_as_the_guide_says(ours: Path, tmp_path: Path) -> None:
    python, folder = ours / "bin" / "python", tmp_path / "textclf-shape"
    call(python, "-m", "textclf", "plugins", "new", "shape", "--kind", "encoder", cwd=tmp_path)
    (folder / "shape_rules.py").write_text("RULES = 1\n")
    assert modules(files_in_wheel(python, folder)) == ["textclf_shape.py"]
    table, both = "[tool.hatch.build.targets.wheel]", 'include = ["textclf_shape.py", "shape_rules.py"]'
    guide = (ROOT / "plugins" / "README.md").read_text("utf-8")
    assert f"`{table}`" in guide
    assert f"`{both}`" in guide
    project = folder / "pyproject.toml"
    before = project.read_text()
    project.write_text(f"{before}\n{table}\n{both}\n")
    assert modules(files_in_wheel(python, folder)) == ["shape_rules.py", "textclf_shape.py"]
    project.write_text(before)
    (folder / "textclf_shape").mkdir()
    (folder / "textclf_shape.py").rename(folder / "textclf_shape" / "__init__.py")
    (folder / "shape_rules.py").rename(folder / "textclf_shape" / "rules.py")
    assert modules(files_in_wheel(python, folder)) == ["textclf_shape/__init__.py", "textclf_shape/rules.py"]
