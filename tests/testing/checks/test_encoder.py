"""Checks of encoders: layouts, other options, pairs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pydantic import model_validator

from tests.culprits.encoders import ENCODERS, RangeOptions, Ranging
from tests.culprits.making import WORDS
from textclf import Component, DataError, Field, Options, Problem, Texts, Traits
from textclf.testing import check_component
from textclf.testing.toy import ToyWords, restore_words, words_traits


def failed_layout(made_of, layout="matrix"):
    class Made(ToyWords):
        def encode(self, texts, context):
            return made_of(super().encode(texts, context))

    def restore(options, folder):
        return Made(options, restore_words(options, folder).weights)

    findings = check_component(replace(WORDS, build=Made, restore=restore), "encoder", {"layout": layout})
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


def sparse(kind):
    return lambda features: getattr(pytest.importorskip("scipy.sparse"), kind)(features)


@pytest.mark.parametrize(
    ("made_of", "said"),
    [
        (np.matrix, "a numpy matrix, which multiplies unlike an array; return np.asarray(...) of it"),
        (lambda features: np.ma.masked_equal(features, 0),
         "a masked array, whose mask no trainer sees; return .filled(0) of it"),
        (lambda features: features[:, :0], "no columns: a row of no features says nothing of a text"),
        (sparse("coo_matrix"), "a coo_matrix, and that cannot be sliced; return .tocsr() of it"),
        (sparse("lil_matrix"), "a lil_matrix, and that is for building one, not for reading it; return .tocsr() of it"),
        (lambda features: pytest.importorskip("torch").from_numpy(features),
         "a Tensor, not an array; return .numpy() of it"),
        (lambda features: pytest.importorskip("pandas").DataFrame(features),
         "a DataFrame, not an array; return .to_numpy() of it"),
    ],
)  # fmt: skip
def test_what_no_trainer_could_read_is_named_with_the_way_out(made_of, said):
    assert failed_layout(made_of) == {"encoder.layout": f"encode returns {said}"}


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "csc_matrix"])
def test_sparse_matrices_that_give_rows_pass(kind):
    assert failed_layout(sparse(kind), "counts") == {}


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64, np.bool_, ">f4"])
def test_any_numbers_pass(dtype):
    assert failed_layout(lambda features: np.asfortranarray(np.abs(features).astype(dtype))) == {}


RANGE = ENCODERS["encoder.allowed"].component


def failed(component, **given):
    findings = check_component(component, "encoder", given)
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


class SoundOptions(RangeOptions):
    @model_validator(mode="after")
    def look(self):
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


def ordered(options):
    return [Problem("is above high", ("low",))] if options.low > options.high else []


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "low 4 in place of 3: ValueError: 4 to 3"), ({"high": 5}, "low 6 in place of 3: ValueError: 6 to 5")],
)
def test_what_it_cannot_do_with_another_option_is_said_with_that_option_and_the_way_out(given, said):
    line = Ranging.fit.__code__.co_firstlineno + 3
    assert failed(RANGE, **given) == {
        "encoder.allowed": f"tried with {said} is no range (encoders.py:{line}); if options do not go together, "
        "refuse them: in Component(check=...), or by a pydantic model_validator"
    }
    assert failed(RANGE, high=8) == {}


@pytest.mark.parametrize("component", [replace(RANGE, check=ordered), replace(RANGE, options=SoundOptions)])
def test_options_that_its_check_or_a_validator_refuses_are_not_tried(component):
    assert failed(component) == {}


class CountedOptions(Options):
    top: int = Field(200, ge=1, le=5000, description="how many words")
    lower: bool = Field(True, description="upper and lower case are the same")
    short: bool = Field(False, description="leave words of one to three letters out")
    reads: int = Field(300, ge=1, le=5000, description="how many words of a text are read")


class Counted:
    """Counts the most frequent words."""

    def __init__(self, options):
        self.options, self.words = options, {}

    def split(self, text):
        words = (text.lower() if self.options.lower else text).split()[: self.options.reads]
        return [word for word in words if len(word) > 3] if self.options.short else words

    def fit(self, train, context):
        every = Counter(word for text in train.texts.first for word in self.split(text))
        often = sorted(every, key=lambda word: (-every[word], word))[: self.options.top]
        self.words = {word: column for column, word in enumerate(often)}

    def encode(self, texts, context):
        counts = np.zeros((len(texts), len(self.words) or 1), np.float32)
        for row, text in enumerate(texts.first):
            for word in self.split(text):
                if word in self.words:
                    counts[row, self.words[word]] += 1
        return counts

    def save(self, folder):
        (folder / "words.txt").write_text("\n".join(self.words), "utf-8")


def restored(made):
    def restore(options, folder):
        encoder = made(options)
        words = (folder / "words.txt").read_text("utf-8").split("\n")
        encoder.words = {word: column for column, word in enumerate(words)}
        return encoder

    return restore


@pytest.mark.parametrize(
    ("tells", "said"),
    [
        (lambda self: f"{self.options} {[*self.words]}", None),
        (lambda self: f"{self.options.lower} {self.options.short} {self.options.reads} {[*self.words]}", None),
        (lambda self: f"{self.options.short} {self.options.reads} {len(self.words)}", "lower False in place of True"),
        (lambda self: f"{self.options.lower} {self.options.reads} {len(self.words)}", "short True in place of False"),
        (lambda self: f"{self.options.lower} {self.options.short} {[*self.words]}", "reads 301 in place of 300"),
    ],
)
def test_an_option_that_is_left_out_of_the_fingerprint_is_found_by_what_it_changes_alone(tells, said):
    made = type("Made", (Counted,), {"fingerprint": tells})
    about = {"summary": "words", "options": CountedOptions, "traits": Traits(makes="counts")}
    component = Component(name="counted", build=made, restore=restored(made), **about)
    found = {f"with {said} it gives other features under the same fingerprint"} if said else set()
    assert {*failed(component).values()} == found


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
