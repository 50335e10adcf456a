"""The kit for plugin authors: the toy plugin keeps every contract, and findings say what they must."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from textclf import Component, Dataset, Finished, Predictions, Stopped, Texts, Traits
from textclf.data.predictions import Encoded
from textclf.hooks.events import EpochFinished, Progress
from textclf.testing import (
    ContractBroken,
    FolderCheckpoints,
    LocalContext,
    StandIns,
    check_component,
    check_plugin,
    judge_against,
    require,
    toy,
)
from textclf.testing.checks.subject import toy_dataset
from textclf.testing.toy.linear import LinearOptions, ToyLinear
from textclf.testing.toy.texts import TextsOptions, ToyTexts
from textclf.testing.toy.words import ToyWords, WordsOptions


def offered(hook):
    (component,) = hook()
    return component


TEXTS, WORDS = offered(toy.textclf_datasets), offered(toy.textclf_encoders)
LINEAR, ACCURACY = offered(toy.textclf_trainers), offered(toy.textclf_metrics)
SUMMARY = offered(toy.textclf_outputs)


@pytest.fixture
def finished():
    truth = np.array([0, 1, 1])
    labels = toy_dataset("single-label", False).labels
    scores = np.eye(3, dtype=np.float32)[[0, 1, 2]]
    predictions = Predictions(labels, truth, scores.argmax(axis=1), scores, Texts(["a", "b", "c"]), ["0", "1", "2"])
    return Finished(None, predictions, [{}, {}], None, {})


def test_the_toy_plugin_keeps_every_contract(finished):
    findings = check_plugin(toy, stand_ins=StandIns(finished=finished))
    require(findings)
    passed = {finding.clause.id.split(".")[0] for finding in findings if finding.state == "passed"}
    assert passed == {"plugin", "component", "options", "dataset", "encoder", "trainer", "metric", "output"}


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

    (finding,) = [f for f in check_component(replace(ACCURACY, build=build), "metric") if f.clause.id == "metric.order"]
    assert finding.state == "failed"
    assert finding.detail.startswith(f"ValueError: no ({__file__}:")


def test_a_trainer_that_reads_what_the_toy_does_not_make_is_not_judged_without_an_encoder():
    tokens = replace(LINEAR, traits=Traits(reads=frozenset({"tokens"})))
    findings = [f for f in check_component(tokens, "trainer") if f.clause.id.startswith("trainer.")]
    assert {(f.state, f.detail) for f in findings} == {
        ("not applicable", "it reads tokens: give StandIns an encoder that makes it")
    }


def test_an_output_that_writes_beside_its_folder_is_caught(finished):
    class Astray:
        def __init__(self, options):
            pass

        def write(self, finished, folder):
            (folder.parent / "astray.txt").write_text("here")

    findings = check_component(replace(SUMMARY, build=Astray), "output", None, StandIns(finished=finished))
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


def test_a_component_whose_library_is_absent_is_not_judged():
    component = Component(name="far", build=lambda options: 1 / 0, needs=("no_such_library",), install="far>=1")
    findings = [f for f in check_component(component, "metric") if f.clause.id.startswith("metric.")]
    assert {(f.state, f.detail) for f in findings} == {("not applicable", "not installed: no_such_library")}
