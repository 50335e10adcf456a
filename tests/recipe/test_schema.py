"""The JSON Schema of recipes: what an editor accepts is what a plan accepts."""

from __future__ import annotations

import json

import jsonschema
import pytest
from pydantic import ConfigDict

from tests.sample import SOUND, build, plugin, registry
from textclf import Component, Field, Options, Traits
from textclf.plugin.discovery import discover
from textclf.recipe.plan import make_plan
from textclf.recipe.recipe import locate, parse
from textclf.recipe.schema import json_schema


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(json.dumps(json_schema(registry())))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    "recipe",
    [
        SOUND,
        {**SOUND, "version": 1, "name": "x", "seed": 3, "seeds": [1, 2], "clean": ["nfc"], "gates": {"accuracy": 0.9}},
        {**SOUND, "dataset": {"use": "files", "path": "a.csv", "columns": ["a"]}, "outputs": ["card", {"use": "card"}]},
        {**SOUND, "trainer": {"use": "net", "layers": [{"width": 3}], "device": None, "schedule": "cosine"}},
        {**SOUND, "split": {"test": 0.3, "folds": None}, "decide": {"threshold": "tuned"}},
        {**SOUND, "metrics": [{"use": "accuracy"}, "roc_auc"], "select": "roc_auc"},
    ],
)
def test_a_sound_recipe_is_valid(validator, recipe):
    assert [error.message for error in validator.iter_errors(recipe)] == []


@pytest.mark.parametrize(
    "recipe",
    [
        {**SOUND, "sed": 3},
        {**SOUND, "version": 2},
        {**SOUND, "name": "../x"},
        {**SOUND, "seed": -1},
        {**SOUND, "clean": ["html_break"]},
        {**SOUND, "split": {"tset": 0.1}},
        {**SOUND, "gates": {"acuracy": 0.9}},
        {**SOUND, "select": "acuracy"},
        {**SOUND, "encoder": "brt"},
        {**SOUND, "encoder": ["words"]},
        {**SOUND, "encoder": "linear"},
        {**SOUND, "encoder": {"use": "brt"}},
        {**SOUND, "dataset": "files"},
        {**SOUND, "dataset": {"use": "files"}},
        {**SOUND, "trainer": {"batch_size": 3}},
        {**SOUND, "trainer": {"use": "net", "batch_sise": 3}},
        {**SOUND, "trainer": {"use": "net", "learning_rate": -1}},
        {**SOUND, "trainer": {"use": "net", "layers": [{"widht": 3}]}},
        {**SOUND, "trainer": {"use": "linear", "batch_size": 3}},
        {**SOUND, "metrics": []},
        {**SOUND, "metrics": ["acuracy"]},
    ],
)
def test_a_misspelt_or_senseless_recipe_is_not(validator, recipe):
    assert not validator.is_valid(recipe)


def test_editors_see_descriptions_defaults_and_summaries():
    class Loud(Options):
        loudness: int = Field(1, description="how")

    traits = Traits(makes="matrix")
    component = Component(name="shout", summary="counts words loudly", build=build, options=Loud, traits=traits)
    schema = json_schema(registry(plugin("textclf_shout", textclf_encoders=lambda: [component])))
    shout = schema["$defs"]["encoder.shout"]
    assert shout["description"] == "counts words loudly"
    assert shout["properties"]["use"] == {"const": "shout"}
    named = schema["$defs"]["encoder"]["properties"]["use"]
    assert named["enumDescriptions"][named["enum"].index("shout")] == "counts words loudly"
    assert shout["properties"]["loudness"]["default"] == 1
    assert shout["properties"]["loudness"]["description"] == "how"
    assert schema["properties"]["seed"]["description"] == "seed of training; the split has its own"


class Tree(Options):
    """Options that hold themselves."""

    name: str = Field("", description="of the node")
    children: tuple[Tree, ...] = Field((), description="nodes below")


def test_options_that_hold_themselves_and_names_offered_twice_make_a_valid_schema():
    tree = Component(name="tree", build=build, options=Tree, traits=Traits(makes="matrix"))
    twice = Component(name="words", build=build, traits=Traits(makes="matrix"))
    schema = json_schema(registry(plugin("textclf_tree", textclf_encoders=lambda: [tree, twice])))
    validator = jsonschema.Draft202012Validator(schema)
    below = {"name": "a", "children": [{"children": []}]}
    assert validator.is_valid({**SOUND, "encoder": {"use": "tree", "children": [below]}})
    assert not validator.is_valid({**SOUND, "encoder": {"use": "tree", "children": [{"nmae": "a"}]}})
    assert not validator.is_valid({**SOUND, "encoder": "words"})


def test_defaults_are_written_as_a_recipe_says_them():
    assert json_schema(registry())["properties"]["metrics"]["default"] == ["accuracy", "f1_macro"]


class Awkward(Options):
    model_config = ConfigDict(json_schema_extra={"secret": object()})

    level: int = Field(1, description="of awkwardness")


def test_options_without_a_schema_leave_the_rest_as_it_is():
    component = Component(name="awkward", build=build, options=Awkward, traits=Traits(makes="matrix"))
    schema = json_schema(registry(plugin("textclf_awkward", textclf_encoders=lambda: [component])))
    validator = jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))
    assert validator.is_valid({**SOUND, "encoder": {"use": "awkward", "level": 2}})
    assert not validator.is_valid({**SOUND, "encoder": {"use": "awkard"}})


@pytest.mark.parametrize("stem", sorted(discover().recipes))
def test_every_bundled_recipe_is_valid_and_can_be_planned(stem):
    installed = discover()
    recipe = parse(locate(stem, installed))
    jsonschema.Draft202012Validator(json_schema(installed)).validate(recipe.values)
    assert make_plan(recipe, installed).settings.name == stem
