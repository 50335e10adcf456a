"""An encoder that reads pairs alone is checked on pairs; who refuses single texts otherwise is at fault."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.culprits.making import WORDS
from textclf import DataError, Texts
from textclf.testing import check_component
from textclf.testing.toy import ToyWords, words_traits


class Compared(ToyWords):
    """Reads pairs, and tells where."""

    refusal: Exception = DataError("it reads pairs of texts; say which by dataset.pair")

    def fit(self, train, context):
        self.encode(train.texts, context)
        super().fit(train, context)

    def encode(self, texts, context):
        if texts.second is None:
            raise self.refusal
        both = (f"{first} {second}" for first, second in zip(texts.first, texts.second, strict=True))
        return super().encode(texts, context) + super().encode(Texts([text.upper() for text in both]), context)

    def reads(self, texts, context):
        return [[(0, 0, len(a)), (1, 0, len(b))] for a, b in zip(texts.first, texts.second, strict=True)]


class Crashing(Compared):
    refusal = TypeError("'NoneType' object is not iterable")


def checked(build, **changes):
    findings = check_component(replace(WORDS, build=build, restore=None, **changes), "encoder")
    return {finding.clause.id: (finding.state, finding.detail) for finding in findings}


def test_an_encoder_of_pairs_is_checked_on_pairs_where_it_refuses_single_texts():
    class Unweighted(Compared):
        def fit(self, train, context):
            self.encode(train.texts, context)

    found = checked(Unweighted)
    assert {clause: detail for clause, (state, detail) in found.items() if state == "failed"} == {}
    assert not [clause for clause, (state, _) in found.items() if state == "not tried"]
    assert {found[clause][0] for clause in ("encoder.layout", "encoder.hostile", "encoder.pairs", "encoder.reads")} == {
        "passed"
    }
    assert found["work.quiet"] == ("passed", "")


@pytest.mark.parametrize(
    ("build", "changes", "said"),
    [
        (Crashing, {}, "TypeError: 'NoneType' object is not iterable"),
        (
            Compared,
            {"traits": lambda options: replace(words_traits(options), pairs=False)},
            "DataError: it reads pairs of texts; say which by dataset.pair",
        ),
    ],
)
def test_an_encoder_that_refuses_single_texts_otherwise_or_says_that_it_reads_them_is_found(build, changes, said):
    state, detail = checked(build, **changes)["encoder.layout"]
    assert (state, detail.partition(" (")[0]) == ("failed", said)
