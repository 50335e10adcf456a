"""What an editor makes of a recipe: completion, descriptions and squiggles, by the real YAML language server."""

from __future__ import annotations

import importlib
import os
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest

from tests.language_server import NODE, NPM, Squiggle, language_server
from tests.packages import ROOT, write_package
from textclf.plugin.discovery import discover
from textclf.recipe.recipe import locate, parse
from textclf.recipe.schema import json_schema, modeline

SERVER = "yaml-language-server@1.25.0"
LINE = modeline("textclf.schema.json")
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/pyproject.toml"))
SHIPPED = sorted(
    path for place in ("plugins/*/recipes", "examples", "examples/*") for path in ROOT.glob(f"{place}/*.yaml")
)
HEAD = f"{LINE}\ndataset: reviews\nencoder: tfidf\n"
TRAINERS = '"linear_svm", "logistic", "naive_bayes", "nbsvm", "torch", "torch_mine", "trees"'
# A trainer whose name begins with that of another.
MINE = """
from textclf import Component, Field, Options
class MineOptions(Options):
    votes: int = Field(7, ge=1, description="how many vote")
def textclf_trainers():
    return [Component(name="torch_mine", summary="lets several vote", build=print, options=MineOptions)]
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_names_its_schema_below_its_opening_comment(path):
    before, line, after = path.read_text("utf-8").partition(f"\n{LINE}\n")
    assert line
    assert all(above.startswith("# ") for above in before.splitlines())
    assert after.startswith("version: 1\n")


@pytest.fixture
def registry(monkeypatch):
    """What is installed, and the example packages."""
    modules = []
    for folder in EXAMPLES:
        monkeypatch.syspath_prepend(folder)
        offered = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["textclf"]
        modules += [importlib.import_module(name) for name in offered.values()]
    return discover(modules)


def test_every_shipped_recipe_is_as_the_schema_has_it(registry):
    validator = jsonschema.Draft202012Validator(json_schema(registry))
    recipes = {path.stem: parse(locate(str(path), registry)).values for path in SHIPPED}
    assert {stem: [error.message for error in validator.iter_errors(recipes[stem])] for stem in recipes} == {
        stem: [] for stem in recipes
    }


@pytest.fixture(scope="session")
def folder(installed, tmp_path_factory):
    """A folder into which somebody who has the example packages and one more copied a recipe."""
    mine = write_package(tmp_path_factory.mktemp("mine"), "textclf_mine", MINE)
    house = installed(*EXAMPLES, mine)
    place = tmp_path_factory.mktemp("recipes")
    found = [str(house.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = house.python("-m", "textclf", "copy", "reviews_minilm", str(place), PYTHONPATH=os.pathsep.join(found))
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="session")
def server(folder, tmp_path_factory):
    if NODE is None or NPM is None:
        pytest.skip("the YAML language server needs node and npm")
    place = tmp_path_factory.mktemp("npm")
    command = [NPM, "install", "--prefix", place, "--no-audit", "--no-fund", "--ignore-scripts", SERVER]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    with language_server(place / "node_modules/yaml-language-server/bin/yaml-language-server", folder) as running:
        yield running


@pytest.mark.slow
def test_the_options_of_the_component_named_are_completed_with_default_and_description(server):
    found = server.completions(HEAD + "trainer:\n  use: torch\n  ba|\nmetrics: [accuracy]\n")
    assert found["batch_size"]["insertText"] == "batch_size: ${1:32}"
    assert found["batch_size"]["documentation"] == "texts in one step of the optimiser"
    assert "epochs" in found
    assert not {"use", "C", "votes", "seed"} & found.keys()


@pytest.mark.slow
def test_the_options_of_a_strangers_plugin_are_completed(server):
    found = server.completions(f"{LINE}\nencoder:\n  use: shout\n  |\n")
    assert found["loudness"]["insertText"] == "loudness: ${1:3}"
    assert found["loudness"]["documentation"] == "how often a word in capitals counts; 1 hears no shouting"
    assert list(server.completions(HEAD + "trainer:\n  use: torch_mine\n  |\n")) == ["votes"]


@pytest.mark.slow
def test_options_inside_an_option_are_completed_and_those_already_there_are_not(server):
    found = server.completions(f"{LINE}\nencoder:\n  use: bert\n  adapt:\n    epochs: 1\n    |\n")
    assert "whole_words" in found
    assert "epochs" not in found


@pytest.mark.slow
@pytest.mark.parametrize("step", ["trainer: |", "trainer:\n  use: |", "trainer:\n  use: to|"])
def test_the_names_of_components_are_completed_with_what_they_are(server, step):
    found = server.completions(f"{HEAD}{step}\n")
    assert ", ".join(f'"{name}"' for name in found) == TRAINERS
    assert found["torch"]["documentation"] == "train a network on tokens, on CUDA where there is one"
    assert found["torch_mine"]["documentation"] == "lets several vote"


@pytest.mark.slow
def test_steps_begin_with_use_and_metrics_with_sound_ones(server):
    found = server.completions(f"{LINE}\nversion: 1\n|\n")
    assert found["encoder"]["insertText"] == "encoder:\n  use: "
    assert found["metrics"]["insertText"] == "metrics:\n  - ${1:accuracy}\n  - ${2:f1_macro}"
    assert found["encoder"]["documentation"] == "what turns texts into features"
    assert "version" not in found


@pytest.mark.slow
@pytest.mark.parametrize("place", ["metrics: [|]", "metrics:\n  - |", "metrics:\n  - use: |", "select: |"])
def test_metrics_are_completed_wherever_one_is_named(server, place):
    found = server.completions(f"{HEAD}{place}\n")
    assert found["f1"]["documentation"] == "harmonic mean of precision and recall"
    assert {"accuracy", "f1_macro", "roc_auc"} < found.keys()


@pytest.mark.slow
def test_the_pointer_shows_what_an_option_and_a_component_are(server):
    option = server.hover(HEAD + "trainer:\n  use: torch\n  batch_s|ize: 3\n")
    assert option.startswith("#### Batch Size\n\ntexts in one step of the optimiser\n")
    step = server.hover(HEAD + "trai|ner:\n  use: torch\n")
    assert step.startswith("#### trainer\n\ntrain a network on tokens, on CUDA where there is one\n")
    named = server.hover(HEAD + "trainer: logi|stic\n")
    assert "\nwhat learns from features\n\nAllowed Values:\n\n* `logistic`: logistic regression\n" in named


WRONG = {
    "trainer:\n  use: torch\n  batch_sise: 3": (5, 2, "batch_sise", "Property batch_sise is not allowed."),
    "trainer:\n  use: torch_mine\n  batch_size: 3": (5, 2, "batch_size", "Property batch_size is not allowed."),
    "trainer:\n  use: torch\n  epochs: many": (5, 10, "many", 'Incorrect type. Expected "number".'),
    "trainer:\n  use: torch\n  lanes: '2'": (5, 9, "'2'", 'Incorrect type. Expected "integer | null".'),
    "trainer:\n  use: torch\n  learning_rate: 20": (5, 17, "20", "Value is above the exclusive maximum of 10."),
    "trainer:\n  use: torch_mine\n  votes: 0": (5, 9, "0", "Value is below the minimum of 1."),
    "trainer:\n  use: troch\n  epochs: 3": (4, 7, "troch", f"Value is not accepted. Valid values: {TRAINERS}."),
    "trainer: logistc": (3, 9, "logistc", f"Value is not accepted. Valid values: {TRAINERS}."),
    "trainer:\n  epochs: 3": (3, 0, "trainer", 'Missing property "use".'),
    "trainer:": (3, 8, "", 'Incorrect type. Expected "object(trainer) | string".'),
    "trianer: logistic": (3, 0, "trianer", "Property trianer is not allowed."),
    "split: {tset: 0.2}": (3, 8, "tset", "Property tset is not allowed."),
    "name: a/b": (
        3, 6, "a/b",
        "must be 1 to 100 letters, digits, '.', '_' and '-', not beginning with '.' or '-', since it names a folder",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG)
def test_exactly_what_is_wrong_is_underlined(server, wrong):
    assert server.squiggles(f"{HEAD}{wrong}\n") == [Squiggle(*WRONG[wrong])]


@pytest.mark.slow
def test_each_of_several_mistakes_is_underlined(server):
    lines = "trainer:\n  use: torch\n  batch_sise: 3\n  epochs: 4\n  warmup: -3\nmetrics: [acuracy, f1]\n"
    assert [found.text for found in server.squiggles(HEAD + lines)] == ["batch_sise", "-3", "acuracy"]


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_nothing_is_underlined_in_a_shipped_recipe(server, path):
    text = path.read_text("utf-8")
    assert server.squiggles(text) == []
    # So much for nothing: the same recipe with a mistake.
    assert [found.text for found in server.squiggles(text + "sed: 3\n")] == ["sed"]


@pytest.mark.slow
def test_a_copied_recipe_is_known_to_the_editor_by_its_schema_alone(server, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["reviews_minilm.yaml", "textclf.schema.json"]
    text = Path(folder / "reviews_minilm.yaml").read_text("utf-8").replace("epochs: 2", "epohcs: 2")
    assert [found.text for found in server.squiggles(text)] == ["epohcs"]
    assert server.squiggles(text.replace(LINE, "#")) == []
