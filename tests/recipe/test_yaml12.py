"""Reading YAML 1.2 with positions, and refusing text that is hostile or means something else."""

from __future__ import annotations

import time

import pytest

from textclf import RecipeError
from textclf.recipe.yaml12 import MAX_BYTES, load, load_value


def refused(text: str | bytes) -> str:
    with pytest.raises(RecipeError) as caught:
        load(text, "r.yaml")
    assert caught.value.exit_code == 2
    return "\n".join(str(problem) for problem in caught.value.problems)


def complaints(text: str) -> list[str]:
    return [str(problem).splitlines()[0] for problem in load(text, "r.yaml").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-5", 2e-5), ("1E3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-0.0", -0.0), ("+3", 3), ("007", 7), ("0o17", 15),
        ("0x1F", 31), ("no", "no"), ("on", "on"), ("yes", "yes"), ("NO", "NO"), ("true", True), ("False", False),
        ("null", None), ("~", None), ("", None), ("'3'", "3"), ('"true"', "true"), ("12:30:00", "12:30:00"),
        ("1_000", "1_000"), ("2026-11-23", "2026-11-23"), ("0b11", "0b11"), ("1.2.3", "1.2.3"), ("<<", "<<"),
        ("=", "="), ("-", [None]), ("[1, {a: b}]", [1, {"a": "b"}]), ("package:NAME/FOLDER", "package:NAME/FOLDER"),
    ],
)  # fmt: skip
def test_scalars_mean_what_yaml_1_2_says(text, value):
    """R08: `2e-5` bare is a number, and `no` is text."""
    read = load_value(text, "value").values
    assert read == value
    assert type(read) is type(value)


def test_values_and_keys_know_where_they_stand():
    document = load("trainer:\n  use: torch\n  sizes: [1, 22]\n", "r.yaml")
    assert str(document.locate(("trainer", "use"))) == "r.yaml:2:8"
    assert str(document.locate(("trainer", "use"), key=True)) == "r.yaml:2:3"
    place = document.locate(("trainer", "sizes", 1))
    assert (str(place), place.text, place.length) == ("r.yaml:3:14", "  sizes: [1, 22]", 2)
    assert document.locate(("trainer", "absent")) is None
    assert document.locate(("trainer", "sizes", 2)) is None


def test_keys_are_text_as_it_is_written():
    assert load("names: {0: negative, 1.0: positive, true: x, null: y}", "r.yaml").values == {
        "names": {"0": "negative", "1.0": "positive", "true": "x", "null": "y"}
    }


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfa: 1\nb: 2\n", b"a: 1\r\nb: 2\r\n", b"a: 1\rb: 2", b"%YAML 1.2\n---\na: 1\nb: 2\n...\n",
        b"# only\n\na: 1\nb: 2 # c",
    ],
)  # fmt: skip
def test_a_byte_order_mark_and_any_line_ends_are_read(data):
    """R11: BOM and CRLF are fine, and positions count from 1 all the same."""
    document = load(data, "r.yaml")
    assert document.values == {"a": 1, "b": 2}
    assert document.locate(("b",)).column == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"\xff\xfe" + "a: 1".encode("utf-16-le"),
            "1:1: byte 0xff at offset 0 is not UTF-8 text; it looks like UTF-16",
        ),
        ("a: 1".encode("utf-16-le"), "1:2: byte 0x00 at offset 1 is not UTF-8 text; it looks like UTF-16"),
        (
            "a: 1\nn: caf\xe9\n".encode("latin-1"),
            "2:7: byte 0xe9 at offset 11 is not UTF-8 text; it looks like Latin-1",
        ),
        (b"name: a\0b\n", "1:8: byte 0x00 at offset 7 is not UTF-8 text"),
    ],
)
def test_other_encodings_are_refused_with_the_offset(data, message):
    """R11: UTF-16 and Latin-1 are named, with the offset of the first byte."""
    assert refused(data) == f"r.yaml:{message}; save it as UTF-8"


def test_a_control_character_is_named():
    assert refused("a: 1\nb: \x1b[31m\n") == "r.yaml:2:4: the control character U+001B is not allowed"


