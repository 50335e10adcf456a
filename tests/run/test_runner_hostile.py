"""Components, observers and outputs that break their contract in a run."""

from __future__ import annotations

import asyncio
import json
import os
from types import ModuleType

import numpy as np
import pytest

from tests.places import placeless
from textclf import Component, Engine, Options, PluginError, Problem, RecipeError, Traits
from textclf.plugin.discovery import discover
from textclf.testing import toy
from textclf.testing.toy import LinearOptions, ToyAccuracy, ToyLinear, ToyWords, WordsOptions

BOTH = frozenset({"single-label", "multi-label"})


def recipe(**changes):
    steps = {"dataset": {"use": "toy_texts", "size": 40}, "encoder": "toy_words", "trainer": "toy_linear"}
    return {"version": 1, "name": "borders", **steps, "metrics": ["toy_accuracy"], **changes}


def plugin(**hooks):
    module = ModuleType("textclf_culprit")
    vars(module).update(hooks)
    return module


def run(tmp_path, changes, **hooks):
    engine = Engine(plugins=[toy, plugin(**hooks)], entry_points=False, runs=tmp_path / "runs")
    return engine.run(recipe(**changes))


def encoder(change):
    class Culprit(ToyWords):
        def encode(self, texts, context):
            return change(super().encode(texts, context))

    return Component(name="odd", build=lambda options: Culprit(WordsOptions()), traits=Traits(makes="matrix"))


class Wrong:
    """A model that answers with what it is given."""

    def __init__(self, answer):
        self.answer = answer

    def scores(self, features, context):
        return self.answer(len(features))

    def save(self, folder):
        """Nothing."""


def trainer(answer):
    class Culprit(ToyLinear):
        def train(self, encoder, train, validation, labels, context):
            return Wrong(answer)

    traits = Traits(reads=frozenset({"matrix"}))
    return Component(name="odd", build=lambda options: Culprit(LinearOptions()), traits=traits)


def metric(value):
    class Culprit:
        greater_is_better, reads_scores = True, True

        def __call__(self, predictions, weights=None):
            return value if weights is None else np.full(len(weights), value)

    return Component(name="odd", build=lambda options: Culprit(), traits=Traits(tasks=BOTH))


def blamed(tmp_path, changes, **hooks):
    with pytest.raises(PluginError) as caught:
        run(tmp_path, changes, **hooks)
    assert caught.value.exit_code == 5
    return placeless(str(caught.value))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda features: features[1:], "31 rows of features for 32 texts"),
        (lambda features: features * np.nan, "features that are NaN or infinite"),
        (lambda features: None, "nothing, which has no rows"),
    ],
)
def test_features_of_a_wrong_length_or_without_numbers_are_blamed_on_the_encoder(tmp_path, change, found):
    """P04: wrong type, length or NaN from an encoder; the plugin and the method are named."""
    words = blamed(tmp_path, {"encoder": "odd"}, textclf_encoders=lambda: [encoder(change)])
    assert words == f"encoder 'odd' (plugin textclf_culprit): encode returned {found}"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda n: np.full((n, 3), 0.3, np.float32), "shape (8, 3) for 8 texts and 2 labels"),
        (lambda n: np.full((n + 1, 2), 0.5, np.float32), "shape (9, 2) for 8 texts and 2 labels"),
        (lambda n: np.full((n, 2), np.nan, np.float32), "NaN or infinite scores for 8 texts (the first is text 0)"),
        (lambda n: np.full((n, 2), 1.5, np.float32), "scores from 1.5 to 1.5, which are no probabilities"),
        (lambda n: "scores", "a str, not an array of float32 [texts, labels]"),
    ],
)
def test_scores_of_a_wrong_shape_or_range_are_blamed_on_the_trainer(tmp_path, answer, found):
    """P04: wrong type, length, range or NaN from a model; the plugin and the method are named."""
    words = blamed(tmp_path, {"trainer": "odd"}, textclf_trainers=lambda: [trainer(answer)])
    assert words == f"trainer 'odd' (plugin textclf_culprit): Model.scores returned {found}"


@pytest.mark.parametrize("value", [None, "much"])
def test_a_metric_that_returns_no_number_is_blamed(tmp_path, value):
    """P04: wrong type from a metric."""
    words = blamed(tmp_path, {"metrics": ["odd"]}, textclf_metrics=lambda: [metric(value)])
    assert words.startswith("metric 'odd' (plugin textclf_culprit): __call__ returned ")


