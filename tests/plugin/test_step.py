"""Steps: built, restored, and with missing libraries."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, model_validator

from tests.places import placeless
from tests.sample import SOUND, Built, build, plan_of, plugin, registry
from textclf import ArtefactError, Component, DataError, Field, Options, PluginError, ResourceError, Traits
from textclf.model.folder import restored_step
from textclf.plugin.registry import Plugin, Registration
from textclf.plugin.step import Step

NAMED = "encoder 'odd' (plugin textclf_odd)"


def step(kind: str = "encoder", **fields: object) -> Step[object]:
    """Return a step of a component called `odd`, offered by a plugin of its own."""
    component = Component(**{"name": "odd", "build": build, "traits": Traits(makes="matrix"), **fields})
    found = registry(plugin("textclf_odd", **{f"textclf_{kind}s": lambda: [component]})).find(kind, "odd")
    return Step(kind, found, component.options())


def raising(error: BaseException):
    def fail(*args: object) -> None:
        raise error

    return fail


def message(wrong: Step[object]) -> str:
    with pytest.raises(PluginError) as caught:
        wrong.build()
    return placeless(str(caught.value))


def test_what_a_build_raises_is_the_plugins():
    """P04: plugin, component and method are named, whatever was raised."""
    assert message(step(build=raising(KeyError("x")))) == f"{NAMED}: build() fails: KeyError: 'x'"
    assert message(step(build=raising(SystemExit(3)))) == f"{NAMED}: build() fails: SystemExit: 3"


class Sized(Options):
    size: int = Field(3, ge=1, description="of something")
    version: str = Field("a", description="an option may be called so")

    @classmethod
    def migrate(cls, version, values):
        if version == "":
            raise LookupError("no version")
        return {("size" if key == "width" else key): value for key, value in values.items()}


class Pair(BaseModel):
    model_config = ConfigDict(strict=True)
    low: int = Field(ge=1)
    high: int

    @model_validator(mode="after")
    def ordered(self):
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda options: setattr(options, "size", 5), "Sized: size: Instance is frozen"),
        (
            lambda options: Pair(low=0, high="3"),
            "Pair: low: Input should be greater than or equal to 1; high: Input should be a valid integer",
        ),
        (lambda options: Pair(low=2, high=1), "Pair: Value error, low is above high"),
    ],
)
def test_what_pydantic_says_in_a_plugins_own_code_is_one_line_without_an_address(build, words):
    """P04: each of its messages ends in one of a page of pydantic's."""
    assert message(step(build=build, options=Sized)) == f"{NAMED}: build() fails: ValidationError: {words}"


def test_a_build_that_lacks_its_library_says_how_to_get_it():
    """R15: also where the module is there but cannot be imported."""
    wrong = step(build=raising(ImportError("libcudart.so")), install="torch>=2.10")
    assert message(wrong) == f"{NAMED}: build() fails: ImportError: libcudart.so; pip install 'torch>=2.10'"


def test_errors_of_textclfs_own_pass_through():
    with pytest.raises(DataError, match=r"^the table is empty$"):
        step(build=raising(DataError("the table is empty"))).build()
    with pytest.raises(KeyboardInterrupt):
        step(build=raising(KeyboardInterrupt())).build()
    with pytest.raises(MemoryError):
        step(build=raising(MemoryError())).build()


