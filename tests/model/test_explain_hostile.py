"""Spans of an encoder outside of the text end an explanation with the encoder's name."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from tests.model.test_explain import VOCABULARY, Counting, weighing
from tests.places import placeless
from textclf import Classifier, PluginError, Texts

WHOSE = "encoder 'toy_words' (plugin textclf.testing.toy): "
WAY = "; see `textclf.testing.check_plugin(textclf.testing.toy)`"


class Folding(Counting):
    """Looks for words in the folded text, which may be longer."""

    def spans(self, texts: Texts, context: Any) -> list[dict[int, list[tuple[int, int, int]]]]:
        return [
            {
                unit: [(0, *found.span()) for found in re.finditer(rf"\b{word}\b", text.casefold())]
                for unit, word in enumerate(VOCABULARY)
                if word in text.casefold()
            }
            for text in texts.first
        ]


class Telling(Counting):
    """Tells what it is given, for every text, of the word "good"."""

    def __init__(self, *place: Any) -> None:
        self.place = place

    def spans(self, texts: Texts, context: Any) -> Any:
        return [{0: [self.place]} for _ in texts.first]

    def reads(self, texts: Texts, context: Any) -> Any:
        return [[self.place] for _ in texts.first]


def given(toy: Classifier, encoder: Counting) -> Classifier:
    return dataclasses.replace(weighing(toy), encoder=encoder)


def test_words_found_in_a_longer_text_than_the_one_that_is_explained_are_the_encoders_fault(toy: Classifier):
    (told,) = given(toy, Folding()).explain("Grosser film, good plot")
    assert [word.text for word in told.words if word.contribution] == ["good", "plot"]
    with pytest.raises(PluginError) as error:
        given(toy, Folding()).explain("Gro\u00dfer \u1e9e \u00df\u00df\u00df good plot")
    said = "spans returns (0, 23, 27), outside of a text of 22 characters"
    assert placeless(str(error.value)) == f"{WHOSE}{said}{WAY}"


@pytest.mark.parametrize("method", ["auto", "occlusion"])
@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ((0, 4, 2), "(0, 4, 2), outside of a text of 9 characters"),
        ((0, -1, 2), "(0, -1, 2), outside of a text of 9 characters"),
        ((0, 5, 10), "(0, 5, 10), outside of a text of 9 characters"),
        ((1, 0, 4), "(1, 0, 4), where there is no text 1"),
        ((-1, 0, 4), "(-1, 0, 4), where there is no text -1"),
    ],
)
def test_places_outside_of_the_text_or_turned_round_name_the_encoder(
    toy: Classifier,
    method: str,
    place: Any,
    fault: str,
):
    with pytest.raises(PluginError) as error:
        given(toy, Telling(*place)).explain("good plot", method=method)
    by = "reads" if method == "occlusion" else "spans"
    assert placeless(str(error.value)) == f"{WHOSE}{by} returns {fault}{WAY}"


def test_an_encoder_that_makes_no_tokens_owes_no_reason_for_deleting_words(toy: Classifier):
    (told,) = toy.explain("dabe fine")
    assert (told.method, told.why) == ("occlusion", "")