def test_an_observer_that_raises_is_a_warning_and_the_run_goes_on(tmp_path):
    """P05: one warning, however many events follow."""

    def textclf_event(event):
        raise RuntimeError("I saw enough")

    result = run(tmp_path, {}, textclf_event=textclf_event)
    warnings = [placeless(words) for words in result.report.warnings if "culprit" in words]
    assert warnings == ["observer textclf_culprit fails and is left out: RuntimeError: I saw enough; remove it "
                        "from Engine(plugins=...), or see `textclf.testing.check_plugin(textclf_culprit)`"]


def test_an_output_that_raises_is_a_warning_and_the_run_goes_on(tmp_path):
    """P05: the result is there, with the outputs that work."""

    class Broken:
        def write(self, finished, folder):
            raise OSError("no room")

    odd = Component(name="odd", build=lambda options: Broken())
    result = run(tmp_path, {"outputs": ["odd", "toy_summary"]}, textclf_outputs=lambda: [odd])
    words = "output 'odd' (plugin textclf_culprit): write fails, the run goes on: OSError: no room"
    assert words in map(placeless, result.report.warnings)
    assert (result.folder / "toy_summary.json").exists()
    assert (result.folder / "metrics.json").exists()


def test_an_observer_that_changes_the_current_folder_loses_no_run(tmp_path, monkeypatch):
    """P05: the run is written where it began."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def textclf_event(event):
        os.chdir(tmp_path / "elsewhere")

    made = Engine(plugins=[toy, plugin(textclf_event=textclf_event)], entry_points=False, runs="runs")
    result = made.run(recipe())
    assert result.report.warnings == ()
    assert str(result.folder).startswith("runs/borders/")
    assert json.loads((tmp_path / result.folder / "record.json").read_text())["state"] == "finished"
    assert list((tmp_path / "elsewhere").iterdir()) == []


MATRIX, READS = Traits(makes="matrix"), Traits(reads=frozenset({"matrix"}))


class Unsayable(Exception):
    def __str__(self):
        raise ValueError("no words")


class Own(BaseException):
    """Neither an Exception nor one of Python's own."""


def raising(error):
    def fail(*args):
        raise error

    return fail


def odd_encoder(**methods):
    made = type("Odd", (ToyWords,), methods)
    return [Component(name="odd", build=lambda options: made(WordsOptions()), traits=MATRIX)]


def odd_trainer(**methods):
    made = type("Odd", (ToyLinear,), methods)
    return [Component(name="odd", build=lambda options: made(LinearOptions()), traits=READS)]


def odd_metric(**methods):
    return [Component(name="odd", build=lambda options: type("Odd", (ToyAccuracy,), methods)())]


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ({"encode": raising(SystemExit(0))}, "encode() fails: SystemExit: 0"),
        ({"encode": raising(Own("x"))}, "encode() fails: Own: x"),
        ({"fit": raising(Unsayable())}, "fit() fails: Unsayable"),
        ({"fingerprint": property(raising(ValueError("no")))}, "build() fails: ValueError: no"),
        ({"fingerprint": lambda self: 3}, "fingerprint returned an int, not a str"),
        ({"save": raising(SystemExit(3))}, "save() fails: SystemExit: 3"),
        (
            {"encode": lambda self, texts, context: np.array([[text] for text in texts.first], object)},
            "encode returned features of the type object, which are no numbers",
        ),
        (
            {"encode": lambda self, texts, context: type("F", (), {"__len__": raising(OSError("gone"))})()},
            "encode() fails: OSError: gone",
        ),
    ],
)
def test_whatever_an_encoder_raises_or_returns_is_its_fault(tmp_path, methods, words):
    """P04: also what is no Exception, and what cannot say what it is."""
    found = blamed(tmp_path, {"encoder": "odd"}, textclf_encoders=lambda: odd_encoder(**methods))
    assert found == f"encoder 'odd' (plugin textclf_culprit): {words}"


