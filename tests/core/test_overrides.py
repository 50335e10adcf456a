"""What `--set` says of a text that YAML reads as something else, and that what it says to type works in a shell."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
def test_a_text_that_begins_with_a_mark_of_yaml_is_told_how_to_be_typed(text, says):
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


def test_what_is_no_text_is_not_told_to_be_one():
    _, (problem,) = read(["seed=[1"])
    assert problem.message == "'[' is not closed: expected ',' or ']'"
