"""What would have to be fetched is no fault of a component: its clauses are not tried, and say what would help."""

from __future__ import annotations

import re
from dataclasses import replace
from types import ModuleType

import pytest

from tests.culprits.making import LINEAR, TEXTS, WORDS
from textclf import DownloadError
from textclf.testing import StandIns, check_component, contract
from textclf.testing.toy import ToyTexts, ToyWords

ABSENT = "'far/away' is not here, and this run is offline"
SAID = f"{ABSENT}; a check fetches nothing: name a copy that is here by an option (--set)"


class Remote(ToyTexts):
    def load(self, context):
        if context.offline:
            raise DownloadError(ABSENT)
        return super().load(context)


class Pretrained(ToyWords):
    def fit(self, train, context):
        if context.offline:
            raise DownloadError(ABSENT)
        super().fit(train, context)


REMOTE, PRETRAINED = replace(TEXTS, build=Remote), replace(WORDS, build=Pretrained)


def of(findings, *kinds):
    return {one.clause.id: (one.state, one.detail) for one in findings if one.clause.id.startswith(kinds)}


def test_a_dataset_that_is_fetched_is_not_tried_and_told_to_have_an_option_for_a_copy():
    findings = check_component(REMOTE, "dataset")
    found = of(findings, "dataset.", "work.")
    assert found.pop("work.offline") == ("passed", "")
    assert set(found.values()) == {("not tried", SAID)}
    assert not [one for one in findings if one.state == "failed"]


def test_an_encoder_that_is_fetched_is_not_tried_nor_is_a_trainer_that_reads_what_it_makes():
    found = of(check_component(PRETRAINED, "encoder"), "encoder.layout", "encoder.order", "encoder.restore")
    assert found == dict.fromkeys(found, ("not tried", SAID))
    findings = check_component(LINEAR, "trainer", stand_ins=StandIns(encoder=PRETRAINED))
    found = of(findings, "trainer.model", "trainer.learns", "trainer.resume")
    assert found == dict.fromkeys(found, ("not tried", SAID))
    assert not [one for one in findings if one.state == "failed"]


def test_pytest_skips_what_would_have_to_be_fetched():
    module = ModuleType("textclf_far")
    module.textclf_datasets = lambda: [REMOTE]
    (case,) = [case for case in contract(module) if case.clause == "dataset.stable"]
    with pytest.raises(pytest.skip.Exception, match=re.escape(SAID)):
        case.check()


def test_what_has_to_be_fetched_to_restore_a_model_is_a_fault():
    def restore(options, folder):
        raise DownloadError(ABSENT)

    findings = check_component(replace(WORDS, restore=restore), "encoder")
    line = restore.__code__.co_firstlineno + 1
    failed = {one.clause.id: one.detail for one in findings if one.state == "failed"}
    assert failed == {"encoder.restore": f"DownloadError: {ABSENT} (test_testing_fetched.py:{line})"}
