"""The worked examples of the guide: each a file of its own, short, right, and word for word in the guide."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import textclf
from textclf import Judgement, Report
from textclf.evaluation.report import Estimate, Gate, LabelRow
from textclf.plugin import events
from textclf.testing import FolderCheckpoints, LocalContext, check_plugin, require, toy

ROOT = Path(__file__).parents[2]
# The encoder of the tutorial has a test of its own.
FILES = sorted({*(ROOT / "examples" / "plugins").glob("*.py")} - {ROOT / "examples" / "plugins" / "keywords.py"})
FLOWS = ("Labels", "Texts", "Split", "Dataset", "Tokens", "Encoded", "Predictions", "Finished")
REPORTS = {kind.__name__: kind for kind in (Report, Estimate, LabelRow, Gate, Judgement)}
KINDS = {"notes": "datasets", "shape": "encoders", "centroid": "trainers", "error_rate": "metrics",
         "mistakes": "outputs", "finished": "event"}  # fmt: skip


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(path.parent)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


def test_there_is_an_example_of_each_kind():
    assert {path.stem for path in FILES} == set(KINDS)
    for path in FILES:
        assert f"def textclf_{KINDS[path.stem]}(" in path.read_text("utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_in_the_guide_word_for_word(path):
    guide = (ROOT / "docs" / "plugin-reference.md").read_text("utf-8")
    assert f"```python\n{path.read_text('utf-8')}```\n" in guide


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_no_longer_than_it_takes(path):
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("from ")]
    assert len(lines) <= (24 if path.stem == "centroid" else 19)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_keeps_every_contract(path, monkeypatch, tmp_path):
    notes = tmp_path / "notes.json"
    notes.write_text(json.dumps([["fine weather", "good"], ["rain again", "bad"]]), "utf-8")
    options = {"notes": {"path": str(notes)}} if path.stem == "notes" else {}
    findings = check_plugin(load(path, monkeypatch), options=options)
    require(findings)
    kind = {"event": "plugin.observer"}.get(KINDS[path.stem], KINDS[path.stem].removesuffix("s") + ".")
    assert any(one.state == "passed" and one.clause.id.startswith(kind) for one in findings)


def test_the_examples_work_together_in_a_recipe(monkeypatch, tmp_path):
    modules = [load(path, monkeypatch) for path in FILES]
    rows = [(f"note {n}{'!' * (n % 4) if n % 2 else '?'}", "loud" if n % 2 else "unsure") for n in range(60)]
    (tmp_path / "notes.json").write_text(json.dumps(rows), "utf-8")
    recipe = {
        "name": "examples", "dataset": {"use": "notes", "path": str(tmp_path / "notes.json")}, "encoder": "shape",
        "trainer": "centroid", "metrics": ["error_rate"], "outputs": ["mistakes"], "report": {"draws": 100},
    }  # fmt: skip
    result = textclf.Engine(plugins=[toy, *modules], runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe)
    assert result.report.metrics["error_rate"].value < 0.4
    assert isinstance(json.loads((result.folder / "mistakes.json").read_text("utf-8")), list)
    assert result.report.warnings == ()


def test_the_guide_lists_every_field_with_its_default():
    guide = (ROOT / "docs" / "plugin-reference.md").read_text("utf-8")
    told: dict[str, list[str]] = {}
    name = ""
    for row in re.findall(r"^\| (?:`([A-Z]\w+)` )?\| `([a-z_0-9]+(?: = [^`]+)?)` \| .+ \|$", guide, re.MULTILINE):
        name = row[0] or name
        told.setdefault(name, []).append(row[1])
    assert set(told) == {*FLOWS, *REPORTS}
    for name in FLOWS:
        assert told[name] == [_said(field) for field in dataclasses.fields(getattr(textclf, name))], name
    for kind in REPORTS.values():
        assert told[kind.__name__] == [field.name for field in dataclasses.fields(kind)], kind.__name__


def _said(field: dataclasses.Field) -> str:
    if field.default is dataclasses.MISSING:
        return field.name
    return f"{field.name} = {json.dumps(field.default) if isinstance(field.default, str) else field.default}"


def test_the_descent_of_the_guide_stops_and_resumes_to_the_same_bits(tmp_path):
    guide = (ROOT / "docs" / "plugin-reference.md").read_text("utf-8")
    (source,) = re.findall(r"^```python\n(import numpy[^`]+def descend[^`]+)^```$", guide, re.MULTILINE)
    page: dict[str, Any] = {}
    exec(source, page)

    def improve(weights, draws):
        return weights + draws.normal(size=3)

    whole = page["descend"](np.zeros(3), 230, improve, LocalContext(tmp_path, seed=7))
    store = FolderCheckpoints(tmp_path)
    context = LocalContext(tmp_path, seed=7, checkpoints=store, stop_after=150)
    with pytest.raises(textclf.Stopped, match="stopped after 150 steps"):
        page["descend"](np.zeros(3), 230, improve, context)
    again = LocalContext(tmp_path, seed=7, checkpoints=store)
    assert page["descend"](np.ones(3), 230, improve, again).tobytes() == whole.tobytes()
    assert [event.done for event in again.events] == list(range(151, 231))


def test_the_guide_lists_every_event_with_its_fields():
    guide = (ROOT / "docs" / "plugin-reference.md").read_text("utf-8")
    part = guide[guide.index("### Observers") : guide.index("## The context")]
    told = {row[0]: re.findall(r"`(\w+)`", row[1].partition(": `load`")[0])
            for row in re.findall(r"^\| `([A-Z]\w+)` \| (.+) \|$", part, re.MULTILINE)}  # fmt: skip
    kinds = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)]
    every = [field.name for field in dataclasses.fields(events.Event)]
    own = {kind: [field.name for field in dataclasses.fields(kind) if field.name not in every] for kind in kinds}
    assert told == {kind.__name__: fields for kind, fields in own.items() if fields}
    assert {kind.__name__ for kind in kinds} <= set(textclf.__all__)
