"""One fault is one finding: whichever method of a component fails, or returns nothing, one clause says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.culprits.making import ACCURACY, LINEAR, SUMMARY, TEXTS, WORDS
from textclf.testing import check_component
from textclf.testing.toy import ToyAccuracy, ToyLinear, ToyModel, ToyWords, restore_words


def fails(*given, **named):
    raise RuntimeError("no")


LINE = fails.__code__.co_firstlineno + 1
FAILED = f"RuntimeError: no (test_testing_one_finding.py:{LINE})"


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
    assert found(trainer_of(save=save), "trainer") == {"trainer.files": f"{said} (test_testing_one_finding.py:{line})"}


def test_a_metric_that_takes_no_weights_is_told_what_to_define():
    class Unweighted(ToyAccuracy):
        def __call__(self, predictions):
            return super().__call__(predictions)

    said = "it takes no weights; define __call__(self, predictions, weights=None)"
    assert found(replace(ACCURACY, build=lambda options: Unweighted()), "metric") == {"metric.float": said}
