"""What an option may be called: nothing that every Options has already, but by an alias."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import ClassVar

import pytest

from tests.core.sample import SOUND, build, complaints, plan_of, plugin, registry
from tests.core.toys import BOTH
from tests.culprits.making import WORDS
from textclf import Component, Field, NoOptions, Options, Traits
from textclf.model.folder import restored_step
from textclf.plugin.discovery import discover
from textclf.testing import check_component
from textclf.testing.toy import ToyWords, WordsOptions, restore_words

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
    assert found.reason == (
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
    assert found.reason == (
        "textclf_encoders() offers 'x' with an option called 'use', which in a recipe names the component"
    )
