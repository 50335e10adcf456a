"""A library that a component imports while it works, and that is not there: what the message says to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from textclf import Component, Options, PluginError, Traits
from textclf.plugin.registry import Offer, Plugin
from textclf.plugin.step import Step

from .places import placeless

NAMED = "encoder 'odd' (plugin textclf_odd)"
ABSENT = "encode() fails: ModuleNotFoundError: No module named 'nosuch'"
BRINGS = "install the library that brings 'nosuch'"
PLUGIN = Plugin("odd", "textclf_odd", "textclf-odd", "1.0")


def failing(source: str, plugin: Plugin = PLUGIN, **fields: Any) -> str:
    """Return what is said where a component's `encode` runs the source, without who it was."""
    component: Component[Any, Any] = Component(
        name="odd", build=lambda options: None, traits=Traits(makes="matrix"), **fields
    )
    step: Step[Any] = Step("encoder", Offer("encoder", component, plugin), Options())
    with pytest.raises(PluginError) as caught:
        step.call("encode", lambda: exec(source, {"__name__": "textclf_odd"}))
    said = placeless(str(caught.value)).replace(" (<string>:1)", "")
    return said.removeprefix(f"{step}: ")


def test_a_library_that_is_declared_nowhere_is_named_with_what_brings_it_and_where_to_declare_it() -> None:
    way = f"{BRINGS}, most often by `pip install nosuch`"
    declared = "where the component's `needs` named it, that would be said before a run"
    assert failing("import nosuch.inner") == f"{ABSENT}; {way}; {declared}"


def test_a_library_that_is_declared_is_installed_as_declared() -> None:
    assert failing("import nosuch", needs=("nosuch",)) == f"{ABSENT}; pip install nosuch"
    assert failing("import nosuch", needs=("nosuch",), install="no-such>=2") == f"{ABSENT}; pip install 'no-such>=2'"


def test_where_another_library_is_declared_both_ways_are_said() -> None:
    """What is declared may bring it, as an extra does."""
    said = failing("import nosuch", needs=("json",), install="no-such[all]")
    assert said == f"{ABSENT}; pip install 'no-such[all]', or {BRINGS}"


def test_an_import_that_no_installing_mends_is_the_plugins_fault() -> None:
    report = "; report it to the authors of textclf-odd, or see `textclf plugins check odd`"
    assert failing("import json.inner") == (
        f"encode() fails: ModuleNotFoundError: No module named 'json.inner'{report}"
    )
    wrong = "cannot import name 'nosuch' from 'json'"
    assert failing("from json import nosuch").startswith(f"encode() fails: ImportError: {wrong}")
    assert failing("from json import nosuch").endswith(report)


def test_a_name_misspelt_is_the_plugins_fault_though_it_says_what_to_install() -> None:
    declared = {"needs": ("numpy",), "install": "numpy>=1"}
    report = "; report it to the authors of textclf-odd, or see `textclf plugins check odd`"
    may = "; another version of numpy may have it"
    said = failing("from numpy import arrayy", **declared)
    assert said.startswith("encode() fails: ImportError: cannot import name 'arrayy' from 'numpy'")
    assert said.endswith(may + report)
    assert failing("import numpy.nosuch", **declared) == (
        f"encode() fails: ModuleNotFoundError: No module named 'numpy.nosuch'{may}{report}"
    )


def test_a_library_that_says_itself_that_it_lacks_another_is_installed_as_declared() -> None:
    source = "raise ImportError('missing optional dependency')"
    said = "encode() fails: ImportError: missing optional dependency"
    assert failing(source, needs=("numpy",), install="numpy[all]") == f"{said}; pip install 'numpy[all]'"
    assert failing(source).startswith(f"{said}; report it to the authors of textclf-odd")


def test_a_file_that_reaches_for_its_neighbour_is_told_so(tmp_path: Path) -> None:
    file = replace(PLUGIN, distribution="", version="", file=str(tmp_path / "odd.py"))
    assert failing("import nosuch", file).startswith(f"{ABSENT}; {BRINGS}, most often")
    (tmp_path / "nosuch.py").touch()
    one = "--plugin takes one file and does not look beside it"
    assert failing("import nosuch", file) == f"{ABSENT}; {one}: make a package of them, and install it"
