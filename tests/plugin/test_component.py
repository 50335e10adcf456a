"""Components: which options, names and needs are refused, and the line of a plugin's error."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from tests.culprits.making import WORDS
from tests.sample import SAMPLE, SOUND, build, complaints, plan_of, plugin, registry
from tests.single_files import SHAPE, write
from tests.toys import BOTH, recipe
from textclf import Component, Engine, Field, NoOptions, Options, PluginError, Traits
from textclf.model.folder import restored_step
from textclf.plugin.component import failing_line
from textclf.plugin.discovery import discover
from textclf.recipe.schema import Option, fragment, json_schema, options_of
from textclf.testing import check_component, toy
from textclf.testing.toy import ToyWords, WordsOptions, restore_words

ODD = """\
from textclf import Component, Field, Options, Traits
{before}
class OddOptions(Options):
    {settings}
    size: {kind} = Field(1, ge=0, description="how many"{more})
{after}
def textclf_encoders():
    traits = Traits(makes="matrix")
    return [Component(name="odd", summary="is odd", build=lambda options: None, options=OddOptions, traits=traits)]
"""


def written(kind: str = "int", *, before: str = "", settings: str = "", more: str = "", after: str = "") -> str:
    """Write a plugin file with such options, and return its path."""
    source = ODD.format(kind=kind, before=before, settings=settings, more=more, after=after)
    Path("odd.py").write_text(source)
    return "odd.py"


def reason(file: str) -> str:
    (found,) = discover([file], entry_points=False).plugins
    return found.error


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_options_of_a_type_that_is_nowhere_break_their_plugin_by_the_name_of_the_type() -> None:
    assert reason(written("'Undefined'")) == (
        "textclf_encoders() offers 'odd' with options that are not fully defined: "
        "PydanticUndefinedAnnotation: name 'Undefined' is not defined"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "'Later'", "after": "Later = int"},
        {"kind": "int", "settings": "model_config = {'defer_build': True}"},
    ],
    ids=["defined below", "made when first used"],
)
def test_options_that_pydantic_completes_later_are_sound(options: dict[str, str]) -> None:
    (offer,) = discover([written(**options)], entry_points=False).registrations
    assert [option.type for option in options_of(offer.component)] == ["whole number"]


def test_a_plugin_whose_options_have_no_schema_is_shown_and_costs_the_schema_of_no_other() -> None:
    before = "def bad(schema):\n    raise KeyError('schema')\n"
    file = written(before=before, more=", json_schema_extra=bad, alias='length'")
    found = discover([file, SAMPLE], entry_points=False)
    component = found.find("encoder", "odd").component
    assert options_of(component) == [Option("length", "see the plugin", "1", "", "how many", False)]
    assert fragment("encoder", component) == "encoder:\n  use: odd\n  # length: 1"
    more = json_schema(found)["$defs"].keys() - json_schema(registry())["$defs"].keys()
    assert more == {"encoder.odd"}


@pytest.mark.parametrize("need", ["scikit-learn", "", ".numpy", "numpy.", "numpy>=2"])
def test_a_need_that_no_import_is_called_breaks_its_plugin_and_both_names_are_told_apart(need: str) -> None:
    component: Component[Any, Any] = Component(name="odd", build=build, needs=("json", need))
    (found,) = discover([plugin("textclf_odd", textclf_encoders=lambda: [component])], entry_points=False).plugins
    assert found.error == (
        f"textclf_encoders() offers 'odd', which needs '{need}', and no module has such a name; "
        f"name what is imported, such as 'sklearn', and what pip installs, 'scikit-learn', as `install`"
    )


SOURCE = """\
from textclf import Field, Options
class WordsOptions(Options):
    {name}: str = Field("a", description="an option")
def textclf_encoders():
    return []
