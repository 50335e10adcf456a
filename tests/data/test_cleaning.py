"""Cleaning, the normal form by which texts count as equal, and digests."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textclf import Texts
from textclf.data.cleaning import CLEANERS, clean, normal_form, normal_key, strings_digest, texts_digest, whole
from textclf.testing.samples import HOSTILE

ANY = st.text(st.characters(), max_size=30)


def cleaned(text: str, *steps: str) -> str:
    return clean(Texts([text]), steps).first[0]


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("html_breaks", "good<br /><BR>bad< br/ >x", "good  bad x"),
        ("html_tags", "<b>good</b> 1 < 2 > 1", " good  1 < 2 > 1"),
        ("html_entities", "Tom &amp; J&eacute;r&#244;me", "Tom & Jérôme"),
        ("urls", "see https://a.b/c?d or www.e.f now", "see   or   now"),
        ("whitespace", " a \t\r\n b\u00a0c ", "a b c"),
        ("nfc", "e\u0301", "\u00e9"),
        ("nfkc", "\ufb01ne", "fine"),
        ("lowercase", "GOOD", "good"),
    ],
)
def test_each_cleaning_step_does_what_its_name_says(step: str, before: str, after: str) -> None:
    assert cleaned(before, step) == after


def test_steps_apply_in_their_order_to_both_texts_of_a_pair() -> None:
    texts = clean(Texts(["A<br>"], [" B&lt;br&gt; "]), ["html_entities", "html_breaks", "whitespace"])
    assert (texts.first, texts.second) == (["A"], ["B"])


def test_a_lone_surrogate_is_replaced_since_no_encoder_can_read_it() -> None:
    """D11: lone surrogates are ok; whole pairs stay."""
    assert cleaned("a\ud800b\udfff") == "a\ufffdb\ufffd"
    assert whole("\U0001f600 NA\x00") == "\U0001f600 NA\x00"


@given(ANY)
def test_whatever_is_cleaned_can_be_written_as_utf_8(text: str) -> None:
    assert cleaned(text, *CLEANERS).encode("utf-8").decode("utf-8") == cleaned(text, *CLEANERS)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_go_through_every_step(text: str) -> None:
    """D11: NUL, zero-width and right-to-left marks and their like."""
    assert isinstance(cleaned(text, *CLEANERS), str)


@pytest.mark.parametrize("text", ["<br" + " " * 2_000_000, "<" * 500_000, "<a" * 500_000, "word " * 1_000_000])
def test_ten_million_characters_are_cleaned_in_seconds(text: str) -> None:
    """D12: one text of 10 MB; no pattern may try its parts again and again."""
    began = time.process_time()
    cleaned(text, "html_breaks", "html_tags", "urls", "whitespace")
    assert time.process_time() - began < 5


def test_texts_are_equal_after_folding_case_compatibility_and_space() -> None:
    assert normal_form("  The \ufb01lm\u00a0was\tSTRASSE ") == normal_form("the film was stra\u00dfe")
    assert normal_form("caf\u00e9") == normal_form("CAFE\u0301")
    assert normal_form("good") != normal_form("good!")


@given(ANY)
@settings(max_examples=300)
def test_the_normal_form_is_its_own_normal_form(text: str) -> None:
    once = normal_form(text)
    assert normal_form(once) == once
    assert normal_form(f" {text}\n") == once


def test_a_pair_is_another_text_than_its_halves_together() -> None:
    assert len({normal_key("a b"), normal_key("a", "b"), normal_key("a b", ""), normal_key("b", "a")}) == 4
    assert normal_key("A", " b") == normal_key("a", "B")


def test_digests_tell_where_one_text_ends() -> None:
    assert texts_digest(Texts(["ab", "c"])) != texts_digest(Texts(["a", "bc"]))
    assert texts_digest(Texts(["a"], ["b"])) != texts_digest(Texts(["a", "b"]))
    assert strings_digest(["ab", ""]) != strings_digest(["a", "b"])
    assert texts_digest(Texts(("a", "b"))) == texts_digest(Texts(["a", "b"]))
