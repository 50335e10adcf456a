"""Checks of options: at their bounds, by their schema, migrated."""

from __future__ import annotations

import time
from dataclasses import replace
from enum import IntEnum
from types import ModuleType

import pytest
from pydantic import PrivateAttr, model_validator
from pydantic_core import core_schema

from tests.culprits.making import ACCURACY, WORDS
from textclf import Component, DataError, Field, Options, Problem, Traits, __version__
from textclf.plugin.discovery import discover
from textclf.recipe.schema import options_of
from textclf.testing import check_component, check_plugin
from textclf.testing.checks.component import _version, at_ends, crossed
from textclf.testing.checks.subject import StandIns, Subject
from textclf.testing.toy import ToyAccuracy, ToyWords, WordsOptions, restore_words

HERE = "test_component.py"
WAY = "; if options do not go together, refuse them: in Component(check=...), or by a pydantic model_validator"


class BandOptions(Options):
    low: int = Field(1, ge=1, le=50, description="the shortest length counted")
    high: int = Field(10, ge=1, le=50, description="the longest length counted")


class Stumbling(BandOptions):
    @model_validator(mode="after")
    def ordered(self):
        if self.low > self.high:
            raise RuntimeError("'low' is above 'high'")
        return self


class Refusing(BandOptions):
    @model_validator(mode="after")
    def ordered(self):
        if self.low > self.high:
            raise ValueError("'low' is above 'high'")
        return self


def band(options):
    if options.low > options.high:
        raise ArithmeticError("no lengths")
    return ToyAccuracy()


BAND = replace(ACCURACY, options=BandOptions, build=band)


def line_of(function, further=0):
    return f"{HERE}:{function.__code__.co_firstlineno + further}"


def failed(component, kind="metric"):
    findings = check_component(component, kind)
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


def told(message, path):
    return lambda options: [Problem(message, path)] if options.low > options.high else []


def test_what_only_extreme_options_break_is_said_with_them_and_the_way_out():
    assert failed(BAND) == {
        "component.allowed": f"tried with low 50 in place of 1: ArithmeticError: no lengths ({line_of(band, 2)}){WAY}"
    }


@pytest.mark.parametrize(
    "component", [replace(BAND, options=Refusing), replace(BAND, check=told("is above 'high'", ("low",)))]
)
def test_options_that_are_refused_in_words_are_not_built(component):
    assert failed(component) == {}


def test_a_validator_that_breaks_down_over_two_numbers_is_named_with_them():
    line = line_of(Stumbling.ordered, 3)
    assert failed(replace(BAND, options=Stumbling)) == {
        "options.values": f"'low: 50' raises RuntimeError: 'low' is above 'high' ({line}); a validator raises a "
        "ValueError, which becomes a sentence about the options"
    }


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (told("is above 'high'", ("lo",)), "a Problem of the option 'lo', which there is not; did you mean 'low'?"),
        (told("is above", ("x",)), "a Problem of the option 'x', which there is not (options: low, high)"),
        (told(" ", ("low",)), "a Problem without a message"),
        (lambda options: ["no"] if options.low > options.high else [], "a str in its list, not a textclf.Problem"),
        (lambda options: None if options.low > options.high else [], "nothing, not a list of textclf.Problem"),
    ],
)
def test_a_check_is_asked_about_options_that_it_has_something_against(check, says):
    line = line_of(check)
    found = {"component.check": f"with low 50 in place of 1, check() returns {says} ({line})"}
    assert failed(replace(BAND, check=check)) == found


def test_a_check_that_breaks_down_over_other_options_is_named_with_them():
    def check(options):
        return [] if options.low <= options.high else [Problem(options.middle)]

    found = f"AttributeError: 'BandOptions' object has no attribute 'middle' ({line_of(check, 1)})"
    assert failed(replace(BAND, check=check)) == {
        "component.check": f"with low 50 in place of 1, check() raises {found}"
    }


class NestedOptions(Options):
    size: int = Field(3, ge=1, le=9, alias="class", description="how many")


@pytest.mark.parametrize("path", [(), ("use",), ("class",), ("class", "inner", 3)])
def test_a_problem_of_the_whole_or_of_what_is_inside_of_an_option_is_found(path):
    def check(options):
        return [Problem("is too many", path)] if options.size > 3 else []

    assert failed(replace(ACCURACY, options=NestedOptions, check=check)) == {}


