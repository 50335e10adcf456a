"""Explanations: contributions of words, in any script."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import HOSTILE
from tests.toys import engine, recipe
from textclf import (
    Attributions,
    Classifier,
    DataError,
    Explanation,
    Explanations,
    Labels,
    PluginError,
    RecipeError,
    Texts,
)
from textclf.model.explain import without, words_of

VOCABULARY = {"good": 2.0, "bad": -3.0, "not": -0.5, "plot": 0.25}
BIAS = 0.75


class Counting:
    """Counts known words and the pairs of known words that follow each other, and tells where they are."""

    def fit(self, train: Any, context: Any) -> None: ...
    def save(self, folder: Path) -> None: ...
    def fingerprint(self) -> str:
        return ""

    def encode(self, texts: Texts, context: Any) -> np.ndarray:
        return np.array([[len(places.get(unit, ())) for unit in range(4)] for places in self.spans(texts, context)])

    def spans(self, texts: Texts, context: Any) -> list[dict[int, list[tuple[int, int, int]]]]:
        found: list[dict[int, list[tuple[int, int, int]]]] = []
        for row in range(len(texts)):
            places: dict[int, list[tuple[int, int, int]]] = {}
            for part, column in enumerate((texts.first, texts.second or [""] * len(texts))):
                for start, end in words_of(column[row]):
                    word = column[row][start:end].lower()
                    if word in VOCABULARY:
                        places.setdefault(list(VOCABULARY).index(word), []).append((part, start, end))
            found.append(places)
        return found


class Weighing:
    """Two labels, whose log-odds are linear in the counts."""

    explains_by = "exact"

    def __init__(self, **wrong: float) -> None:
        self.wrong = wrong

    def save(self, folder: Path) -> None: ...
    def scores(self, features: Any, context: Any) -> np.ndarray:
        odds = features @ np.array(list(VOCABULARY.values())) + BIAS
        return np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], axis=1).astype(np.float32)

    def attributions(self, features: Any, columns: Any, context: Any) -> list[Attributions]:
        found = []
        for row, column in zip(features, columns, strict=True):
            sign = 1 if column else -1
            units = np.flatnonzero(row)
            values = sign * row[units] * np.array(list(VOCABULARY.values()))[units]
            found.append(Attributions(units, values, sign * BIAS + values.sum(), sign * BIAS, "log-odds", "nothing"))
        return [dataclasses.replace(each, **self.wrong) for each in found]


def weighing(toy: Classifier, **wrong: float) -> Classifier:
    labels = Labels(("bad", "good"))
    return dataclasses.replace(toy, labels=labels, encoder=Counting(), model=Weighing(**wrong))  # type: ignore[arg-type]


def contributions(explanation: Explanation) -> dict[str, float]:
    return {word.text: word.contribution for word in explanation.words}


def test_a_linear_model_is_explained_by_its_own_weights(toy: Classifier):
    (told,) = weighing(toy).explain(["Good plot, not bad"])
    assert contributions(told) == {"Good": -2.0, "plot": -0.25, ",": 0.0, "not": 0.5, "bad": 3.0}
    assert [word.text for word in told.words if not word.seen] == [","]
    assert [word.text for word in told.top(2)] == ["bad", "Good"]
    assert (told.label, told.method, told.logit, told.baseline, told.remainder) == ("bad", "exact", 0.5, -0.75, 0.0)
    assert told.score == pytest.approx(1 / (1 + math.exp(-0.5)), abs=1e-6)
    assert abs(told.error) < 1e-12
    (other,) = weighing(toy).explain("Good plot, not bad", "good")
    assert contributions(other) == {word: -value for word, value in contributions(told).items()}


def test_a_word_that_occurs_twice_shares_what_its_feature_contributed(toy: Classifier):
    (told,) = weighing(toy).explain(["good bad good"], "good")
    assert [word.contribution for word in told.words] == [2.0, -3.0, 2.0]


def test_the_text_is_explained_as_it_is_after_cleaning(toy: Classifier):
    cleaning = dataclasses.replace(weighing(toy), cleaning=("html_breaks", "nfc", "whitespace"))
    (told,) = cleaning.explain(["cafe\u0301<br />  good"], "good")
    assert told.text == "caf\u00e9 good"
    assert [(word.text, word.start, word.end, word.contribution) for word in told.words] == [
        ("caf\u00e9", 0, 4, 0.0), ("good", 5, 9, 2.0),
    ]  # fmt: skip


def test_both_texts_of_a_pair_are_explained(toy: Classifier):
    pairs = dataclasses.replace(weighing(toy), pairs=True)
    for method in ("exact", "occlusion"):
        (told,) = pairs.explain(["a plot"], "good", ["so bad"], method=method)
        assert (told.text, told.pair) == ("a plot", "so bad")
        assert [(word.text, word.part) for word in told.words] == [("a", 0), ("plot", 0), ("so", 1), ("bad", 1)]
        assert [word.contribution for word in told.words] == pytest.approx([0, 0.25, 0, -3.0], abs=1e-5)


def test_deleting_words_finds_the_weights_of_a_linear_model(toy: Classifier):
    (told,) = weighing(toy).explain(["good plot not bad"], "good", method="occlusion")
    assert list(contributions(told).values()) == pytest.approx([2.0, 0.25, -0.5, -3.0], abs=1e-5)
    assert (told.method, told.against) == ("occlusion", "a text without words")
    assert (told.logit, told.baseline, told.error) == pytest.approx((-0.5, 0.75, 0.0), abs=1e-5)


def test_of_a_long_text_runs_of_words_are_deleted_together(toy: Classifier):
    (told,) = weighing(toy).explain([" ".join(["so", "plot", "bad", *["so"] * 1197])], method="occlusion")
    assert told.of == "log-odds of 'bad', 3 words at a time"
    expected = [2.75 / 3] * 3 + [0.0] * 1197
    assert [word.contribution for word in told.words] == pytest.approx(expected, abs=1e-5)


class Short(Counting):
    """Reads only the first words of each text, and tells so."""

    def __init__(self, words: int) -> None:
        self.words = words

    def reads(self, texts: Texts, context: Any) -> list[list[tuple[int, int, int]]]:
        return [[(0, start, end) for start, end in words_of(text)[: self.words]] for text in texts.first]

    def encode(self, texts: Texts, context: Any) -> np.ndarray:
        self.scored = getattr(self, "scored", 0) + len(texts)
        kept = [text[: words_of(text)[: self.words][-1][1]] if words_of(text) else "" for text in texts.first]
        return super().encode(Texts(kept), context)


def test_words_that_are_not_read_are_marked_and_never_move_up_into_the_place_of_a_deleted_one(toy: Classifier):
    short = Short(words=3)
    made = dataclasses.replace(weighing(toy), encoder=short)  # type: ignore[arg-type]
    (told,) = made.explain("good plot so bad bad " + "bad " * 2000, "good", method="occlusion")
    assert [word.seen for word in told.words] == [True] * 3 + [False] * 2002
    assert [word.contribution for word in told.words[:3]] == pytest.approx([2.0, 0.25, 0.0], abs=1e-5)
    assert (told.of, told.logit, told.baseline) == ("log-odds of 'good'", pytest.approx(3.0), pytest.approx(0.75))
    # The text's own score, and then with it: all words, what is not read, and each of three words left out.
    assert short.scored == 1 + 6


def test_what_is_not_read_may_be_anywhere_in_both_texts(toy: Classifier):
    class Middle(Counting):
        def reads(self, texts: Texts, context: Any) -> list[list[tuple[int, int, int]]]:
            return [[(0, 0, 4), (0, 13, 16), (1, 4, 8)]]

    made = dataclasses.replace(weighing(toy), pairs=True, encoder=Middle())  # type: ignore[arg-type]
    (told,) = made.explain("good, x, so, bad", "good", "bad plot", method="occlusion")
    assert [word.text for word in told.words if word.seen] == ["good", "bad", "plot"]
    assert [word.contribution for word in told.words if word.seen] == pytest.approx([2.0, -3.0, 0.25], abs=1e-5)


def test_an_encoder_that_tells_what_it_reads_of_too_few_texts_is_named(toy: Classifier):
    class Silent(Counting):
        def reads(self, texts: Texts, context: Any) -> list[list[tuple[int, int, int]]]:
            return []

    with pytest.raises(PluginError) as error:
        dataclasses.replace(weighing(toy), encoder=Silent()).explain("good", method="occlusion")  # type: ignore[arg-type]
    assert str(error.value) == (
        "encoder 'toy_words' (plugin textclf.testing.toy): reads returns spans of 0 texts for 1 texts; "
        "see `textclf.testing.check_plugin(textclf.testing.toy)`"
    )


def test_deleting_many_words_tells_how_far_it_is(toy: Classifier):
    seen: list[Any] = []
    weighing(toy).explain("bad " * 150, method="occlusion", observer=seen.append)
    told = [(event.done, event.total, event.unit) for event in seen if getattr(event, "stage", "") == "explain"]
    assert told == [(0, 153, "deletions"), (64, 153, "deletions"), (128, 153, "deletions")]
    seen.clear()
    weighing(toy).explain("bad " * 50, method="occlusion", observer=seen.append)
    assert seen == []


def test_a_model_that_tells_nothing_is_explained_by_deletion(toy: Classifier):
    (told,) = toy.explain(["dabe fine"])
    assert told.method == "occlusion"
    scores = toy.scores(["dabe fine", "fine", "dabe", ""])
    logits = np.log(scores[:, 0] / scores[:, 1]) * (1 if told.label == toy.labels.names[0] else -1)
    assert [word.contribution for word in told.words] == pytest.approx(list(logits[0] - logits[1:3]), abs=1e-5)
    assert (told.logit, told.baseline) == pytest.approx((logits[0], logits[3]), abs=1e-5)


def test_a_method_that_does_not_fit_says_why_and_which_do(toy: Classifier):
    with pytest.raises(RecipeError) as error:
        toy.explain(["a"], method="gradients")
    assert str(error.value) == (
        "method 'gradients': encoder 'toy_words' (plugin textclf.testing.toy) does not return where in a text its "
        "features come from (spans); use auto or occlusion"
    )
    with pytest.raises(RecipeError) as error:
        weighing(toy).explain(["a"], method="gradients")
    assert str(error.value) == (
        "method 'gradients': trainer 'toy_linear' (plugin textclf.testing.toy) is explained by 'exact'; "
        "use auto, exact or occlusion"
    )
    with pytest.raises(RecipeError, match=r"^method: 'occlusions' is unknown; did you mean 'occlusion'\?"):
        toy.explain(["a"], method="occlusions")
    with pytest.raises(DataError, match=r"^unknown label 'label9'; did you mean 'label1'\?"):
        toy.explain(["a"], "label9")


def test_every_label_that_is_decided_on_is_explained_and_the_most_probable_where_none_is(tmp_path: Path):
    changes = {"dataset": {"use": "toy_texts", "size": 60, "labels": 3, "multi_label": True}}
    several = engine().run(recipe(**changes)).classifier
    text = several.labels.names[0]
    for threshold, count in ((0.0, 3), (1.0, 1)):
        decided = dataclasses.replace(several, decision=dataclasses.replace(several.decision, threshold=threshold))
        told = decided.explain([text, text])
        assert [each.label for each in told[:count]] == [each.label for each in told[count:]]
        assert len({each.label for each in told}) == count
        for each in told:
            p = float(decided.scores([text])[0, several.labels.index(each.label)])
            assert each.logit == pytest.approx(math.log(p / (1 - p)), abs=1e-4)


def test_attributions_that_break_the_contract_name_the_plugin(toy: Classifier):
    """P04: numbers that are none are caught at the border."""
    with pytest.raises(PluginError) as error:
        weighing(toy, logit=math.nan).explain(["good"])
    assert str(error.value) == (
        "trainer 'toy_linear' (plugin textclf.testing.toy): attributions are NaN or infinite, or not one for each "
        "unit; see `textclf.testing.check_plugin(textclf.testing.toy)`"
    )


@pytest.mark.parametrize("method", ["auto", "occlusion"])
def test_hostile_texts_are_explained_and_every_form_of_it_can_be_read(toy: Classifier, method: str):
    """D11: NUL, lone surrogates, right-to-left marks; X01: nothing of them is markup."""
    for told in weighing(toy).explain([*HOSTILE, "\ud800 good"], "good", method=method):
        assert json.loads(json.dumps(told.to_json()))["error"] == pytest.approx(told.error)
        assert all(told.text[word.start : word.end] == word.text for word in told.words)
        assert "<script>" not in told.to_html()
        told.to_html().encode("utf-8")


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"label": 1}, DataError, "a label is a str, not an int (known: bad, good)"),
        ({"method": 1}, RecipeError, "method is a str, not an int (known: auto, exact, gradients, occlusion)"),
        ({"texts": None}, DataError, "explain takes a text, or a list of texts, not nothing"),
        ({"texts": {"text": "good"}}, DataError, "explain takes a text, or a list of texts, not a dict"),
        ({"pairs": 5}, DataError, "explain takes a text, or a list of texts, not an int"),
        ({"texts": [5]}, DataError, "text 0 is a int, not a str"),
    ],
)  # fmt: skip
def test_what_is_no_text_label_or_method_is_named(toy: Classifier, given: dict[str, Any], kind: Any, message: str):
    with pytest.raises(kind) as error:
        weighing(toy).explain(**{"texts": "good", **given})
    assert str(error.value) == message


def test_a_notebook_shows_the_explanations_of_one_text_or_of_many(toy: Classifier):
    made = weighing(toy).explain("good")
    assert made._repr_html_() == made[0]._repr_html_()
    assert made.to_html() == made[0].to_html()
    many = Explanations(made * 22)
    assert many._repr_html_() == 20 * made[0]._repr_html_() + "… and 2 explanations more"
    assert Explanations()._repr_html_() == ""


def test_no_texts_have_no_explanations(toy: Classifier):
    assert toy.explain([]) == []


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
