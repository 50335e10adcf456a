"""What `textclf plugins new` writes: packages that are whole, clean, and keep every clause as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

from tests.packages import ROOT
from textclf.errors import RecipeError
from textclf.plugin import single_file
from textclf.recipe.schema import FILE, modeline, names_schema
from textclf.run.outputs import RESERVED, is_reserved
from textclf.scaffold import KINDS, LICENCES, Package, package
from textclf.testing import finished_run

# What the house asks of its own code is asked of what it writes for others.
HOUSE = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LONGEST = "a_name_as_long_as_a_name_may_be_at_all_x"
CHECK = """
import importlib, sys
sys.modules["torch"] = None  # as where no extra is installed
from textclf.testing import check_plugin, require
for module in sys.argv[2:]:
    name = module.removeprefix("textclf_")
    given = {name: {"path": sys.argv[1]}} if name == "my_dataset" else {}
    findings = check_plugin(importlib.import_module(module), options=given)
    require(findings)
    print(module, sum(finding.state == "passed" for finding in findings))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of a package of each kind, called my_KIND."""
    folder = tmp_path_factory.mktemp("written")
    return {kind: package(f"my_{kind}", kind).write(folder) for kind in KINDS}


def test_a_package_of_each_kind_keeps_every_clause_with_no_edit(written: dict[str, Path]) -> None:
    paths = os.pathsep.join([*map(str, written.values()), *filter(None, sys.path)])
    modules = [f"textclf_my_{kind}" for kind in written]
    command = [sys.executable, "-c", CHECK, str(written["dataset"] / "sample.jsonl"), *modules]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    passed = dict(line.split() for line in done.stdout.splitlines())
    assert list(passed) == modules
    assert all(int(number) >= 6 for number in passed.values())


def test_an_output_writes_no_file_of_the_run_s_own_whatever_it_is_called(tmp_path: Path) -> None:
    finished = finished_run()
    for name in sorted({Path(name).stem for name in RESERVED}):
        made, folder = package(name, "output"), tmp_path / name
        folder.mkdir()
        module = single_file.load(str(made.write(tmp_path) / f"{made.module}.py"))
        (component,) = module.textclf_outputs()
        component.build(component.options()).write(finished, folder)
        assert [file.name for file in folder.iterdir()] == [f"{name}_mistakes.jsonl"]
        assert not is_reserved(f"{name}_mistakes.jsonl")


# What an author may fill in that does something else than the placeholder.
FILLED = {
    "dataset": """
    for line in options.path.read_text("utf-8").splitlines():
        row = json.loads(line)
        yield row["text"].upper(), f"{int(row['stars'])} stars"
""",
    "encoder": """
    return [float(len(text)), float(text.count(" ")), 1.0]
""",
    "trainer": """
    import numpy as np
    weights: Floats = np.asarray(members.T @ features, np.float64)
    return weights - weights.mean(axis=0)
""",
    "metric": """
    import numpy as np
    wrong: Floats = weights @ (predictions.predicted != predictions.truth) / weights.sum(axis=1)
    return np.sqrt(wrong)
""",
    "output": """
    p = finished.predictions
    yield json.dumps({"texts": len(p), "accuracy": float((p.predicted == p.truth).mean())})
""",
    "observer": """
    told = event.to_json()
    return f"{told['event']}" if "stage" in told else ""
