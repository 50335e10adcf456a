"""What a run does with components that break their contract, and with observers and outputs that raise."""

from __future__ import annotations

import json
import os
from types import ModuleType

import numpy as np
import pytest

from textclf import Component, Engine, PluginError, Traits
from textclf.testing import toy
from textclf.testing.toy import LinearOptions, ToyLinear, ToyWords, WordsOptions

from .places import placeless

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
    assert warnings == ["observer textclf_culprit fails and is left out: RuntimeError: I saw enough; mend it, or leave "
                        "it out of Engine(plugins=...): `textclf.testing.check_plugin(textclf_culprit)`"]


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


@pytest.mark.parametrize("when", ["RunStarted", "StageFinished", "RunFinished"])
def test_an_observer_that_changes_the_current_folder_costs_nothing(tmp_path, monkeypatch, when):
    """P05: the data is read, and the run written, where they were."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    data = "\n".join(f"{word} number {n},{word}" for n in range(30) for word in ("good", "bad"))
    (tmp_path / "data.csv").write_text(f"text,label\n{data}\n")

    def textclf_event(event):
        if type(event).__name__ == when:
            os.chdir(tmp_path / "elsewhere")

    files = {"use": "files", "path": "data.csv", "text": "text", "label": "label"}
    engine = Engine(plugins=[toy, plugin(textclf_event=textclf_event)], runs="runs")
    result = engine.run(recipe(dataset=files))
    assert result.report.warnings == (
        "observer textclf_culprit changed the current folder, which was put back; mend it, or leave it out of "
        "Engine(plugins=...): `textclf.testing.check_plugin(textclf_culprit)`",
    )
    assert json.loads((tmp_path / result.folder / "record.json").read_text())["state"] == "finished"
