"""What `plugins check` finds of drafts that a run refuses: the same fault, in the run's words, with its line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.culprits.making import LINEAR
from textclf import Traits
from textclf.testing import check_component


def failed(component, kind, **given):
    findings = check_component(component, kind, **given)
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


def line(function):
    return f"test_testing_drafts.py:{function.__code__.co_firstlineno}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reads": {"matrix"}}, "a set as reads, not a frozenset of str"),
        ({"reads": "matrix"}, "a str as reads, not a frozenset of str"),
        ({"reads": frozenset({"matrix"}), "tasks": "single-label"}, "a str as tasks, not a frozenset of str"),
        ({"reads": frozenset({"matrix"}), "tasks": frozenset({"regression"})}, "'regression' among its tasks"),
        ({"reads": frozenset({"matrix"}), "pairs": "yes"}, "a str as pairs, not a bool"),
    ],
)
def test_traits_of_a_wrong_type_from_a_function_are_one_finding_in_the_words_of_the_run(given, said):
    def traits(options):
        return Traits(**given)

    found = failed(replace(LINEAR, traits=traits), "trainer")
    assert found == {"component.traits": f"traits() returns Traits with {said} ({line(traits)})"}