""",
}


def fill_in(made: Package, folder: Path) -> None:
    """Put another body into the function that is to be filled in, below its docstring."""
    module = folder / f"{made.module}.py"
    function = re.compile(rf'(def {made.function[0]}\(.*?""".*?"""\n).*?\n\n\n', re.DOTALL)
    source, number = function.subn(lambda found: f"{found[1]}{FILLED[made.kind]}\n\n", module.read_text("utf-8"))
    assert number == 1
    module.write_text(source, "utf-8")


@pytest.mark.parametrize(
    ("filled", "which"),
    [(False, "not test_the_contract"), (True, "not test_the_contract"), pytest.param(True, "", marks=pytest.mark.slow)],
)
def test_the_tests_hold_as_they_are_and_for_whatever_is_filled_in(filled: bool, which: str, tmp_path: Path) -> None:
    folders = []
    for kind in KINDS:
        made = package(f"my_{kind}", kind)
        folders.append(made.write(tmp_path))
        if filled:
            fill_in(made, folders[-1])
        (tests,) = folders[-1].rglob("test_*.py")
        assert tests.read_text().count("# REPLACE: ") == 1
    paths = os.pathsep.join([*map(str, folders), *filter(None, sys.path)])
    asked = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-k", which]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *asked, *folders], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert f"{len(KINDS)} passed" in done.stdout if which else " passed" in done.stdout


def test_what_is_written_is_clean_by_the_rules_of_the_house_even_with_the_longest_name(tmp_path: Path) -> None:
    for kind in KINDS:
        made = package(LONGEST[: -len(kind)] + kind, kind)
        assert len(made.name) == len(LONGEST) == 40
        folder = made.write(tmp_path)
        rules = ",".join(HOUSE["tool"]["ruff"]["lint"]["select"])
        for chosen in ((), ("--select", rules)):
            command = [sys.executable, "-m", "ruff", "check", "--no-cache", *chosen, "."]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_is_written_passes_mypy_at_its_strictest(written: dict[str, Path]) -> None:
    modules = [folder / f"textclf_my_{kind}.py" for kind, folder in written.items()]
    # An installed textclf is silent; here it is a folder, whose own errors other settings are for.
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-incremental"]
    command += map(str, modules)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    done = subprocess.run(command, env={**os.environ, "MYPYPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_is_short_and_marks_the_one_function_to_fill_in(kind: str) -> None:
    made = package("shape", kind)
    source = made.files["textclf_shape.py"]
    function, line = made.function
    assert source.splitlines()[line - 1].startswith(f"def {function}(")
    assert source.splitlines()[line - 2].startswith("# FILL IN: ")
    assert source.count("FILL IN") == 1
    assert len(source.splitlines()) < 100
    assert "stands at the top of `textclf_shape.py`, marked `FILL IN`" in made.files["README.md"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_project_says_what_the_house_requires(kind: str) -> None:
    made = package("my-shape", kind, author='Ada "A." Löv\\elace')
    project = tomllib.loads(made.files["pyproject.toml"])["project"]
    assert project["name"] == made.distribution == "textclf-my-shape"
    assert project["entry-points"]["textclf"] == {"my_shape": "textclf_my_shape"}
    assert project["requires-python"] == HOUSE["project"]["requires-python"]
    assert project["dependencies"][0] == "textclf-engine>=0.2,<1"
    assert set(project["dependencies"][1:]) <= set(HOUSE["project"]["dependencies"])
    assert ("numpy" in made.files["textclf_my_shape.py"]) == (project["dependencies"][1:] == ["numpy>=2"])
    assert project["authors"] == [{"name": 'Ada "A." Löv\\elace'}]
    assert project["license"] == "MIT"
    least = project["requires-python"].removeprefix(">=")
    jobs = yaml.safe_load(made.files[".github/workflows/tests.yml"])["jobs"]
    assert jobs["tests"]["strategy"]["matrix"]["python"][0] == least
    assert jobs["tests"]["steps"][1]["with"] == {"python-version": "${{ matrix.python }}"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "observer"])
def test_the_recipe_names_its_schema_as_every_recipe_does_and_says_how_to_make_it(kind: str) -> None:
    files = package("shape", kind).files
    opening = files["recipe.yaml"].partition("version: 1")[0].splitlines()
    assert opening[-1] == modeline(FILE)
    assert opening[-2].startswith(f"#   textclf schema --output {FILE} ")
    assert names_schema(files["recipe.yaml"])
    assert f"/{FILE}" in files[".gitignore"].splitlines()


def test_nothing_is_left_of_a_template_and_the_unrelated_package_is_never_installed() -> None:
    for kind in KINDS:
        for path, text in package("shape", kind).files.items():
            assert not re.search(r"\$(?!\{\{|schema=)", text), path
            assert text.endswith("\n"), path
            assert not text.endswith("\n\n"), path
            assert not re.search(r"pip install textclf(?![-_])", text), path


@pytest.mark.parametrize("licence", [licence for licence in LICENCES if licence != "none"])
def test_a_licence_is_there_in_full_with_its_year_and_holder(licence: str) -> None:
    files = package("shape", "metric", licence, "Ada Lovelace").files
    first = {"MIT": "MIT License", "BSD-3-Clause": "BSD 3-Clause License", "Apache-2.0": "Apache License"}[licence]
    assert files["LICENSE"].strip().startswith(first)
    if licence != "Apache-2.0":  # its text names nobody
        assert f"Copyright (c) {date.today().year}" in files["LICENSE"]
        assert "Ada Lovelace\n" in files["LICENSE"]
    assert f"{licence}. Copyright {date.today().year} Ada Lovelace.\n" in files["README.md"]
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert (project["license"], project["license-files"]) == (licence, ["LICENSE"])


def test_without_an_author_the_licence_names_those_of_the_package() -> None:
    assert f"(c) {date.today().year} the authors of textclf-shape\n" in package("shape", "metric").files["LICENSE"]


def test_without_a_licence_nothing_claims_one() -> None:
    files = package("shape", "metric", "none").files
    assert "LICENSE" not in files
    assert "license" not in files["pyproject.toml"]
    assert "None yet: until there is one, nobody may use this package.\n" in files["README.md"]


def test_a_folder_that_is_there_is_neither_overwritten_nor_touched(tmp_path: Path) -> None:
    folder = tmp_path / "textclf-shape"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(RecipeError) as error:
        package("shape", "encoder").write(tmp_path)
    assert str(error.value) == f"'{folder}' exists already and is not overwritten; name another folder with --to"
    assert [path.name for path in tmp_path.rglob("*")] == ["textclf-shape", "mine.txt"]
