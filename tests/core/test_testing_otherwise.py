"""What is found of encoders that the kit tries with other options than those given: it says which it has changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pydantic import model_validator

from tests.culprits.encoders import ENCODERS, RangeOptions, Ranging
from textclf import Component, Field, Options, Problem, Traits
from textclf.testing import check_component

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
