"""What is found of options that an author translates from older versions: a model of this version is one of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.culprits.making import ACCURACY
from textclf import Field, Options
from textclf.plugin.discovery import discover
from textclf.testing import check_component
from textclf.testing.checks.component import _version
from textclf.version import VERSION

FILE = "test_testing_migrating.py"


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
    offers = [offer for offer in discover().offers if offer.plugin.distribution == "textclf-engine"]
    assert {_version(offer.component.options) for offer in offers if offer.component.options.model_fields} == {VERSION}
