"""`--set`: its grammar, its errors, and what it does to a recipe."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.recipe.test_recipe import TEXT, lines
from tests.recipe.test_recipe import read as read_recipe
from textclf.recipe.overrides import read

_TAG = "the tag '{}' is not allowed; a recipe holds plain values only; quote text that begins with '!'"

_END = "expected alphabetic or numeric character, but found '\\x00'"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("!", _TAG.format("!")),
        ("!don't", _TAG.format("!don't")),
        ("!!int 3", _TAG.format("!!int")),
        ("&", f"while scanning an anchor: {_END}; put text in quotes"),
        ("*a", "no anchor '&a' stands before this; quote text that begins with '*'"),
        ("#1", "is only a comment; put text that begins with '#' in quotes"),
        (",", "a value is missing here, or begins with a character that needs quotes"),
        ("@home", "a value cannot begin with this character; put the text in quotes"),
    ],
)
def test_a_text_that_begins_with_a_mark_of_yaml_gets_a_hint_how_to_type_it(text, says):
    overrides, (problem,) = read([f"encoder.signs={text}"])
    assert overrides == []
    assert problem.message.startswith(f"{says}, as in ")
    typed = problem.message.removeprefix(f"{says}, as in ")
    show = [sys.executable, "-c", "import sys; sys.stdout.write(sys.argv[1])"]
    heard = subprocess.run(["sh", "-c", f'"$@" {typed}', "sh", *show], capture_output=True, text=True, check=True)
    (override,), problems = read([heard.stdout])
    assert (override.path, override.value, problems) == (("encoder", "signs"), text, [])


def test_what_to_type_is_in_quotes_of_the_shell_around_those_of_yaml():
    _, (problem,) = read(["encoder.signs=!"])
    assert problem.message == f"""{_TAG.format("!")}, as in 'encoder.signs="!"'"""


def test_what_is_no_text_gets_no_such_hint():
    _, (problem,) = read(["seed=[1"])
    assert problem.message == "'[' is not closed: expected ',' or ']'"


@pytest.mark.parametrize(
    ("flag", "path", "value"),
    [
        ("seed=3", ["seed"], 3),
        ("seeds=[1, 2]", ["seeds"], [1, 2]),
        ("trainer.epochs=2e-5", ["trainer"], {"use": "linear", "epochs": 2e-5}),
        ("encoder.max_length=128", ["encoder"], {"use": "words", "max_length": 128}),
        ("trainer=bayes", ["trainer"], "bayes"),
        ("trainer.use=bayes", ["trainer"], {"use": "bayes"}),
        ("trainer={use: net, epochs: 3}", ["trainer"], {"use": "net", "epochs": 3}),
        ("split.limit=2000", ["split"], {"limit": 2000}),
        ("metrics.0=f1_macro", ["metrics"], ["f1_macro"]),
        ("metrics.0.draws=3", ["metrics"], [{"use": "accuracy", "draws": 3}]),
        ("gates.accuracy=0.9", ["gates"], {"accuracy": 0.9}),
        ("dataset.path=a=b c.csv", ["dataset"], {"use": "rows", "path": "a=b c.csv"}),
        ("select=", ["select"], None),
        ("name=no", ["name"], "no"),
    ],
)
def test_a_flag_sets_one_value(flag, path, value):
    found = read_recipe(TEXT, flag).values
    for step in path:
        found = found[step]
    assert found == value


def test_flags_apply_from_general_to_special_and_the_last_of_equals_wins():
    recipe = read_recipe(TEXT, "trainer.epochs=1", "trainer.use=net", "trainer.epochs=2", "trainer=linear")
    assert recipe.values["trainer"] == {"use": "net", "epochs": 2}


def test_naming_another_component_drops_the_options_of_the_first():
    text = TEXT.replace("  use: linear\n", "  use: linear\n  strength: 3\n")
    assert read_recipe(text, "trainer.use=net").values["trainer"] == {"use": "net"}
    assert read_recipe(text, "trainer.use=linear").values["trainer"] == {"use": "linear", "strength": 3}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("trainer.epochs", "--set trainer.epochs: write KEY=VALUE, such as trainer.epochs=1"),
        ("=3", "--set =3: write KEY=VALUE, such as trainer.epochs=1"),
        ("a..b=3", "--set a..b=3: write KEY=VALUE, such as trainer.epochs=1"),
        ("sed=3", "--set sed=3: sed: unknown key of a recipe; did you mean 'seed'?"),
        ("nowhere.x=3", "--set nowhere.x=3: nowhere: unknown key of a recipe"),
        ("split.tset=3", "--set split.tset=3: split.tset: unknown key of 'split'; did you mean 'test'?"),
        ("seed.x=3", "--set seed.x=3: seed.x: 'seed' is a single value, which has nothing below it"),
        ("metrics.7=f1", "--set metrics.7=f1: metrics.7: 'metrics' is a list of 1, which has no entry '7'"),
        ("metrics.a=f1", "--set metrics.a=f1: metrics.a: 'metrics' is a list of 1, which has no entry 'a'"),
        ("seed=-1", "--set seed=-1: seed: must be at least 0, not -1"),
        ("seed=[1", "--set seed=[1: seed: '[' is not closed: expected ',' or ']'"),
        ("seed=.inf", "--set seed=.inf: seed: must be a finite number, not .inf"),
        ("seed=!!int 3", "--set seed=!!int 3: seed: the tag '!!int' is not allowed; a recipe holds plain values only"),
        ("name=#x", "--set name=#x: name: is only a comment; put text that begins with '#' in quotes"),
        (
            "dataset.sep=,",
            "--set dataset.sep=,: dataset.sep: a value is missing here, or begins with a character that needs quotes",
        ),
        ("split={a: 1, a: 2}", "--set split={a: 1, a: 2}: split.a: the key is given twice, first on line 1"),
    ],
)
def test_a_flag_with_a_wrong_path_or_form_is_named(flag, message):
    """R14: the message begins with the flag as it was typed."""
    found = [line for line in lines(read_recipe("seed: 1\nmetrics: [accuracy]\n", flag)) if line.startswith(message)]
    assert len(found) == 1


def test_a_flag_that_corrects_a_value_leaves_no_problem():
    assert lines(read_recipe("seed: .nan\n", "seed=3")) == ["r.yaml:1:7: seed: must be a finite number, not .nan"]
    assert lines(read_recipe("seed: -3\n", "seed=3")) == []
