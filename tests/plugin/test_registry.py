"""Versions that plugins require, and deprecated names."""

from __future__ import annotations

import linecache
import warnings
from pathlib import Path

import pytest
from packaging.version import Version

import textclf
from tests.sample import plugin
from textclf import Component, Traits
from textclf.plugin import hookspecs
from textclf.plugin.discovery import discover
from textclf.plugin.registry import Plugin, compatible, unmet_requirement


@pytest.mark.parametrize(
    "requirement",
    [
        "textclf-engine",
        "textclf-engine>=0.3",
        "textclf-engine>=0.3,<1",
        "textclf_engine[bert]>=0.3.0; python_version >= '3.11'",
        "textclf-engine~=0.3.1",
        "textclf-engine==0.3.*",
        "textclf-engine!=0.4",
        "textclf-engine @ https://example.org/textclf.whl",
        "textclf-engine>=9; extra == 'dev'",
        "another-engine>=9",
        "textclf-engine-more>=9",
        "textclf-engine >= 0.3 , <= 0.3.2",
        "textclf-engine (>=0.3.2.0,<0.4)",
    ],
)
def test_a_requirement_that_the_version_keeps(requirement):
    """P07: these are allowed."""
    assert unmet_requirement([requirement], "0.3.2") == ""


@pytest.mark.parametrize(
    ("requirement", "bounds"),
    [
        ("textclf-engine>=0.4", ">=0.4"),
        ("textclf-engine<0.3.2,>=0.1", "<0.3.2,>=0.1"),
        ("textclf-engine (>=1)", ">=1"),
        ("textclf-engine~=0.2.0", "~=0.2.0"),
        ("textclf-engine==0.3", "==0.3"),
        ("textclf-engine!=0.3.*", "!=0.3.*"),
        ("textclf-engine>0.3.2", ">0.3.2"),
        ("Textclf_Engine>=0.10", ">=0.10"),
        ("textclf-engine>=0.3,<0.3.2.0", "<0.3.2.0,>=0.3"),
    ],
)
def test_a_requirement_that_the_version_does_not_keep(requirement, bounds):
    """P07: these are unmet_requirement, and the bounds are said."""
    assert unmet_requirement(["numpy>=2", requirement], "0.3.2") == bounds


SAVED = {"plugin": "textclf_shape", "version": "1.2", "distribution": "textclf-shape"}
FILE = {"plugin": "mine", "file": "mine.py", "sha256": "a" * 64}


@pytest.mark.parametrize(
    ("saved", "plugin", "reason"),
    [
        (SAVED, Plugin("shape", "textclf_shape", "textclf-shape", "1.2"), ""),
        (SAVED, Plugin("shape", "textclf_shape", "textclf-shape", "1.10"), ""),
        (SAVED, Plugin("shape", "textclf_shape", "textclf-shape", "made-today"), ""),
        (SAVED, Plugin("shape", "textclf_shape", "textclf-shape", "1.1"),
         "has version 1.1, older than 1.2; pip install 'textclf-shape>=1.2'"),
        (SAVED, Plugin("shape", "textclf_form", "textclf-form", "7.0"),
         "is another plugin than textclf_shape of textclf-shape 1.2; pip install 'textclf-shape>=1.2', and uninstall "
         "the other"),
        ({**SAVED, "distribution": "textclf-engine"}, Plugin("shape", "textclf_shape", "textclf-engine", "1.1"),
         "has version 1.1 of textclf-engine, older than 1.2; pip install 'textclf-engine>=1.2'"),
        (FILE, Plugin("mine", "mine", file="mine.py", sha256="a" * 64), ""),
        (FILE, Plugin("mine", "mine", file="mine.py", sha256="b" * 64),
         "has changed: mine.py had sha256 aaaaaaaaaaaa, and has bbbbbbbbbbbb now"),
        ({"plugin": "textclf_shape", "version": "1.2"}, Plugin("shape", "textclf_shape", "textclf-shape", "1.0"), ""),
    ],
)  # fmt: skip
def test_a_plugin_reads_what_its_older_versions_have_saved_and_a_file_what_it_has_saved_itself(saved, plugin, reason):
    """C12: a model whose plugin is older, or another one."""
    assert compatible(saved, plugin) == reason


def words() -> list[object]:
    return [Component(name="words", build=lambda options: None, traits=Traits(makes="matrix"))]


def test_no_name_is_kept_past_its_version_and_each_replacement_is_there():
    """The tables are empty, or say what this version still keeps."""
    hooks = [name for name in vars(hookspecs) if name.startswith("textclf_")]
    for table, known in ((textclf._DEPRECATED, textclf.__all__), (hookspecs.DEPRECATED, hooks)):
        for old, (new, until) in table.items():
            assert Version(textclf.__version__) < Version(until), f"{old} was to go in {until}"
            assert new in known
            assert old not in known


def test_an_old_public_name_warns_at_the_line_that_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(textclf._DEPRECATED, "Ingredient", ("Component", "0.3"))
    lines = ["x = 1", "from textclf import Ingredient", "import textclf", "textclf.Ingredient", ""]
    (tmp_path / "old_plugin.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("default")
        import old_plugin
    assert old_plugin.Ingredient is Component
    assert {(Path(each.filename).name, each.lineno) for each in heard} == {("old_plugin.py", 2), ("old_plugin.py", 4)}
    assert {(each.category, str(each.message)) for each in heard} == {
        (DeprecationWarning, "textclf.Ingredient is now textclf.Component; the old name goes in textclf-engine 0.3")
    }
    assert linecache.getline(heard[0].filename, heard[0].lineno) == "from textclf import Ingredient\n"
    assert "Ingredient" not in dir(textclf)


def test_an_old_hook_is_taken_for_the_new_one_and_noted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(hookspecs.DEPRECATED, "textclf_vectorisers", ("textclf_encoders", "0.3"))
    found = discover([plugin("textclf_odd", textclf_vectorisers=words)], entry_points=False)
    [known] = found.plugins
    assert found.names("encoder") == ["words"]
    assert (known.broken, known.notes) == (
        False, ("textclf_vectorisers() is now textclf_encoders(); the old name goes in textclf-engine 0.3",)
    )  # fmt: skip
    assert found.of(known)


def test_an_old_hook_is_kept_to_the_contract_of_the_new_one(monkeypatch: pytest.MonkeyPatch):
    """P02: an unknown argument is named with the name that the plugin uses."""
    monkeypatch.setitem(hookspecs.DEPRECATED, "textclf_vectorisers", ("textclf_encoders", "0.3"))
    odd = plugin("textclf_odd", textclf_vectorisers=lambda registry: [])
    [known] = discover([odd], entry_points=False).plugins
    assert known.error == (
        "textclf_vectorisers() takes the argument 'registry', which the hook does not have (it has none)"
    )


def test_a_name_that_never_was_is_none_of_them():
    with pytest.raises(AttributeError, match=r"^module 'textclf' has no attribute 'Ingredient'$"):
        _ = textclf.Ingredient