def test_a_full_disk_is_not_the_plugins_fault():
    full = step(build=raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.raises(ResourceError, match=r"No space left on device; free some space$"):
        full.build()


@pytest.mark.parametrize(
    ("kind", "built", "lacking"),
    [
        ("encoder", 3, "an int without 'fit', 'encode', 'fingerprint', 'save', which the contract of textclf.Encoder"),
        ("trainer", 3.5, "a float without 'train', 'restore', which the contract of textclf.Trainer"),
        ("dataset", {}, "a dict without 'load', which the contract of textclf.DatasetProvider"),
        ("metric", build, "a function without 'greater_is_better', which the contract of textclf.Metric"),
        ("output", "", "a str without 'write', which the contract of textclf.Output"),
    ],
)
def test_what_breaks_its_contract_is_caught_at_the_border(kind, built, lacking):
    """P04: the methods that a contract asks for are looked for as soon as an object is built."""
    wrong = step(kind, build=lambda options: built)
    assert message(wrong) == f"{kind} 'odd' (plugin textclf_odd): build() returns {lacking} requires"


@pytest.mark.parametrize(
    ("kind", "noun"),
    [
        ("dataset", "dataset provider"), ("encoder", "encoder"), ("trainer", "trainer"), ("metric", "metric"),
        ("output", "output"),
    ],
)  # fmt: skip
def test_what_builds_or_restores_nothing_is_told_to_return_it(tmp_path, kind, noun):
    """P04: a `return` that was forgotten is called so."""
    assert message(step(kind, build=lambda options: None)) == (
        f"{kind} 'odd' (plugin textclf_odd): build() returns nothing; return the {noun}"
    )
    with pytest.raises(PluginError) as caught:
        step(kind, restore=lambda options, folder: None).restore(tmp_path)
    assert placeless(str(caught.value)) == (
        f"{kind} 'odd' (plugin textclf_odd): restore() returns nothing; return the {noun}"
    )


def test_traits_of_a_wrong_type_are_caught():
    """P04: traits are Traits."""
    with pytest.raises(PluginError) as caught:
        _ = step(traits=lambda options: {"makes": "matrix"}).traits
    assert placeless(str(caught.value)) == f"{NAMED}: traits() returns a dict, not textclf.Traits"


def test_a_component_without_restore_is_built_anew(tmp_path):
    assert isinstance(step().restore(tmp_path), Built)


def test_restore_is_given_the_folder_and_kept_to_the_contract(tmp_path):
    """P04: restoring is guarded as building is."""
    seen: list[Path] = []

    def restore(options: Options, folder: Path) -> Built:
        seen.append(folder)
        return Built()

    assert isinstance(step(restore=restore).restore(tmp_path), Built)
    assert seen == [tmp_path]
    with pytest.raises(PluginError) as caught:
        step(restore=lambda options, folder: 3).restore(tmp_path)
    assert str(caught.value).startswith(f"{NAMED}: restore() returns an int without 'fit'")
    with pytest.raises(ArtefactError):
        step(restore=raising(ArtefactError("torn"))).restore(tmp_path)


def test_a_saved_step_comes_back():
    plan = plan_of({**SOUND, "encoder": "bert", "trainer": {"use": "net", "epochs": 7}})
    saved = plan.trainer.to_json()
    assert saved["options"]["epochs"] == 7
    assert restored_step("trainer", saved, registry()) == plan.trainer


def test_options_of_an_older_version_are_migrated():
    """C12: a newer plugin reads older models through `migrate`."""
    component = Component(name="sized", build=build, options=Sized, traits=Traits(makes="matrix"))
    offered = registry(plugin("textclf_sized", textclf_encoders=lambda: [component]))
    saved = {"use": "sized", "plugin": "textclf_sized", "version": "0.9", "options": {"width": 5, "version": "b"}}
    restored = restored_step("encoder", saved, offered)
    assert restored.options == Sized(size=5, version="b")
    with pytest.raises(PluginError) as caught:
        restored_step("encoder", {**saved, "version": ""}, offered)
    said = placeless(str(caught.value))
    assert said == "encoder 'sized' (plugin textclf_sized): migrate() fails: LookupError: no version"


def test_a_saved_step_that_the_plugin_cannot_read_names_both_versions():
    """C12: a model saved by a newer plugin has options that an older one does not know."""
    component = Component(name="sized", build=build, options=Sized, traits=Traits(makes="matrix"))
    offered = registry(plugin("textclf_sized", textclf_encoders=lambda: [component]))
    saved = {"use": "sized", "plugin": "textclf_sized", "version": "9.0", "options": {"depth": 5}}
    with pytest.raises(PluginError) as caught:
        restored_step("encoder", saved, offered)
    assert str(caught.value) == (
        "encoder 'sized' (plugin textclf_sized) cannot read its saved options (saved by version 9.0, installed is "
        "unknown): depth: unknown option of encoder 'sized' (plugin textclf_sized) (known: size, version); "
        "its author can translate them in Options.migrate; until then, train again"
    )


def test_a_saved_step_whose_plugin_is_missing_says_what_to_install():
    """C12: the plugin that saved it is named."""
    saved = {"use": "shout", "plugin": "textclf_shout", "version": "1.2", "options": {}}
    with pytest.raises(PluginError) as caught:
        restored_step("encoder", saved, registry())
    assert str(caught.value) == (
        "no encoder is called 'shout' (installed: absent, bert, vectors, words); "
        "it was saved by plugin textclf_shout 1.2: install that plugin"
    )


ABSENT = "encode() fails: ModuleNotFoundError: No module named 'nosuch'"
BRINGS = "install the library that brings 'nosuch'"
PLUGIN = Plugin("odd", "textclf_odd", "textclf-odd", "1.0")


def failing(source: str, plugin: Plugin = PLUGIN, **fields: Any) -> str:
    """Return what is said where a component's `encode` runs the source, without who it was."""
    component: Component[Any, Any] = Component(
        name="odd", build=lambda options: None, traits=Traits(makes="matrix"), **fields
    )
    step: Step[Any] = Step("encoder", Registration("encoder", component, plugin), Options())
    with pytest.raises(PluginError) as caught:
        step.call("encode", lambda: exec(source, {"__name__": "textclf_odd"}))
    said = placeless(str(caught.value)).replace(" (<string>:1)", "")
    return said.removeprefix(f"{step}: ")


def test_a_library_that_is_declared_nowhere_is_named_with_what_brings_it_and_where_to_declare_it() -> None:
    way = f"{BRINGS}, most often by `pip install nosuch`"
    declared = "list it in the component's `needs`, and this is reported before a run"
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
