"""What is said of a wrong option: plain words, one message a value."""

from __future__ import annotations

import pytest
from pydantic import field_validator, model_validator

from textclf import Component, Field, Options, Traits

from .places import placeless
from .sample import SOUND, build, complaints, plugin, refusal


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs: must be at least 1, not 0"),
        ({"epochs": 1000}, "epochs: must be at most 100, not 1000"),
        ({"epochs": True}, "epochs: must be a whole number, not true"),
        ({"epochs": None}, "epochs: must be a whole number, not null"),
        ({"epochs": 2.0}, "epochs: must be a whole number, not 2.0"),
        ({"learning_rate": "2e-5"}, "learning_rate: must be a number, not the text '2e-5'; write 2e-5 without quotes"),
        ({"learning_rate": 0}, "learning_rate: must be greater than 0, not 0"),
        ({"shuffle": "no"}, "shuffle: must be true or false, not the text 'no'; write false"),
        ({"shuffle": 1}, "shuffle: must be true or false, not 1"),
        (
            {"schedule": "liner"},
            "schedule: must be 'linear', 'cosine' or 'constant', not the text 'liner'; did you mean 'linear'?",
        ),
        ({"layers": 3}, "layers: must be a list, not 3"),
        ({"layers": [{"width": 0}]}, "layers.0.width: must be at least 1, not 0"),
        (
            {"layers": [{}, {"widht": 1}]},
            "layers.1.widht: unknown option of 'layers.1' of trainer 'net' (plugin textclf_sample); "
            "did you mean 'width'?",
        ),
        ({"device": ""}, "device: must not be empty"),
        ({"device": 3}, "device: must be text, not 3"),
        (
            {"zzz": 3},
            "zzz: unknown option of trainer 'net' (plugin textclf_sample) "
            "(known: batch_size, device, epochs, layers, learning_rate, schedule, shuffle)",
        ),
    ],
)
def test_a_wrong_option_is_explained_in_plain_words(options, message):
    """R01, R08: unknown options, bounds, and values of another type."""
    assert complaints({**SOUND, "encoder": "bert", "trainer": {"use": "net", **options}}) == [f"trainer.{message}"]


def test_options_of_a_component_without_any_are_unknown():
    assert complaints({**SOUND, "trainer": {"use": "linear", "c": 1}}) == [
        "trainer.c: unknown option of trainer 'linear' (plugin textclf_sample); it has none"
    ]


def test_a_missing_option_names_who_needs_it():
    assert complaints({**SOUND, "dataset": "files"}) == [
        "dataset.path: is missing; dataset 'files' (plugin textclf_sample) needs it"
    ]


def test_several_branches_of_an_option_make_one_message():
    class Several(Options):
        words: tuple[str, ...] | str | None = Field(None, description="one or more")
        share: float | int | None = Field(None, ge=0, description="a number")

    component = Component(name="several", build=build, options=Several, traits=Traits(makes="matrix"))
    offered = plugin("textclf_several", textclf_encoders=lambda: [component])
    found = complaints({**SOUND, "encoder": {"use": "several", "words": [1], "share": "x"}}, offered)
    assert found == [
        "encoder.words.0: must be text, not 1",
        "encoder.share: must be a number or a whole number, not the text 'x'",
    ]
    assert complaints({**SOUND, "encoder": {"use": "several", "words": {"a": 1}}}, offered) == [
        "encoder.words: must be a list or text, not a mapping"
    ]


def test_a_validator_of_the_plugins_own_speaks_for_itself():
    class Own(Options):
        pattern: str = Field("", description="a regular expression")
        low: int = Field(0, description="least")
        high: int = Field(1, description="most")

        @field_validator("pattern")
        @classmethod
        def _closed(cls, value: str) -> str:
            if "(" in value:
                raise ValueError("the parenthesis is not closed")
            return value

        @model_validator(mode="after")
        def _ordered(self):
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

        @field_validator("high")
        @classmethod
        def _fails(cls, value: int) -> int:
            return 1 // (value - 7)

    component = Component(name="own", build=build, options=Own, traits=Traits(makes="matrix"))
    offered = plugin("textclf_own", textclf_encoders=lambda: [component])
    assert complaints({**SOUND, "encoder": {"use": "own", "pattern": "("}}, offered) == [
        "encoder.pattern: the parenthesis is not closed"
    ]
    assert complaints({**SOUND, "encoder": {"use": "own", "low": 3}}, offered) == ["encoder: low is above high"]
    error = refusal({**SOUND, "encoder": {"use": "own", "high": 7}}, offered)
    assert error.exit_code == 5
    assert [placeless(str(problem)) for problem in error.problems] == [
        "encoder: the options of encoder 'own' (plugin textclf_own) cannot be checked: "
        "ZeroDivisionError: integer division or modulo by zero"
    ]