def test_a_duplicate_key_names_both_lines():
    """R02: the problem stands at the second."""
    document = load("seed: 1\nsplit:\n  test: 0.1\n  test: 0.2\nseed: 2\n", "r.yaml")
    assert [str(problem) for problem in document.problems] == [
        "r.yaml:4:3: split.test: the key is given twice, first on line 3\n    4 |   test: 0.2\n      |   ^^^^",
        "r.yaml:5:1: seed: the key is given twice, first on line 1\n    5 | seed: 2\n      | ^^^^",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1\n", "r.yaml:2:1: a tab cannot indent; use spaces\n    2 | \tb: 1\n      | ^"),
        (
            "a: 1\nmetrics: [x, y\nseed: 3\n",
            "r.yaml:2:10: '[' is not closed: expected ',' or ']'\n    2 | metrics: [x, y\n      |          ^",
        ),
        ("a: {b: 1\n", "r.yaml:1:4: '{' is not closed: expected ',' or '}'\n    1 | a: {b: 1\n      |    ^"),
        ("a: 'b\n", "r.yaml:1:4: the quote is never closed\n    1 | a: 'b\n      |    ^"),
        ("a: 1\nseed 3\n", "r.yaml:2:1: a ':' is missing after this key\n    2 | seed 3\n      | ^"),
        (
            "a: b: c\n",
            "r.yaml:1:5: a ':' is not allowed here; check indentation, or quote a text with ': ' in it\n"
            "    1 | a: b: c\n      |     ^",
        ),
        (
            "a: 1\n- b\n",
            "r.yaml:2:1: does not fit what stands before it; check indentation, quotes and commas\n"
            "    2 | - b\n      | ^",
        ),
        (
            "a: @b\n",
            "r.yaml:1:4: a value cannot begin with this character; put the text in quotes\n    1 | a: @b\n      |    ^",
        ),
    ],
)
def test_a_syntax_error_shows_its_line(text, message):
    """R03: tabs, brackets, quotes, colons and indentation, in words for people."""
    assert refused(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r.yaml: is empty; a recipe names at least dataset, encoder and trainer"),
        ("# nothing\n", "r.yaml: is empty; a recipe names at least dataset, encoder and trainer"),
        ("---\n", "r.yaml: is empty; a recipe names at least dataset, encoder and trainer"),
        ("- a\n", "r.yaml:1:1: the top of a recipe is a mapping, such as 'trainer: logistic', not a list"),
        ("hello\n", "r.yaml:1:1: the top of a recipe is a mapping, such as 'trainer: logistic', not a single value"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2:1: a second document begins here; a recipe is one document"),
    ],
)
def test_the_top_is_one_mapping(text, message):
    """R04: empty, a list, a scalar, two documents."""
    assert refused(text).splitlines()[0] == message


def test_tags_are_refused_and_nothing_runs(tmp_path):
    """R05: neither Python's tags nor YAML's own are obeyed."""
    victim = tmp_path / "made"
    text = f"a: !!python/object/apply:os.system ['touch {victim}']\nb: !!str 3\nc: !mine {{x: 1}}\n"
    document = load(text, "r.yaml")
    assert document.values == {"a": None, "b": None, "c": None}
    way = "a recipe holds plain values only; quote text that begins with '!'"
    assert [str(problem).splitlines()[0] for problem in document.problems] == [
        "r.yaml:1:4: a: the tag '!!python/object/apply:os.system' is not allowed; " + way,
        "r.yaml:2:4: b: the tag '!!str' is not allowed; " + way,
        "r.yaml:3:4: c: the tag '!mine' is not allowed; " + way,
    ]
    assert not victim.exists()


def test_a_small_anchor_may_be_used_again():
    document = load("a: &x {b: [1, 2]}\nc: *x\nd: *x\n", "r.yaml")
    assert document.values == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": {"b": [1, 2]}}
    assert document.problems == ()
    assert str(document.locate(("c", "b", 1))) == "r.yaml:1:15"


