"""The kit for plugin authors: the toy plugin keeps every contract, and findings say what they must."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from textclf import Component, Dataset, Stopped, Traits
from textclf.data.predictions import Encoded
from textclf.plugin.events import EpochFinished, Progress
from textclf.testing import (
    ContractBroken,
    FolderCheckpoints,
    LocalContext,
    check_component,
    check_plugin,
    contract,
    judge_against,
    require,
    toy,
)
from textclf.testing.checks.subject import toy_dataset
from textclf.testing.toy import LinearOptions, TextsOptions, ToyLinear, ToyTexts, ToyWords, WordsOptions


def offered(hook):
    (component,) = hook()
    return component


TEXTS, WORDS = offered(toy.textclf_datasets), offered(toy.textclf_encoders)
LINEAR, ACCURACY = offered(toy.textclf_trainers), offered(toy.textclf_metrics)
SUMMARY = offered(toy.textclf_outputs)


def test_the_toy_plugin_keeps_every_contract():
    findings = check_plugin(toy)
    require(findings)
    passed = {finding.clause.id.split(".")[0] for finding in findings if finding.state == "passed"}
    assert passed == {"plugin", "component", "options", "work", "dataset", "encoder", "trainer", "metric", "output"}


@pytest.mark.parametrize("case", contract(toy), ids=str)
def test_the_toy_plugin_keeps_its_contract_clause_by_clause(case):
    case.check()


def test_a_case_that_fails_says_what_its_finding_says():
    silent = ModuleType("textclf_silent")
    silent.textclf_encoders = lambda: [replace(WORDS, summary=" ")]
    (case,) = [case for case in contract(silent) if case.clause == "component.summary"]
    assert str(case) == "encoder 'toy_words': component.summary"
    with pytest.raises(ContractBroken, match="found: its summary is empty"):
        case.check()


def test_a_known_fault_is_expected_with_its_reason_and_no_longer_than_it_lasts():
    silent = replace(WORDS, summary=" ")
    expected = {"component.summary": "it has nothing to say"}
    require(check_component(silent, "encoder", expected=expected))
    (finding,) = [f for f in check_component(silent, "encoder", expected=expected) if f.state == "expected failure"]
    assert finding.detail == "it has nothing to say; found: its summary is empty"
    with pytest.raises(ContractBroken, match=r"it is expected to fail .*, and holds: expect it no more"):
        require(check_component(WORDS, "encoder", expected=expected))


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"component.sumary": "why"}, "no clause is called 'component.sumary'; did you mean 'component.summary'?"),
        ({"component.summary": " "}, "the expected failure of 'component.summary' needs a reason"),
    ],
)
def test_an_expected_failure_needs_a_clause_and_a_reason(expected, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        check_component(WORDS, "encoder", expected=expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"toy_linaer": {"epochs": 9}}, "options: no component is called 'toy_linaer'; did you mean 'toy_linear'?"),
        ({"mpl": {}}, "options: no component is called 'mpl' (offered: toy_accuracy, toy_linear, toy_summary, "
         "toy_texts, toy_words)"),
    ],
)  # fmt: skip
def test_options_of_a_component_that_is_not_there_are_refused(options, words):
    for ask in (contract, check_plugin):
        with pytest.raises(ValueError, match=re.escape(words)):
            ask(toy, options)


def test_a_clause_that_hangs_on_a_broken_one_is_not_held_against_the_component():
    class Uneven(ToyWords):
        def encode(self, texts, context):
            return super().encode(texts, context)[1:]

    findings = check_component(replace(WORDS, build=Uneven), "encoder")
    assert [f.clause.id for f in findings if f.state == "failed"] == ["encoder.layout"]
    (order,) = [f for f in findings if f.clause.id == "encoder.order"]
    assert str(order) == "encoder 'toy_words': encoder.order: not tried (encoder.layout does not hold)"


@pytest.mark.parametrize(
    ("component", "kind", "options"),
    [
        (TEXTS, "dataset", {"multi_label": True, "labels": 5, "pairs": True, "test": 10, "unlabelled": 5, "groups": 2}),
        (TEXTS, "dataset", {"names": ["no", "[red]maybe[/red]", "=1+1"], "size": 9}),
        (WORDS, "encoder", {"layout": "counts", "cached": False}),
        (LINEAR, "trainer", {"keep": "best"}),
    ],
)
def test_the_toy_keeps_its_contract_with_other_options(component, kind, options):
    require(check_component(component, kind, options))


def test_a_finding_says_the_clause_what_was_found_and_why_it_matters():
    findings = check_component(replace(WORDS, summary=" "), "encoder")
    with pytest.raises(ContractBroken) as broken:
        require(findings)
    assert str(broken.value) == (
        "1 clause does not hold:\n"
        "encoder 'toy_words': component.summary: a component says in a few words what it is\n"
        "  found: its summary is empty\n"
        "  why: lists and editors show it"
    )


def test_a_clause_that_does_not_apply_says_why():
    (finding,) = [f for f in check_component(LINEAR, "trainer") if f.clause.id == "component.check"]
    assert str(finding) == "trainer 'toy_linear': component.check: not applicable (it has no check of its own)"


def test_what_a_component_raises_is_a_finding_with_its_place():
    def build(options):
        raise ValueError("no")

    findings = check_component(replace(ACCURACY, build=build), "metric")
    (finding,) = [f for f in findings if f.state == "failed"]
    assert finding.clause.id == "component.build"
    assert finding.detail == f"ValueError: no (test_testing.py:{build.__code__.co_firstlineno + 1})"
    assert finding.clause.why == "a run calls them"


def test_a_trainer_that_reads_what_the_toy_does_not_make_is_not_judged_without_an_encoder():
    tokens = replace(LINEAR, traits=Traits(reads=frozenset({"tokens"})))
    findings = [f for f in check_component(tokens, "trainer") if f.clause.id.startswith("trainer.")]
    assert {(f.state, f.detail) for f in findings} == {
        ("not applicable", "it reads tokens: give an encoder that makes it (StandIns, --encoder)")
    }


def test_an_output_that_writes_beside_its_folder_is_caught():
    class Astray:
        def __init__(self, options):
            pass

        def write(self, finished, folder):
            (folder.parent / "astray.txt").write_text("here")

    findings = check_component(replace(SUMMARY, build=Astray), "output")
    assert [f.detail for f in findings if f.state == "failed"] == [
        "it writes nothing into the folder it is given"
    ]


def test_the_toy_observer_logs_each_event(caplog):
    with caplog.at_level(logging.INFO, "textclf.testing.toy"):
        toy.textclf_event(Progress(stage="train", done=1, total=2, time=0.0))
    assert caplog.messages[0].startswith("{'event': 'Progress', 'time': 0.0, 'stage': 'train', 'done': 1, 'total': 2")


@pytest.fixture
def separable() -> Dataset:
    return toy_dataset("single-label", False)


def encoded(dataset: Dataset, context: LocalContext) -> Encoded:
    return Encoded(ToyWords(WordsOptions()).encode(dataset.train.texts, context), dataset.train.labels)


def test_the_toy_trainer_resumes_to_the_same_bits(tmp_path, separable):
    options = LinearOptions(epochs=25, keep="best")
    judging = judge_against(separable.train.labels, separable.labels)
    whole = LocalContext(tmp_path, judging=judging)
    train = encoded(separable, whole)
    straight = ToyLinear(options).train(None, train, train, separable.labels, whole)
    store = FolderCheckpoints(tmp_path / "checkpoints")
    stopped = LocalContext(tmp_path, checkpoints=store, judging=judging, stop_after=12)
    with pytest.raises(Stopped, match="stopped after epoch 13 of 25"):
        ToyLinear(options).train(None, train, train, separable.labels, stopped)
    again = LocalContext(tmp_path, checkpoints=store, judging=judging)
    resumed = ToyLinear(options).train(None, train, train, separable.labels, again)
    assert np.array_equal(straight.weights, resumed.weights)
    assert [e.epoch for e in again.events if isinstance(e, EpochFinished)] == list(range(14, 26))


def test_the_toy_texts_are_distinct_and_of_every_label():
    dataset = ToyTexts(TextsOptions(size=500, labels=50)).load(LocalContext(__file__))
    assert len(set(dataset.train.texts.first)) == 500
    assert set(dataset.train.labels.tolist()) == set(range(50))


def test_a_context_without_a_judge_says_how_to_give_it_one(tmp_path):
    with pytest.raises(Exception, match=r"this context has no judge; give it one: LocalContext\(judging="):
        LocalContext(tmp_path).judge(np.zeros((1, 2), np.float32))


def test_a_component_whose_library_is_absent_is_not_tried_and_no_clause_says_that_it_does_not_apply():
    component = Component(name="far", build=lambda options: 1 / 0, needs=("no_such_library",), install="far>=1")
    findings = [f for f in check_component(component, "metric") if f.clause.id.startswith("metric.")]
    said = "not installed: no_such_library; pip install 'far>=1'"
    assert {(f.state, f.detail) for f in findings} == {("not tried", said)}
    module = ModuleType("textclf_far")
    module.textclf_metrics = lambda: [component]
    (case,) = [case for case in contract(module) if case.clause == "metric.range"]
    with pytest.raises(pytest.skip.Exception, match=re.escape(said)):
        case.check()
