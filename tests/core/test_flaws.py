"""Components with options or needs that cannot be: their plugin is broken, with the reason and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from textclf import Component
from textclf.plugin.discovery import discover
from textclf.recipe.schema import Option, fragment, json_schema, options_of

from .sample import SAMPLE, build, plugin, registry

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
    return found.reason


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
    (offer,) = discover([written(**options)], entry_points=False).offers
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
    assert found.reason == (
        f"textclf_encoders() offers 'odd', which needs '{need}', and no module can be called so; "
        f"name what is imported, such as 'sklearn', and what pip installs, 'scikit-learn', as `install`"
    )