def test_an_alias_bomb_is_refused_at_once():
    """R06: a billion laughs, and a quadratic blow-up."""
    laughs = 'a0: &a0 ["lol", "lol"]\n'
    laughs += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    began = time.process_time()
    assert "more than 10,000 values, with what aliases repeat" in refused(laughs)
    squared = f"a: &a [{', '.join('x' * 1000)}]\nb: [{', '.join(['*a'] * 1000)}]\n"
    assert "more than 10,000 values, with what aliases repeat" in refused(squared)
    assert time.process_time() - began < 1


def test_a_cycle_and_an_unknown_alias_are_refused():
    """R06: what contains itself is no value."""
    assert complaints("a: &a [1, *a]\nb: *nothing\n") == [
        "r.yaml:1:11: a.1: '*a' contains itself",
        "r.yaml:2:4: b: no anchor '&nothing' stands before this; quote text that begins with '*'",
    ]


@pytest.mark.parametrize("text", ["a: " + "[" * 51 + "]" * 51, "a: " + "{a: " * 20_000, "- " * 51, "? " * 100_000])
def test_deep_nesting_is_refused_at_once(text):
    """R07: more than 50 levels, closed or not."""
    began = time.process_time()
    assert "nests more than 50 levels deep" in refused(text)
    assert time.process_time() - began < 1


def test_aliases_do_not_nest_deeper_than_brackets():
    """R07: depth counts through anchors."""
    chain = "a0: &a0 " + "[" * 40 + "]" * 40 + "\na1: [[[[[[[[[[*a0]]]]]]]]]]\n"
    assert refused(chain).splitlines()[0] == "r.yaml:2:15: a1.0.0: nests more than 50 levels deep"


def test_fifty_levels_are_read():
    assert load("a: " + "[" * 49 + "]" * 49, "r.yaml").problems == ()


def test_a_text_over_256_kib_is_refused_unread():
    """R07: also where its size was not known before."""
    assert refused("a" * (MAX_BYTES + 1)) == "r.yaml: is larger than a recipe may be, 256 KiB"


def test_a_text_of_very_many_values_is_refused_before_it_takes_long():
    """R07: what is read at all is read in about a second."""
    began = time.process_time()
    assert refused("x:\n" + "- {a: 1, b: text}\n" * 14_000).splitlines()[0] == (
        "r.yaml:3334:13: more than 10,000 values, with what aliases repeat; a recipe is no place for data"
    )
    assert time.process_time() - began < 3


@pytest.mark.parametrize("number", ["9" * 5000, "1." + "0" * 5000, "0x" + "f" * 5000, "1e" + "0" * 5000])
def test_a_number_of_5000_digits_is_refused(number):
    """R07: Python would refuse, or take long over, such a number."""
    [complaint] = complaints(f"seed: {number}\n")
    assert complaint.startswith("r.yaml:1:7: seed: is a number of 5,00")
    assert complaint.endswith("characters; at most 100 are read")


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.INF"])
def test_numbers_must_be_finite(text):
    """R08: no not-a-number and no infinity."""
    assert complaints(f"a: {text}\n") == [f"r.yaml:1:4: a: must be a finite number, not {text}"]


def test_a_number_that_overflows_is_not_finite():
    """R08: 1e999 would silently become infinity."""
    assert complaints("a: 1e999\n") == ["r.yaml:1:4: a: must be a finite number, not 1e999"]


def test_half_a_surrogate_pair_and_a_mapping_as_key_are_refused():
    document = load('a: "\\ud800"\n? {b: 1}\n: 2\nc: 3\n', "r.yaml")
    assert document.values == {"a": None, "c": 3}
    assert [str(problem).splitlines()[0] for problem in document.problems] == [
        "r.yaml:1:4: a: contains half of a surrogate pair, which is no character",
        "r.yaml:2:3: a key must be plain text",
    ]


def test_everything_wrong_is_said_at_once_even_before_a_syntax_error():
    assert [line for line in refused("a: .nan\na: 1\nb: [\n").splitlines() if line.startswith("r.yaml")] == [
        "r.yaml:1:4: a: must be a finite number, not .nan",
        "r.yaml:2:1: a: the key is given twice, first on line 1",
        "r.yaml:3:4: '[' is not closed: expected ',' or ']'",
    ]


def test_a_very_long_line_is_not_printed_whole():
    assert len(refused("a: [" + "x, " * 50_000)) < 500
