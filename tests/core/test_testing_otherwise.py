"""What is found of encoders that the kit tries with other options than those given: it says which it has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import model_validator

from tests.culprits.encoders import ENCODERS, RangeOptions, Ranging
from textclf import Problem
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


def test_what_it_cannot_do_with_another_option_is_said_with_that_option_and_the_way_out():
    line = Ranging.fit.__code__.co_firstlineno + 3
    assert failed(RANGE) == {
        "encoder.allowed": f"tried with low 4 in place of 3: ValueError: 4 to 3 is no range (encoders.py:{line}); if "
        "options do not go together, refuse them: in Component(check=...), or by a pydantic model_validator"
    }
    assert failed(RANGE, high=4) == {}


@pytest.mark.parametrize("component", [replace(RANGE, check=ordered), replace(RANGE, options=SoundOptions)])
def test_options_that_its_check_or_a_validator_refuses_are_not_tried(component):
    assert failed(component) == {}
