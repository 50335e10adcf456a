"""The kit for plugin authors: the toy keeps every contract, and each clause catches what it is for."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from pydantic import ConfigDict

from textclf import Component, Dataset, Field, Finished, Options, Predictions, Problem, Stopped, Texts, Traits
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
from textclf.testing.toy.verdicts import ToyAccuracy
from textclf.testing.toy.words import ToyWords, WordsOptions


def failed(findings):
    return sorted(finding.clause.id for finding in findings if finding.state == "failed")


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


class Loose(Options):
    model_config = ConfigDict(strict=False, extra="ignore")
    size: int = 3
    word: str = Field("a", description="a word")


def test_options_that_are_not_strict_described_and_bounded_are_caught():
    findings = check_component(replace(ACCURACY, options=Loose), "metric")
    assert [(f.clause.id, f.detail) for f in findings if f.state == "failed"] == [
        ("options.strict", "its options lack strict=True, extra='forbid'"),
        ("options.described", "no description: size"),
        ("options.bounded", "a number without a bound: size"),
        ("options.unknown", "'no_such_option: 1' is taken"),
        ("options.types", "'size: '1'' is taken"),
    ]


class Uneven(ToyWords):
    def encode(self, texts, context):
        return super().encode(texts, context)[1:]


class Neighbourly(ToyWords):
    def encode(self, texts, context):
        features = super().encode(texts, context)
        return features - features.mean(axis=0)


class Negative(ToyWords):
    def encode(self, texts, context):
        return -1 - np.abs(super().encode(texts, context))


class Fragile(ToyWords):
    def encode(self, texts, context):
        return super().encode(texts, context) / np.array([[len(text)] for text in texts.first])


class Greedy(ToyWords):
    def encode(self, texts, context):
        features = super().encode(texts, context)
        texts.first[0] = "changed"
        return features


class Forgetful(ToyWords):
    def save(self, folder):
        (folder / "toy_words.npy").write_bytes(b"")


class Pickling(ToyWords):
    def save(self, folder):
        super().save(folder)
        (folder / "words.pkl").write_bytes(b"\x80\x04.")


class Lying(ToyWords):
    def fingerprint(self):
        return "always the same"


class Deaf(ToyWords):
    def encode(self, texts, context):
        return super().encode(Texts(texts.first), context)


@pytest.mark.parametrize(
    ("encoder", "layout", "clause"),
    [
        (Uneven, "matrix", "encoder.layout"),
        (Neighbourly, "matrix", "encoder.neighbours"),
        (Negative, "counts", "encoder.layout"),
        (Fragile, "matrix", "encoder.hostile"),
        (Greedy, "matrix", "encoder.input"),
        (Forgetful, "matrix", "encoder.restore"),
        (Pickling, "matrix", "encoder.pickle"),
        (Lying, "matrix", "encoder.fingerprint"),
        (Deaf, "matrix", "encoder.pairs"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_a_wrong_encoder_is_caught_by_the_clause_it_breaks(encoder, layout, clause):
    assert clause in failed(check_component(replace(WORDS, build=encoder), "encoder", {"layout": layout}))


class Model:
    """A right model, turned wrong by what `turn` does to its scores."""

    def __init__(self, model, turn):
        self.model, self.turn = model, turn

    def scores(self, features, context):
        return self.turn(self.model.scores(features, context))

    def save(self, folder):
        self.model.save(folder)


def trainer(turn):
    class Turned(ToyLinear):
        def train(self, encoder, train, validation, labels, context):
            return Model(super().train(encoder, train, validation, labels, context), turn)

    return replace(LINEAR, build=Turned)


@pytest.mark.parametrize(
    ("turn", "clauses"),
    [
        (lambda s: s[:, ::-1], ["trainer.learns", "trainer.restore"]),
        (lambda s: s.astype(np.float64), ["trainer.scores"]),
        (lambda s: s * 2, ["trainer.restore", "trainer.scores"]),
        (lambda s: s * np.float32(0.5), ["trainer.restore", "trainer.scores"]),
        (lambda s: s + np.float32(1 / (100 * len(s))), ["trainer.neighbours", "trainer.restore", "trainer.scores"]),
    ],
)
def test_a_wrong_model_is_caught_by_the_clauses_it_breaks(turn, clauses):
    findings = check_component(trainer(turn), "trainer", {"epochs": 20})
    assert set(clauses) <= set(failed(findings))
    assert "component.build" not in failed(findings)


def test_a_trainer_that_draws_from_somewhere_else_than_its_seed_is_caught():
    chance = np.random.default_rng()

    class Random(ToyLinear):
        def train(self, encoder, train, validation, labels, context):
            model = super().train(encoder, train, validation, labels, context)
            model.weights = model.weights + chance.normal(0, 1e-3, model.weights.shape)
            return model

    assert failed(check_component(replace(LINEAR, build=Random), "trainer")) == ["trainer.names", "trainer.repeats"]


def test_a_trainer_that_reads_what_the_toy_does_not_make_is_not_judged_without_an_encoder():
    tokens = replace(LINEAR, traits=Traits(reads=frozenset({"tokens"})))
    findings = [f for f in check_component(tokens, "trainer") if f.clause.id.startswith("trainer.")]
    assert {(f.state, f.detail) for f in findings} == {
        ("not applicable", "it reads tokens: give StandIns an encoder that makes it")
    }


class Falling(ToyAccuracy):
    greater_is_better = False


class Unweighted(ToyAccuracy):
    def __call__(self, predictions, weights=None):
        value = super().__call__(predictions)
        return value if weights is None else np.full(len(weights), value)


class First(ToyAccuracy):
    def __call__(self, predictions, weights=None):
        return 1.0 if np.all(predictions.truth[0] == predictions.predicted[0]) else 0.0


class Peeking(ToyAccuracy):
    def __call__(self, predictions, weights=None):
        return super().__call__(predictions, weights) + float(predictions.scores.max()) / 100


@pytest.mark.parametrize(
    ("metric", "clause"),
    [
        (Falling, "metric.extremes"),
        (Unweighted, "metric.weights"),
        (First, "metric.order"),
        (First, "metric.float"),
        (Peeking, "metric.cells"),
    ],
)
def test_a_wrong_metric_is_caught_by_the_clause_it_breaks(metric, clause):
    assert clause in failed(check_component(replace(ACCURACY, build=lambda options: metric()), "metric"))


def altered(change):
    class Altered(ToyTexts):
        def load(self, context):
            return change(super().load(context), context)

    return replace(TEXTS, build=Altered)


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (lambda d, c: replace(d, train=replace(d.train, labels=d.train.labels + 1)), "dataset.labels"),
        (lambda d, c: replace(d, train=replace(d.train, labels=d.train.labels.astype(np.int32))), "dataset.labels"),
        (lambda d, c: replace(d, train=replace(d.train, texts=Texts([1] * len(d.train)))), "dataset.texts"),
        (lambda d, c: replace(d, train=replace(d.train, ids=range(len(d.train)))), "dataset.ids"),
        (lambda d, c: replace(d, train=d.train.take(np.arange(20) + c.seed)), "dataset.stable"),
        (lambda d, c: replace(d, labels=replace(d.labels, task="multi-label", positive=None)), "dataset.traits"),
    ],
)
def test_a_wrong_dataset_is_caught_by_the_clause_it_breaks(change, clause):
    assert clause in failed(check_component(altered(change), "dataset"))


def test_a_component_whose_check_complains_about_sound_options_is_caught():
    findings = check_component(replace(WORDS, check=lambda options: [Problem("no", ("columns",))]), "encoder")
    assert failed(findings) == ["component.check"]


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


def plugin(tmp_path, monkeypatch, source):
    (tmp_path / "textclf_mine.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = ModuleType("textclf_mine")
    module.__spec__ = __import__("importlib.util").util.find_spec("textclf_mine")
    exec(source, module.__dict__)
    return module


@pytest.mark.parametrize(
    ("source", "clause", "detail"),
    [
        ("import numpy", "plugin.light", "importing it and calling its hooks imports numpy"),
        ("def textclf_encoders():\n    open('mine.txt', 'w')\n    return []", "plugin.pure",
         "its hooks act: writes mine.txt"),
        ("def textclf_encoder():\n    return []", "plugin.loads",
         "defines 'textclf_encoder', which is no hook; did you mean 'textclf_encoders'?"),
        ("def textclf_event(event):\n    return 1", "plugin.observer", "textclf_event answers 1 to RunStarted"),
    ],
)  # fmt: skip
def test_a_wrong_plugin_is_caught_by_the_clause_it_breaks(source, clause, detail, tmp_path, monkeypatch):
    findings = check_plugin(plugin(tmp_path, monkeypatch, source + "\n"))
    assert [(f.clause.id, f.detail) for f in findings if f.state == "failed"] == [(clause, detail)]


def test_the_toy_observer_logs_each_event(caplog):
    with caplog.at_level(logging.INFO, "textclf.testing.toy"):
        toy.textclf_event(Progress(stage="train", done=1, total=2, time=0.0))
    assert json.loads(caplog.messages[0].replace("'", '"').replace("None", "null"))["event"] == "Progress"


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
