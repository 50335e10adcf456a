"""Options as pydantic allows them: innocent ones keep their clauses, and one fault in a schema is one finding."""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from types import ModuleType

import pytest
from pydantic import Field, PrivateAttr
from pydantic_core import core_schema

from tests.culprits.making import ACCURACY
from textclf import Options
from textclf.recipe.schema import options_of
from textclf.testing import check_component, check_plugin


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


class Refusing(Options):
    size: int = Field(3, ge=1, description="how many", json_schema_extra=refuse)


class Unfinished(Options):
    size: Undefined = Field(3, description="of a type that is nowhere defined")  # noqa: F821


def failed(options):
    findings = check_component(replace(ACCURACY, options=options), "metric")
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


@pytest.mark.parametrize("options", [Coloured, Remembering, Levelled])
def test_a_type_without_a_schema_private_attributes_and_numbered_choices_are_innocent(options):
    assert failed(options) == {}


def test_what_stands_beside_a_type_without_a_schema_is_still_looked_at():
    assert failed(Boundless) == {"options.bounded": "a number without a bound: most"}


def test_a_schema_that_cannot_be_made_is_one_finding_with_its_line():
    line = refuse.__code__.co_firstlineno + 1
    said = f"their JSON schema cannot be made: KeyError: 'schema' (test_testing_options.py:{line})"
    assert failed(Refusing) == {"options.described": said}


def test_a_type_that_is_nowhere_defined_is_one_finding():
    (clause, said), = failed(Unfinished).items()
    assert (clause, said.partition(";")[0]) == (
        "options.read",
        "PydanticUserError: `Unfinished` is not fully defined",
    )


@pytest.mark.parametrize("options", [Coloured, Refusing])
def test_hooks_that_offer_options_without_a_schema_offer_the_same_again(options):
    module = ModuleType("textclf_odd")
    module.textclf_metrics = lambda: [replace(ACCURACY, options=options)]
    findings = {finding.clause.id: finding.state for finding in check_plugin(module)}
    assert findings["plugin.repeats"] == "passed"


@pytest.mark.parametrize("options", [Coloured, Refusing, Unfinished])
def test_options_without_a_schema_are_listed_by_their_fields(options):
    fields = options.model_fields
    told = [(option.name, option.description) for option in options_of(replace(ACCURACY, options=options))]
    assert told == [(name, field.description) for name, field in fields.items()]