def test_a_fingerprint_that_utf8_cannot_carry_is_one_all_the_same(tmp_path):
    hooks = {"textclf_encoders": lambda: odd_encoder(fingerprint=lambda self: "\ud800")}
    assert run(tmp_path, {"encoder": "odd"}, **hooks).folder.is_dir()


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ({"train": lambda *args: None}, "train() returns nothing; return the model"),
        ({"train": lambda *args: type("M", (), {"scores": property(raising(ValueError("no")))})()},
         "train() fails: ValueError: no"),
        ({"train": raising(Own("x"))}, "train() fails: Own: x"),
        ({"train": lambda *args: args[-1].judge(np.zeros(3))},
         "Model.scores returned shape (3,) for 8 texts and 2 labels"),
    ],
)  # fmt: skip
def test_whatever_a_trainer_raises_or_returns_is_its_fault(tmp_path, methods, words):
    """P04: also in the judge that the context gives."""
    hooks = {"textclf_trainers": lambda: odd_trainer(**methods)}
    if "shape" in words:
        traits = Traits(reads=frozenset({"matrix"}), uses_validation=True)
        made = type("Odd", (ToyLinear,), methods)
        odd = Component(name="odd", build=lambda options: made(LinearOptions()), traits=traits)
        hooks = {"textclf_trainers": lambda: [odd]}
        found = blamed(tmp_path, {"trainer": "odd", "split": {"test": 0.2, "validation": 0.2}}, **hooks)
    else:
        found = blamed(tmp_path, {"trainer": "odd"}, **hooks)
    assert found == f"trainer 'odd' (plugin textclf_culprit): {words}"


def test_a_model_that_is_restored_as_nothing_is_its_trainers_fault(tmp_path):
    """P04: seen when the model is loaded, and not when the first text comes."""
    hooks = {"textclf_trainers": lambda: odd_trainer(restore=lambda *args: None)}
    folder = run(tmp_path, {"trainer": "odd"}, **hooks).folder
    with pytest.raises(PluginError) as caught:
        Engine(plugins=[toy, plugin(**hooks)], entry_points=False).load(folder)
    assert str(caught.value) == "trainer 'odd' (plugin textclf_culprit): restore() returns nothing; return the model"


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ({"reads_scores": property(raising(ValueError("no")))}, "reads_scores() fails: ValueError: no"),
        ({"greater_is_better": property(raising(ValueError("no")))}, "build() fails: ValueError: no"),
        ({"greater_is_better": "yes"}, "build() returns an Odd without 'greater_is_better', which the contract of "
                                       "textclf.Metric requires"),
        ({"__call__": raising(SystemExit(0))}, "__call__() fails: SystemExit: 0"),
        ({"__call__": lambda self, p, weights=None: 1j}, "__call__ returned a complex, not a number"),
        ({"reads_scores": True, "__call__": lambda self, p, weights=None: p.scores.fill(0) or 0.5},
         "__call__() fails: ValueError: assignment destination is read-only"),
        ({"__call__": lambda self, p, weights=None: p.truth.sort()},
         "__call__() fails: ValueError: sort array is read-only"),
    ],
)  # fmt: skip
def test_whatever_a_metric_raises_returns_or_writes_into_is_its_fault(tmp_path, methods, words):
    """P04: what a metric is given is read by all others too."""
    found = blamed(tmp_path, {"metrics": ["odd"]}, textclf_metrics=lambda: odd_metric(**methods))
    assert found == f"metric 'odd' (plugin textclf_culprit): {words}"


class Unserious(Options):
    thing: object = object()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"traits": lambda options: Traits(reads="matrix")}, "traits() returns Traits with a str as reads, not a "
                                                             "frozenset of str"),
        ({"traits": lambda options: Traits(tasks=frozenset({"single"}))}, "traits() returns Traits with 'single' "
                                                                          "among its tasks"),
        ({"traits": lambda options: Traits(tasks=frozenset())}, "traits() returns Traits with no tasks"),
        ({"traits": lambda options: Traits(pairs="no")}, "traits() returns Traits with a str as pairs, not a bool"),
        ({"check": lambda options: [Problem("x", path="path")]}, "check() returns something other than "
                                                                 "textclf.Problem"),
        ({"check": raising(Own("x"))}, "check() fails: Own: x"),
    ],
)  # fmt: skip
def test_what_a_component_says_of_itself_is_looked_at_in_the_plan(tmp_path, fields, words):
    """P04: traits and problems of a wrong type."""
    odd = Component(**{"name": "odd", "build": ToyWords, "traits": MATRIX, **fields})
    engine = Engine(plugins=[toy, plugin(textclf_encoders=lambda: [odd])], entry_points=False)
    with pytest.raises(RecipeError) as caught:
        engine.plan(recipe(encoder="odd"))
    assert f"encoder 'odd' (plugin textclf_culprit): {words}" in placeless(str(caught.value))
    assert caught.value.exit_code == 5


def test_options_that_json_cannot_hold_are_the_plugins_fault(tmp_path):
    odd = Component(name="odd", options=Unserious, build=lambda options: ToyWords(WordsOptions()), traits=MATRIX)
    engine = Engine(plugins=[toy, plugin(textclf_encoders=lambda: [odd])], entry_points=False, runs=tmp_path)
    with pytest.raises(PluginError) as caught:
        engine.run(recipe(encoder="odd"))
    assert str(caught.value).startswith("encoder 'odd' (plugin textclf_culprit): options() fails: ")


