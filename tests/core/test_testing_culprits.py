"""Wrong components and plugins, one for each clause: each is caught by the clause it breaks."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
from pydantic import ConfigDict

from textclf import Field, Options, Problem, Texts
from textclf.testing import check_component, check_plugin, toy
from textclf.testing.toy.linear import ToyLinear
from textclf.testing.toy.texts import ToyTexts
from textclf.testing.toy.verdicts import ToyAccuracy
from textclf.testing.toy.words import ToyWords


def failed(findings):
    return sorted(finding.clause.id for finding in findings if finding.state == "failed")


def offered(hook):
    (component,) = hook()
    return component


TEXTS, WORDS = offered(toy.textclf_datasets), offered(toy.textclf_encoders)
LINEAR, ACCURACY = offered(toy.textclf_trainers), offered(toy.textclf_metrics)


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


def plugin(tmp_path, monkeypatch, source):
    (tmp_path / "textclf_mine.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = ModuleType("textclf_mine")
    module.__spec__ = find_spec("textclf_mine")
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
