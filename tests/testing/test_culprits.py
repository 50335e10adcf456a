"""The table of clauses and culprits: each clause has one, caught by it alone, and none takes the house down."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from tests.culprits import CULPRITS, MODULES
from tests.toys import engine, recipe
from textclf import TextclfError
from textclf.testing import check_component, check_plugin
from textclf.testing.checks import clauses

# Division by what is nothing is what some culprits do wrong.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
_STEPS = {"dataset": "dataset", "encoder": "encoder", "trainer": "trainer", "metric": "metrics", "output": "outputs"}


def failed(findings):
    return [finding.clause.id for finding in findings if finding.state == "failed"]


def test_every_clause_has_a_culprit():
    assert sorted([*CULPRITS, *MODULES]) == sorted(clauses())
    assert len(clauses()) >= 40


@pytest.mark.parametrize("clause", CULPRITS)
def test_a_wrong_component_is_caught_by_its_clause_alone(clause):
    culprit = CULPRITS[clause]
    if clause.startswith("tokens."):
        pytest.importorskip("torch")
    findings = check_component(culprit.component, culprit.kind, culprit.options, culprit.stand_ins)
    assert failed(findings) == [clause], "\n".join(map(str, findings))


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Give a function that writes a module and imports it, for as long as the test runs."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = []

    def written(name: str, source: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
        names.append(name)
        return importlib.import_module(name)

    yield written
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("clause", MODULES)
def test_a_wrong_plugin_is_caught_by_its_clause_alone(clause, write, monkeypatch):
    monkeypatch.delenv("TEXTCLF_CULPRIT", raising=False)
    module = write(f"textclf_{clause.replace('.', '_')}", MODULES[clause])
    monkeypatch.delenv("TEXTCLF_CULPRIT", raising=False)
    findings = check_plugin(module)
    assert failed(findings)[:1] == [clause], "\n".join(map(str, findings))
    assert [one for one in failed(findings) if one.startswith("plugin.")] == [clause]


@pytest.mark.parametrize("clause", MODULES)
def test_a_wrong_plugin_beside_a_run_does_not_take_it_down(clause, write, monkeypatch, tmp_path):
    monkeypatch.setenv("TEXTCLF_CULPRIT", "")
    module = write(f"textclf_{clause.replace('.', '_')}_beside", MODULES[clause])
    result = engine(module, runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe())
    assert result.report.metrics["toy_accuracy"].value > 0.5


@pytest.mark.parametrize("clause", CULPRITS)
def test_a_wrong_component_in_a_run_ends_it_in_words_or_not_at_all(clause, tmp_path, monkeypatch):
    """P04: whatever a culprit does, the run finishes, or ends with an error that names it."""
    culprit = CULPRITS[clause]
    if clause.startswith("tokens."):
        pytest.skip("a network trainer is needed to run it: see tests/plugins")
    monkeypatch.chdir(tmp_path)
    component = replace(culprit.component, name="culprit")
    module = ModuleType("textclf_culprit")
    setattr(module, f"textclf_{culprit.kind}s", lambda: [component])
    step = {"use": "culprit", **culprit.options}
    several = culprit.kind in ("metric", "output")
    changed = recipe(**{_STEPS[culprit.kind]: [step] if several else step})
    fault = None
    try:
        engine(module, runs=tmp_path / "runs", cache=tmp_path / "cache").run(changed)
    except TextclfError as error:
        fault = error
    # What is wrong with a recipe or its data is the user's; all else names whose fault it is.
    assert fault is None or fault.exit_code in (2, 3) or "'culprit' (plugin textclf_culprit" in str(fault)