@pytest.mark.parametrize(
    ("hooks", "reason"),
    [
        ({"textclf_encoders": [Component(name="odd", build=ToyWords)]}, "'textclf_encoders' is a list, not a function"),
        ({"textclf_event": type("E", (), {})}, "'textclf_event' is a type, not a function"),
        (
            {"textclf_encoders": lambda: [Component(name="odd", build=ToyWords, summary=3)]},
            "textclf_encoders() offers 'odd' with an int as summary, not a str",
        ),
        (
            {"textclf_encoders": lambda: [Component(name="odd", build=ToyWords, traits=Traits(reads="matrix"))]},
            "textclf_encoders() offers 'odd' with a str as reads, not a frozenset of str",
        ),
        ({"textclf_encoders": raising(Unsayable())}, "textclf_encoders() fails: Unsayable"),
    ],
)
def test_what_stands_there_wrongly_is_listed_with_the_reason(hooks, reason):
    """P02, P04: in place of silence."""
    [found] = discover([plugin(**hooks)], entry_points=False).plugins
    assert placeless(found.error) == reason


def test_an_object_that_cannot_be_looked_at_harms_nothing():
    class Door:
        @property
        def textclf_encoders(self):
            raise ValueError("not today")

    found = discover([toy, Door()], entry_points=False)
    assert {known.module: known.error for known in found.plugins} == {
        "Door": "cannot be inspected: ValueError: not today", "textclf.testing.toy": "",
    }  # fmt: skip
    assert found.names("encoder") == ["toy_words"]


def test_a_hook_that_is_a_coroutine_is_listed():
    async def textclf_encoders():
        await asyncio.sleep(0)

    odd = plugin(textclf_encoders=textclf_encoders)
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        [found] = discover([odd], entry_points=False).plugins
    assert found.error == "textclf_encoders() returns a coroutine, not a list of components"


@pytest.mark.parametrize("error", [Own("x"), SystemExit(3), Unsayable()])
def test_an_observer_may_raise_anything_and_the_run_goes_on(tmp_path, error):
    """P05: it is heard of once."""
    warnings = run(tmp_path, {}, textclf_event=raising_event(error)).report.warnings
    said = {"Own": "Own: x", "SystemExit": "SystemExit: 3", "Unsayable": "Unsayable"}[type(error).__name__]
    assert [placeless(each) for each in warnings if "culprit" in each] == [
        f"observer textclf_culprit fails and is left out: {said}; remove it from Engine(plugins=...), or see "
        "`textclf.testing.check_plugin(textclf_culprit)`"
    ]


def raising_event(error):
    def textclf_event(event):
        raise error

    return textclf_event


@pytest.mark.parametrize("error", [Own("x"), SystemExit(3), Unsayable()])
def test_an_output_may_raise_anything_and_the_run_goes_on(tmp_path, error):
    """P05: the report says so."""
    odd = Component(name="odd", build=lambda options: type("Odd", (), {"write": raising(error)})())
    result = run(tmp_path, {"outputs": ["odd", "toy_summary"]}, textclf_outputs=lambda: [odd])
    assert any(each.startswith("output 'odd' (plugin textclf_culprit): write fails") for each in result.report.warnings)
    assert (result.folder / "toy_summary.json").exists()


def test_a_warning_that_is_no_text_is_told_as_one(tmp_path):
    def fit(self, train, context):
        context.warn(3)

    result = run(tmp_path, {"encoder": "odd"}, textclf_encoders=lambda: odd_encoder(fit=fit))
    assert "3" in result.report.warnings


def test_a_component_that_changes_the_current_folder_loses_no_run(tmp_path, monkeypatch):
    """The run's folder is relative to the folder where the run began."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()

    def train(self, encoder, train, validation, labels, context):
        os.chdir(tmp_path / "elsewhere")
        context.warn("I am elsewhere")
        return ToyLinear.train(self, encoder, train, validation, labels, context)

    hooks = {"textclf_trainers": lambda: odd_trainer(train=train)}
    result = Engine(plugins=[toy, plugin(**hooks)], entry_points=False).run(recipe(trainer="odd"))
    assert str(result.folder).startswith("runs/borders/")
    assert json.loads((tmp_path / result.folder / "record.json").read_text("utf-8"))["state"] == "finished"
    assert result.report.warnings == ("I am elsewhere",)