"""


@pytest.mark.parametrize("name", ["migrate", "copy", "json", "schema", "validate", "model_dump", "register"])
def test_an_option_that_hides_what_every_options_has_breaks_its_plugin_and_pydantic_warns_nobody(tmp_path, name):
    file = tmp_path / "hiding.py"
    file.write_text(SOURCE.format(name=name))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        (found,) = discover([file], entry_points=False).plugins
    assert warned == []
    assert found.error == (
        f"fails at import (line 2): TypeError: an option of WordsOptions cannot be called '{name}', as something of "
        f"textclf.Options is; write {name}_: ... = Field(..., alias='{name}'), and recipes say '{name}' all the same"
    )


def test_settings_and_class_variables_of_options_are_no_options():
    class Named(NoOptions):
        model_config = {"title": "named"}  # noqa: RUF012 - it is how pydantic asks for it
        copy: ClassVar[str] = "of the class"

    assert Named.model_fields == {}
    assert Named.copy == "of the class"


class Renamed(WordsOptions):
    copy_: int = Field(2, ge=1, le=9, alias="copy", description="how often each feature is there")


def test_an_option_with_such_an_alias_passes_the_kit():
    class Copying(ToyWords):
        def encode(self, texts, context):
            import numpy as np

            return np.tile(super().encode(texts, context), self.options.copy_)

    def restore(options, folder):
        return Copying(options, restore_words(options, folder).weights)

    findings = check_component(replace(WORDS, options=Renamed, build=Copying, restore=restore), "encoder", {"copy": 3})
    assert [str(finding) for finding in findings if finding.state == "failed"] == []
    without = "options.migrate"  # it has none of its own
    about = [finding for finding in findings if finding.clause.id.startswith("options.")]
    assert {finding.state for finding in about if finding.clause.id != without} == {"passed"}


def test_an_option_with_such_an_alias_is_said_in_recipes_and_comes_back_from_a_model():
    component = Component(name="twice", options=Renamed, build=build, traits=Traits(makes="matrix", tasks=BOTH))
    ours = plugin("ours", textclf_encoders=lambda: [component])
    step = plan_of({**SOUND, "encoder": {"use": "twice", "copy": 4}}, ours).encoder
    assert step.to_recipe()["copy"] == 4
    assert restored_step("encoder", step.to_json(), registry(ours)).options == step.options
    assert complaints({**SOUND, "encoder": {"use": "twice", "copi": 4}}, ours) == [
        "encoder.copi: unknown option of encoder 'twice' (plugin ours); did you mean 'copy'?"
    ]


def test_an_alias_cannot_be_use_either():
    class Using(Options):
        use_: str = Field("a", alias="use", description="how")

    ours = plugin("ours", textclf_encoders=lambda: [Component(name="x", options=Using, build=build)])
    (found,) = discover([ours], entry_points=False).plugins
    assert found.error == (
        "textclf_encoders() offers 'x' with an option called 'use', which in a recipe names the component"
    )


PACKAGE = {
    "textclf_own/__init__.py": "from textclf_own import inner\n\ndef build(options):\n    return inner.made(options)\n",
    "textclf_own/inner.py": "import json\n\ndef made(options):\n    return json.loads(options)\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name, source in PACKAGE.items():
        write(tmp_path / name, source)
    monkeypatch.syspath_prepend(tmp_path)
    import textclf_own

    for name in ("textclf_own", "textclf_own.inner"):
        monkeypatch.delitem(sys.modules, name)
    return textclf_own


def raised(function, *given) -> BaseException:
    with pytest.raises(BaseException) as caught:
        function(*given)
    return caught.value


def test_the_line_is_the_last_one_of_the_plugin_and_not_of_a_library_it_calls(package):
    error = raised(package.build, "{")
    assert isinstance(error, json.JSONDecodeError)
    for module in ("textclf_own", "textclf_own.inner", "textclf_own:Door"):
        assert failing_line(error, module) == " (inner.py:4)"


@pytest.mark.parametrize("module", ["textclf_own", "textclf", "", None])
def test_code_of_others_has_no_line(module):
    assert failing_line(raised(json.loads, "{"), module) == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("def fingerprint(self):", "def fingerprint(self):\n        1 / 0",
         "fingerprint() fails: ZeroDivisionError: division by zero (mine.py:24)"),
        ("texts.first]", "texts.first[1:]]", "encode returned 31 rows of features for 32 texts"),
        ("def fingerprint(self):", "def fingerprint(self):\n        return 3",
         "fingerprint returned an int, not a str"),
        ("build=Shape,", "build=lambda options: 3,",
         "build() returns an int without 'fit', 'encode', 'fingerprint', 'save', which the contract of "
         "textclf.Encoder requires"),
    ],
)  # fmt: skip
def test_an_error_in_a_run_names_plugin_and_method_and_the_line_that_raised_it(tmp_path, monkeypatch, old, new, words):
    """P04: the line in the plugin's file follows what went wrong, before the hint."""
    monkeypatch.chdir(tmp_path)
    write("mine.py", SHAPE.replace(old, new))
    with pytest.raises(PluginError) as caught:
        Engine(plugins=[toy, "mine.py"], entry_points=False, cache="cache").run(recipe(encoder="shape"))
    hint = "see `textclf --plugin mine.py plugins check shape`"
    assert str(caught.value) == f"encoder 'shape' (plugin mine.py): {words}; {hint}"
