"""The example notebook: it tells its story in a dozen cells, and runs in a clean environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

from textclf import Engine

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


def cells(kind: str, notebook: Path = NOTEBOOK) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def shown(cell: dict[str, Any]) -> str:
    """Return what a cell printed and showed, as text and HTML."""
    parts = [o.get("text", []) for o in cell["outputs"]]
    parts += [data for o in cell["outputs"] for data in o.get("data", {}).values()]
    return "\n".join("".join(part) for part in parts)


def test_the_notebook_tells_its_story_in_a_dozen_cells_that_can_be_read():
    told, run = cells("markdown"), cells("code")
    assert 10 <= len(run) <= 16
    assert len(told) >= 8
    for cell in run:
        compile(source(cell), str(NOTEBOOK), "exec")
    assert "textclf-engine[" not in source(told[0])
    assert 'pip install -c constraints.txt -e ".[all,notebook]"' in source(told[0])


def test_its_recipes_are_those_that_are_bundled():
    named = {name for cell in cells("code") for name in re.findall(r'engine\.run\("(\w+)"', source(cell))}
    assert named == {"reviews_tfidf", "reviews_glove_bilstm", "reviews_minilm", "reviews_minilm_adapted"}
    for name in named:
        assert Engine().plan(name).settings.name == name


def test_what_it_shows_is_what_its_cells_answered():
    """Its outputs are kept, so that a reader without Python sees them; none of them is an error or a warning."""
    for cell in cells("code"):
        assert all(output["output_type"] != "error" for output in cell["outputs"])
        assert all(output.get("name") != "stderr" for output in cell["outputs"])
    by_source = {source(cell): shown(cell) for cell in cells("code")}
    _looks_right(by_source)


def _looks_right(told: dict[str, str]) -> None:
    def of(words: str) -> str:
        return next(shown for code, shown in told.items() if words in code)

    assert "baseline" in of('words = engine.run("reviews_tfidf"')
    assert "predicted" in of("predictions.csv")
    assert re.search(r"BERT: the first three states change by 0\.0*[1-9]", of("GPT2Model"))
    assert "GPT-2: the first three states change by 0.000" in of("GPT2Model")
    assert "epoch 2 of 2, loss 0." in of("bert = engine.run(")
    assert "<iframe" in of("report.html")
    assert "masked-lm: epoch 1 of" in of("reviews_minilm_adapted")
    assert "in accuracy" in of("engine.compare")
    assert "joy" in of("words.classifier.explain")
    assert "joy" in of("bert.classifier.explain")
    assert "positive" in of("bert.classifier.predict")
    assert "positive" in of("pipeline(")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_notebook_runs_in_a_clean_environment(tmp_path: Path):
    place, copy = tmp_path / "environment", tmp_path / "work" / "notebook.ipynb"
    venv.create(place, with_pip=True)
    wanted = f"{ROOT}[all,notebook]"
    pins = ROOT / "constraints.txt"
    subprocess.run([place / "bin" / "pip", "install", "--quiet", "-c", pins, wanted], check=True)
    copy.parent.mkdir()
    copy.write_text(NOTEBOOK.read_text("utf-8"), "utf-8")
    bare = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    paths = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    around = {**bare, "PATH": paths, "TEXTCLF_CACHE": str(tmp_path / "cache")}
    command = [place / "bin" / "jupyter", "execute", "--inplace", "--timeout=1500", copy]
    done = subprocess.run(command, cwd=copy.parent, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _looks_right({source(cell): shown(cell) for cell in cells("code", copy)})
