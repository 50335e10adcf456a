"""Findings of the contract checks: one error is one finding, in words that help."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from tests.culprits.making import ACCURACY, LINEAR, SUMMARY, TEXTS, WORDS
from tests.culprits.trainers import TRAINERS
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
from textclf.testing.toy import (
    LinearOptions,
    TextsOptions,
    ToyAccuracy,
    ToyLinear,
    ToyModel,
    ToyTexts,
    ToyWords,
    WordsOptions,
    restore_words,
)


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
    assert finding.detail == f"ValueError: no (test_contract.py:{build.__code__.co_firstlineno + 1})"
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
    assert found == {"trainer.model": f"train returns {said} (test_contract.py:{line})"}


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
        f"  found: OSError: no such file (test_contract.py:{line})\n"
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


def fails(*given, **named):
    raise RuntimeError("no")


LINE = fails.__code__.co_firstlineno + 1
FAILED = f"RuntimeError: no (test_contract.py:{LINE})"


def nothing(*given, **named):
    return None


def found(component, kind):
    findings = check_component(component, kind, {"epochs": 20} if kind == "trainer" else None)
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


def encoder(**methods):
    made = type("Made", (ToyWords,), methods)

    def restore(options, folder):
        return made(options, restore_words(options, folder).weights)

    return replace(WORDS, build=made, restore=restore)


def trainer(**methods):
    return replace(LINEAR, build=type("Made", (ToyLinear,), methods))


def trainer_of(**methods):
    made = type("Made", (ToyModel,), methods)

    class Training(ToyLinear):
        def train(self, *given):
            model = super().train(*given)
            return made(model.weights, model.task)

        def restore(self, *given):
            model = super().restore(*given)
            return made(model.weights, model.task)

    return replace(LINEAR, build=Training)


@pytest.mark.parametrize(
    ("component", "kind", "clause"),
    [
        (encoder(fit=fails), "encoder", "encoder.layout"),
        (encoder(encode=fails), "encoder", "encoder.layout"),
        (encoder(fingerprint=fails), "encoder", "encoder.fingerprint"),
        (encoder(save=fails), "encoder", "encoder.restore"),
        (encoder(spans=fails), "encoder", "encoder.spans"),
        (encoder(reads=fails), "encoder", "encoder.reads"),
        (replace(WORDS, restore=fails), "encoder", "encoder.restore"),
        (replace(WORDS, traits=fails), "encoder", "component.traits"),
        (replace(WORDS, check=fails), "encoder", "component.check"),
        (trainer(train=fails), "trainer", "trainer.model"),
        (trainer(restore=fails), "trainer", "trainer.restore"),
        (trainer_of(scores=fails), "trainer", "trainer.scores"),
        (trainer_of(save=fails), "trainer", "trainer.restore"),
        (replace(ACCURACY, build=lambda options: type("Made", (ToyAccuracy,), {"__call__": fails})()), "metric",
         "metric.float"),
        *((replace(one, build=fails), kind, "component.build") for one, kind in (
            (TEXTS, "dataset"), (WORDS, "encoder"), (LINEAR, "trainer"), (ACCURACY, "metric"), (SUMMARY, "output"))),
    ],
)  # fmt: skip
def test_a_method_that_fails_is_one_finding_with_its_line(component, kind, clause):
    assert found(component, kind) == {clause: FAILED}


@pytest.mark.parametrize(
    ("component", "kind", "clause", "said"),
    [
        (encoder(fingerprint=nothing), "encoder", "encoder.fingerprint", "fingerprint returns nothing, not a str"),
        (replace(WORDS, restore=nothing), "encoder", "encoder.restore", "restore returns nothing; return the encoder"),
        (replace(WORDS, traits=nothing), "encoder", "component.traits", "its traits are nothing, not textclf.Traits"),
        (encoder(spans=nothing), "encoder", "encoder.spans",
         "spans returns nothing, not a list with an entry for each text"),
        (encoder(reads=nothing), "encoder", "encoder.reads",
         "reads returns nothing, not a list with an entry for each text"),
        (replace(WORDS, build=nothing), "encoder", "component.build",
         "it returns nothing, which has no fit, encode, fingerprint, save"),
        (trainer(restore=nothing), "trainer", "trainer.restore", "restore returns nothing; return the model"),
    ],
)  # fmt: skip
def test_a_method_that_returns_nothing_is_one_finding_that_says_so(component, kind, clause, said):
    assert found(component, kind) == {clause: said}


def saves(model, folder):
    ToyModel.save(model, folder)
    (folder / "weights.json").write_text("[]")


def changes(model, folder):
    ToyModel.save(model, folder)
    (folder / "toy_words.npy").write_bytes((folder / "trainer" / "toy_linear.npy").read_bytes())


def removes(model, folder):
    ToyModel.save(model, folder)
    (folder / "toy_words.npy").unlink()


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (saves, "it saves 'weights.json', not under folder / 'trainer'"),
        (changes, "saving the model changes 'toy_words.npy', which the encoder has saved"),
        (removes, "saving the model removes 'toy_words.npy', which the encoder has saved"),
    ],
)
def test_a_model_that_saves_where_the_encoder_does_is_one_finding_about_the_trainer(save, said):
    line = save.__code__.co_firstlineno
    assert found(trainer_of(save=save), "trainer") == {"trainer.files": f"{said} (test_contract.py:{line})"}


def test_a_metric_that_takes_no_weights_is_told_what_to_define():
    class Unweighted(ToyAccuracy):
        def __call__(self, predictions):
            return super().__call__(predictions)

    said = "it takes no weights; define __call__(self, predictions, weights=None)"
    assert found(replace(ACCURACY, build=lambda options: Unweighted()), "metric") == {"metric.float": said}
