"""What findings say where a first draft of a plugin goes wrong: one fault, one finding, in words of its own."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import numpy as np
import pytest

from tests.culprits.making import ACCURACY, LINEAR, WORDS
from tests.culprits.trainers import TRAINERS
from textclf.testing import check_component
from textclf.testing.toy import ToyAccuracy, ToyLinear, ToyModel, ToyWords


def failed(component, kind, **given):
    findings = check_component(component, kind, **given)
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


def encoding(encode, **changes):
    """Return what is found of an encoder that encodes as `encode` says, given the toy's features and the texts."""

    class Encoding(ToyWords):
        def encode(self, texts, context):
            return encode(super().encode(texts, context), texts)

    return failed(replace(WORDS, build=Encoding, **changes), "encoder", options={"layout": "counts"})


@pytest.mark.parametrize(
    ("encode", "said"),
    [
        (lambda features, texts: None, "encode returns nothing; return one row of features a text"),
        (
            lambda features, texts: features.tolist(),
            "it makes counts, and encode returns a list, not an array [texts, columns]",
        ),
        (
            lambda features, texts: features[:, 0],
            "it makes counts, and encode returns a ndarray of shape [132], not an array [texts, columns]",
        ),
        (lambda features, texts: features.astype(str), "its features are of dtype <U32, no numbers"),
        (lambda features, texts: features[1:], "131 rows for 132 texts"),
    ],
)
def test_features_of_another_form_are_one_finding_that_says_which(encode, said):
    assert encoding(encode) == {"encoder.layout": said}


def shouting(texts):
    return np.array([[any(letter.isupper() for letter in text)] for text in texts.first])


def long(texts):
    return np.array([[len(text) > 5_000] for text in texts.first])


def test_negative_counts_are_found_on_texts_as_people_write_them_and_the_text_is_named():
    assert encoding(lambda features, texts: features - shouting(texts)) == {
        "encoder.layout": "the text 'GREAT film!!! Loved it :)' gives a negative count: -1"
    }
    (said,) = encoding(lambda features, texts: features - 3 * long(texts)).values()
    assert said.startswith("the text 'wordwordword")
    assert said.endswith("...' gives a negative count: -3")


def test_infinity_of_an_empty_text_is_found_of_an_encoder_of_a_matrix_too():
    found = failed(replace(WORDS, build=Ratio, restore=None), "encoder")
    assert found == {"encoder.hostile": "the text '' gives NaN or infinity: nan"}


class Ratio(ToyWords):
    """Divides by the length of a text."""

    def fit(self, train, context):
        """Nothing is learnt."""

    def encode(self, texts, context):
        lengths = np.array([[float(len(text.strip()))] for text in texts.first])
        with np.errstate(invalid="ignore", divide="ignore"):
            return (super().encode(texts, context) / lengths).astype(np.float32)


class Unfinished(ToyWords):
    def fit(self, train, context):
        raise KeyError("words")


def test_what_nothing_can_be_built_on_is_one_finding_and_all_else_is_not_tried():
    findings = check_component(replace(WORDS, build=Unfinished), "encoder")
    assert [finding.clause.id for finding in findings if finding.state == "failed"] == ["encoder.layout"]
    untried = {finding.clause.id: finding.detail for finding in findings if finding.state == "not tried"}
    assert set(untried.values()) == {"encoder.layout does not hold"}
    assert {"encoder.pickle", "encoder.process", "encoder.restore", "encoder.options"} <= set(untried)
    of_tokens = {finding.detail for finding in findings if finding.clause.id.startswith("tokens.")}
    assert of_tokens == {"it makes no tokens", "it does not tell where its tokens are in a batch"}
    explaining = {finding.state for finding in findings if finding.clause.id in ("encoder.spans", "encoder.reads")}
    assert explaining == {"not applicable"}


class Helpless(ToyLinear):
    def train(self, *given):
        raise KeyError("weights")


def test_a_trainer_that_does_not_train_is_one_finding():
    findings = check_component(replace(LINEAR, build=Helpless), "trainer")
    findings = [finding for finding in findings if finding.clause.id.startswith("trainer.")]
    assert {finding.clause.id for finding in findings if finding.state == "failed"} == {"trainer.model"}
    others = {one.clause.id: (one.state, one.detail) for one in findings if one.clause.id != "trainer.model"}
    assert others.pop("trainer.input") == ("not applicable", "it does not get so far")
    assert others.pop("trainer.validation") == ("not applicable", "it uses no validation texts")
    assert set(others.values()) == {("not tried", "trainer.model does not hold")}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda model: Scoring(model, lambda scores: None), "single-label scores are nothing, not float32[60, 3]"),
        (
            lambda model: Scoring(model, lambda scores: scores.tolist()),
            "single-label scores are a list, not float32[60, 3]",
        ),
        (lambda model: Scoring(model, lambda scores: scores * np.nan), "single-label scores hold NaN or infinity"),
    ],
)
def test_scores_of_another_form_are_one_finding_that_says_which(given, said):
    class Training(ToyLinear):
        def train(self, *rest):
            return given(super().train(*rest))

    assert failed(replace(LINEAR, build=Training), "trainer") == {"trainer.scores": said}


