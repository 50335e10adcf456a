"""Words are where readers see them, in any script, and a text without some of them is still a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import HOSTILE
from textclf.model.explain import without, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, it’s well-made!", ["Don't", "stop", ",", "it’s", "well", "-", "made", "!"]),
        ("'tis '' x_1", ["'", "tis", "'", "'", "x_1"]),
        ("日本の good", ["日", "本", "の", "good"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("e\u0301te\u0301 \u00e9", ["e\u0301te\u0301", "\u00e9"]),
        ("👩‍👩‍👧 ❤️ok", ["👩‍👩‍👧", "❤️", "ok"]),
        ("a\x00b\u202ec\u200bd", ["a", "b", "c", "d"]),
        (" \n\u2028", []),
    ],
)
def test_words_are_runs_of_letters_with_their_marks_and_every_other_visible_character(text: str, words: list[str]):
    assert [text[start:end] for start, end in words_of(text)] == words


@given(st.text())
def test_words_stand_in_order_and_everything_between_them_is_invisible(text: str):
    at = 0
    for start, end in words_of(text):
        assert at <= start < end <= len(text)
        assert not any(char.isalnum() for char in text[at:start])
        at = end
    assert not any(char.isalnum() for char in text[at:])


def test_a_word_is_deleted_with_the_space_that_would_be_left_over():
    text = "a good film , bad"
    assert [without(text, [each]) for each in words_of(text)] == [
        "good film , bad", "a film , bad", "a good , bad", "a good film bad", "a good film , ",
    ]  # fmt: skip
    assert without(text, words_of(text)) == ""
    assert without("well-made", [(4, 5)]) == "wellmade"


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_without_all_of_its_words_a_hostile_text_has_none(text: str):
    assert words_of(without(text, words_of(text))) == []
