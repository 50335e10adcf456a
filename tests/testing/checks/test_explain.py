"""Encoders and models that tell wrong things for explanations: each is caught by the clause it breaks."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from tests.culprits.making import LINEAR, WORDS
from tests.plugins.letters import Letters, textclf_encoders
from textclf import Attributions, Component, Field, Options, Traits
from textclf.testing import ContractBroken, check_component, contract
from textclf.testing.toy import ToyLinear, ToyModel, ToyWords

CLAUSES = ("encoder.spans", "encoder.reads", "tokens.seen", "trainer.attributions")


def failed(findings):
    return sorted(finding.clause.id for finding in findings if finding.state == "failed")


def states(findings):
    return {finding.clause.id: (finding.state, finding.detail) for finding in findings if finding.clause.id in CLAUSES}


def spanning(tell):
    class Spanning(ToyWords):
        def spans(self, texts, context):
            features = self.encode(texts, context)
            return tell([{int(unit): [(0, 0, 0)] for unit in row.nonzero()[0]} for row in features])

    return check_component(replace(WORDS, build=Spanning), "encoder")


@pytest.mark.parametrize(
    ("tell", "said"),
    [
        (lambda spans: spans, ""),
        (lambda spans: spans[1:], "the spans of"),
        (lambda spans: [{**units, 9999: []} for units in spans], "text 0: it tells of units that its"),
        (lambda spans: [{unit: [(0, 0, 10**9)] for unit in units} for units in spans], "text 0: (0, 0, 1000000000) is"),
        (lambda spans: [{unit: [(1, 0, 1)] for unit in units} for units in spans], "text 0: (1, 0, 1) is no place in"),
    ],
)
def test_places_that_are_not_in_the_text_are_caught(tell, said):
    state, detail = states(spanning(tell))["encoder.spans"]
    assert state == ("failed" if said else "passed")
    assert detail.startswith(said)


class Chosen(Options):
    words: tuple[str, ...] = Field(("good", "plot"), max_length=9, description="the words that are counted")


def counting(made_of):
    """Return what `encoder.spans` finds of an encoder that looks for its words in what is made of a text."""

    class Counting:
        def __init__(self, options):
            self.words = options.words

        def fit(self, train, context):
            """Nothing is learnt."""

        def encode(self, texts, context):
            return np.array([[len(units.get(unit, ())) for unit in range(len(self.words))]
                             for units in self.spans(texts, context)], np.float32)  # fmt: skip

        def spans(self, texts, context):
            found = [[(word, 0, *place) for word, *place in made_of(text)] for text in texts.first]
            return [
                {unit: places for unit, word in enumerate(self.words) if (places := [p for w, *p in row if w == word])}
                for row in found
            ]

        def fingerprint(self):
            return f"1 {self.words}"

        def save(self, folder):
            """The options are all there is."""

    traits = Traits(makes="counts", tasks=frozenset({"single-label", "multi-label"}))
    module = ModuleType("textclf_counting")
    module.textclf_encoders = lambda: [Component(name="counting", options=Chosen, build=Counting, traits=traits)]
    (case,) = [case for case in contract(module) if case.clause == "encoder.spans"]
    try:
        case.check()
    except ContractBroken as broken:
        return broken.findings[0].state, broken.findings[0].detail
    return "passed", ""


def words_in(text):
    return [(found[0], *found.span()) for found in re.finditer(r"\w+", text)]


@pytest.mark.parametrize(
    ("changed", "letters"),
    [
        (str.casefold, "ßßßß"),
        (str.lower, "İİİİ"),
        (lambda text: unicodedata.normalize("NFKC", text), "ﬁﬁﬁﬁ"),
        (lambda text: unicodedata.normalize("NFC", text), "e\u0301" * 4),
        (lambda text: unicodedata.normalize("NFD", text), "İİİİ"),
    ],
)
def test_places_in_a_text_that_was_folded_or_normalised_are_caught(changed, letters):
    state, detail = counting(lambda text: words_in(changed(text)))
    assert state == "failed"
    assert detail.startswith(f"behind '{letters}' it tells of ")
    if letters == "ßßßß":
        assert detail == (
            "behind 'ßßßß' it tells of '... ' in 'Not good... 2/10, would NOT buy again', and behind 'xxxx' of 'good': "
            "look for words in the text as it is, and fold or normalise each by itself"
        )


def test_places_of_words_that_are_folded_one_by_one_hold():
    assert counting(lambda text: [(word.casefold(), *place) for word, *place in words_in(text)]) == ("passed", "")


@pytest.mark.parametrize(
    ("tell", "said"),
    [
        (lambda texts: [[(0, 0, len(text))] for text in texts], ""),
        (lambda texts: [[] for text in texts[1:]], "it tells what it reads of"),
        (lambda texts: [[(0, 3, 2)] for text in texts], "text 0: (0, 3, 2) is no place in"),
    ],
)
def test_places_that_are_read_of_no_text_are_caught(tell, said):
    class Reading(ToyWords):
        def reads(self, texts, context):
            return tell(texts.first)

    state, detail = states(check_component(replace(WORDS, build=Reading), "encoder"))["encoder.reads"]
    assert state == ("failed" if said else "passed")
    assert detail.startswith(said)


def attributing(off, opaque=""):
    class Telling(ToyModel):
        explains_by = "exact"

        def opaque(self):
            return opaque

        def attributions(self, features, columns, context):
            found = []
            for row, column in zip(features, columns, strict=True):
                weights = self.weights[:, column]
                units = row.nonzero()[0]
                values, low = row[units] * weights[units], weights[-1]
                found.append(Attributions(units, values, low + values.sum() + off, low, "logit", "nothing"))
            return found

    class Trainer(ToyLinear):
        def train(self, *given):
            model = super().train(*given)
            return Telling(model.weights, model.task)

    return check_component(replace(LINEAR, build=Trainer), "trainer")


def test_contributions_that_do_not_add_up_are_caught():
    assert states(attributing(0.0))["trainer.attributions"] == ("passed", "")
    state, detail = states(attributing(2.0))["trainer.attributions"]
    assert state == "failed"
    assert detail.startswith("single-label, text 0: contributions add up to ")
    opaque = states(attributing(2.0, "it is too deep"))["trainer.attributions"]
    assert opaque == ("not applicable", "it is too deep")


@pytest.mark.parametrize(("shift", "state"), [(0, "passed"), (1, "failed"), (None, "failed")])
def test_places_in_a_batch_that_are_not_of_the_text_s_tokens_are_caught(shift, state):
    pytest.importorskip("torch")

    class Seeing(Letters):
        def seen(self, tokens, rows):
            longest = int(tokens.lengths()[rows].max())
            if shift is None:
                return np.zeros((len(rows), longest), np.int64)
            return np.array([[p + shift if p < len(tokens.row(r)) else -1 for p in range(longest)] for r in rows])

    (component,) = textclf_encoders()
    assert states(check_component(replace(component, build=Seeing), "encoder"))["tokens.seen"][0] == state


def test_who_tells_nothing_keeps_the_contract_without_them():
    for component, kind in ((WORDS, "encoder"), (LINEAR, "trainer")):
        findings = check_component(component, kind)
        assert {state for state, _ in states(findings).values()} == {"not applicable"}
        assert failed(findings) == []