def test_what_cannot_be_had_here_is_not_held_against_a_component():
    def build(options):
        if options.high > 10:
            raise DataError("there are only 10 layers")
        return ToyAccuracy()

    assert failed(replace(BAND, build=build)) == {}


class WideOptions(Options):
    epochs: int = Field(3, ge=1, le=10_000, description="passes")
    columns: int = Field(512, ge=16, le=2**27, description="columns")
    least: int | None = Field(None, ge=2, description="fewest texts")
    share: float = Field(0.5, gt=0, lt=1, description="share")
    shift: float = Field(0.0, ge=-1e9, le=1e9, description="shift")
    sort: str = Field("a", description="sort")


def subject(options):
    return Subject(Component(name="any", build=lambda options: None, options=options), "encoder", {}, StandIns())


def test_numbers_are_tried_at_their_ends_and_two_by_two():
    tried = list(at_ends(subject(BandOptions)))
    assert tried == [
        {"low": 1}, {"low": 50}, {"high": 1}, {"high": 50}, {"low": 50, "high": 1}, {"high": 50, "low": 1},
    ]  # fmt: skip


def test_nothing_large_is_built():
    tried = list(at_ends(subject(WideOptions), 64))
    most = {name: max(abs(change.get(name) or 0) for change in tried) for name in WideOptions.model_fields}
    assert most == {"epochs": 64, "columns": 512, "least": 64, "share": 0.75, "shift": 64, "sort": 0}
    assert len(tried) == 10 + 6 + 2
    assert {change["share"] for change in tried if "share" in change} == {0.25, 0.75}


def test_a_number_is_put_above_another_one_only_where_they_may_be_the_ends_of_a_range():
    class Shares(Options):
        least: float = Field(0.2, ge=0, le=1, description="from")
        most: float = Field(0.8, ge=0, le=1, description="to")

    assert list(crossed(subject(BandOptions))) == [{"low": 11}]
    assert list(crossed(subject(Shares))) == [{"least": 0.9}]
    assert list(crossed(subject(WideOptions))) == []


class BandedOptions(WordsOptions, BandOptions):
    pass


class Banded(ToyWords):
    def fit(self, train, context):
        if self.options.low > self.options.high:
            raise LookupError("no lengths")
        super().fit(train, context)


def test_an_encoder_whose_range_is_only_looked_at_in_fit_is_tried_with_an_empty_one():
    def restore(options, folder):
        return Banded(options, restore_words(options, folder).weights)

    component = replace(WORDS, options=BandedOptions, build=Banded, restore=restore)
    line = line_of(Banded.fit, 2)
    assert failed(component, "encoder") == {
        "encoder.allowed": f"tried with low 11 in place of 1: LookupError: no lengths ({line}){WAY}"
    }
    assert failed(replace(component, check=told("is above 'high'", ("low",))), "encoder") == {}


class ManyOptions(Options):
    a: int = Field(1, ge=1, le=9, description="a")
    b: int = Field(1, ge=1, le=9, description="b")
    c: int = Field(1, ge=1, le=9, description="c")


def test_trying_what_is_allowed_takes_no_time_to_speak_of():
    component = Component(name="many", summary="many", build=lambda options: ToyAccuracy(), options=ManyOptions)
    began = time.process_time()
    assert failed(replace(component, traits=Traits())) == {}
    assert time.process_time() - began < 5


class Colour:
    def __init__(self, name):
        self.name = name

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        written = core_schema.plain_serializer_function_ser_schema(lambda colour: colour.name)
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls(value), serialization=written
        )


class Coloured(Options):
    colour: Colour = Field(Colour("red"), description="of a type without a schema")
    size: int = Field(3, ge=1, le=9, description="how many")


class Boundless(Coloured):
    most: int = Field(3, description="a number without a bound")


class Remembering(Options):
    size: int = Field(3, ge=1, description="how many")
    _seen: list = PrivateAttr(default_factory=list)

    def model_post_init(self, context):
        self._seen.append(object())


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Levelled(Options):
    level: Level = Field(Level.LOW, description="one of two")


def refuse(schema):
    raise KeyError("schema")


class Schemaless(Options):
    size: int = Field(3, ge=1, description="how many", json_schema_extra=refuse)


class Unfinished(Options):
    size: Undefined = Field(3, description="of a type that is nowhere defined")  # noqa: F821