@pytest.mark.parametrize(
    ("given", "said"),
    [(None, "nothing, which has no scores, save"), ([], "a list, which has no scores, save")],
)
def test_what_a_trainer_returns_in_place_of_a_model_is_one_finding_with_its_line(given, said):
    class Training(ToyLinear):
        def train(self, *rest):
            return given

    line = Training.train.__code__.co_firstlineno
    found = failed(replace(LINEAR, build=Training), "trainer")
    assert found == {"trainer.model": f"train returns {said} (test_testing_findings.py:{line})"}


def test_a_trainer_that_learns_too_little_is_told_of_what_and_which_options_may_help():
    wrong = TRAINERS["trainer.learns"]
    (said,) = failed(wrong.component, wrong.kind, options=wrong.options).values()
    assert re.fullmatch(
        r"taught on 90 separable single-label texts it gets \d+% right of 60 others; 75% is asked; where it needs more "
        r"steps for that, give it options, such as `--set toy_linear.epochs=...` or "
        r"`options={'toy_linear': {'epochs': ...}}`",
        said,
    )


class Scoring(ToyModel):
    def __init__(self, model, turn):
        super().__init__(model.weights, model.task)
        self.turn = turn

    def scores(self, features, context):
        return self.turn(super().scores(features, context))


@pytest.mark.parametrize(
    ("turn", "found"),
    [
        (lambda value, given: None, {"metric.float": "single-label: it returns nothing, not a float"}),
        (lambda value, given: int(value), {"metric.float": "single-label: it returns an int, not a float"}),
        (
            lambda value, given: float("nan"),
            {"metric.float": "single-label: it returns NaN where three in four are right; return a number"},
        ),
        (
            lambda value, given: value if value > 0 else float("nan"),
            {"metric.extremes": "single-label: it is nan where all is wrong; say which number it is there"},
        ),
        (lambda value, given: float(np.float32(value)), {}),
    ],
)
def test_what_a_metric_returns_wrongly_is_one_finding(turn, found):
    class Turned(ToyAccuracy):
        def __call__(self, predictions, weights=None):
            value = super().__call__(predictions, weights)
            return turn(value, predictions) if weights is None else value

    assert failed(replace(ACCURACY, build=lambda options: Turned()), "metric") == found


def test_a_metric_that_reads_scores_and_denies_it_is_told_what_to_set():
    class Peeking(ToyAccuracy):
        def __call__(self, predictions, weights=None):
            each = predictions.scores.max(axis=1).astype(float) > 0.6
            each = each & (predictions.truth == predictions.predicted).reshape(len(predictions), -1).all(axis=1)
            return float(each.mean()) if weights is None else weights @ each / weights.sum(axis=1)

    found = failed(replace(ACCURACY, build=lambda options: Peeking()), "metric")
    assert list(found) == ["metric.cells"]
    assert found["metric.cells"].startswith("single-label: 0.")
    assert found["metric.cells"].endswith(", and 0.0 with other scores; set `reads_scores = True`")


def test_a_fault_in_a_plugin_s_own_code_is_found_with_its_line():
    def build(options):
        raise OSError("no such file")

    (finding,) = [one for one in check_component(replace(WORDS, build=build), "encoder") if one.state == "failed"]
    line = build.__code__.co_firstlineno + 1
    assert str(finding) == (
        "encoder 'toy_words': component.build: build gives an object with its kind's methods\n"
        f"  found: OSError: no such file (test_testing_findings.py:{line})\n"
        "  why: a run calls them"
    )


@pytest.mark.parametrize(("part", "clause"), [(ToyWords, "encoder.restore"), (ToyModel, "trainer.files")])
def test_what_is_saved_and_is_no_file_is_named(part, clause, monkeypatch):
    saved = part.save

    def save(made, folder):
        saved(made, folder)
        os.mkfifo(folder / "odd")

    monkeypatch.setattr(part, "save", save)
    component, kind = (WORDS, "encoder") if part is ToyWords else (LINEAR, "trainer")
    found = failed(component, kind)
    assert found[clause].startswith("it saves 'odd', neither a file nor a folder; write plain files")