def failed_options(options):
    findings = check_component(replace(ACCURACY, options=options), "metric")
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


@pytest.mark.parametrize("options", [Coloured, Remembering, Levelled])
def test_a_type_without_a_schema_private_attributes_and_numbered_choices_are_innocent(options):
    assert failed_options(options) == {}


def test_what_stands_beside_a_type_without_a_schema_is_still_looked_at():
    assert failed_options(Boundless) == {"options.bounded": "a number without a bound: most"}


def test_a_schema_that_cannot_be_made_is_one_finding_with_its_line():
    line = refuse.__code__.co_firstlineno + 1
    said = f"their JSON schema cannot be made: KeyError: 'schema' (test_component.py:{line})"
    assert failed_options(Schemaless) == {"options.described": said}


def test_a_type_that_is_nowhere_defined_is_one_finding():
    (clause, said), = failed_options(Unfinished).items()
    assert (clause, said.partition(";")[0]) == (
        "options.read",
        "PydanticUserError: `Unfinished` is not fully defined",
    )


@pytest.mark.parametrize("options", [Coloured, Schemaless])
def test_hooks_that_offer_options_without_a_schema_offer_the_same_again(options):
    module = ModuleType("textclf_odd")
    module.textclf_metrics = lambda: [replace(ACCURACY, options=options)]
    findings = {finding.clause.id: finding.state for finding in check_plugin(module)}
    assert findings["plugin.repeats"] == "passed"


@pytest.mark.parametrize("options", [Coloured, Schemaless, Unfinished])
def test_options_without_a_schema_are_listed_by_their_fields(options):
    fields = options.model_fields
    told = [(option.name, option.description) for option in options_of(replace(ACCURACY, options=options))]
    assert told == [(name, field.description) for name, field in fields.items()]


FILE = "test_component.py"


def examined(migrate, marked=classmethod):
    """Return what is found of options with a migrate, and where that begins."""

    class Made(Options):
        low: int = Field(3, ge=1, le=9, description="the least")

    Made.migrate = marked(migrate)
    findings = check_component(replace(ACCURACY, options=Made), "metric")
    found = {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}
    return found, f"{FILE}:{migrate.__code__.co_firstlineno}"


def renamed(cls, version, values):
    return {"low" if name == "lo" else name: value for name, value in values.items()}


def test_a_migrate_that_leaves_todays_values_alone_is_sound():
    assert examined(renamed) == ({}, f"{FILE}:{renamed.__code__.co_firstlineno}")
    assert examined(lambda version, values: values, staticmethod)[0] == {}


def test_a_migrate_that_is_no_class_method_is_told_what_to_write():
    found, line = examined(renamed, lambda migrate: migrate)
    assert found == {"options.migrate": f"migrate is no class method; write @classmethod above it ({line})"}


@pytest.mark.parametrize(
    ("migrate", "says"),
    [
        (
            lambda cls, version, values: {"low": values["lo"]},
            "asked with '' for no version, migrate() raises KeyError: 'lo'",
        ),
        (
            lambda cls, version, values: values if int(version) else {},
            "asked with '' for no version, migrate() raises ValueError: invalid literal for int() with base 10: ''",
        ),
        (lambda cls, version, values: None, "migrate() returns nothing, not a dict of the values"),
        (
            lambda cls, version, values: {"lo": values["low"]},
            "asked with '' for no version, migrate() returns what the options refuse: ValidationError: Made: lo: Extra "
            "inputs are not permitted",
        ),
        (
            lambda cls, version, values: {"low": values["low"] + 1},
            "asked with '' for no version, migrate() changes them: low 4 in place of 3",
        ),
    ],
)
def test_a_migrate_that_a_model_of_today_does_not_pass_is_named(migrate, says):
    found, line = examined(migrate)
    assert found == {"options.migrate": f"{says} ({line})"}


def test_options_without_a_migrate_of_their_own_have_nothing_to_try():
    findings = check_component(ACCURACY, "metric")
    (found,) = [finding for finding in findings if finding.clause.id == "options.migrate"]
    assert (found.state, found.detail) == ("not applicable", "it has no migrate of its own")


def test_the_version_that_is_asked_with_is_the_installed_one():
    offers = [offer for offer in discover().registrations if offer.plugin.distribution == "textclf-engine"]
    versions = {_version(offer.component.options) for offer in offers if offer.component.options.model_fields}
    assert versions == {__version__}
