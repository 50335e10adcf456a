"""Encoders that save what nothing reads: the run warns of it, and a loaded model that fails by it says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import textclf_sklearn

from tests.core.loose_files import write
from tests.core.toys import recipe
from textclf import ArtefactError, Engine, PluginError
from textclf.plugin.discovery import discover
from textclf.plugin.events import Warned
from textclf.testing import check_component, toy

WORDS = '''
import json

import numpy as np

from textclf import Component, Traits


class Words:
    def __init__(self, options):
        self.words = None

    def fit(self, train, context):
        self.words = sorted({word for text in train.texts.first for word in text.split()})[:9]

    def encode(self, texts, context):
        return np.array([[text.count(word) for word in self.words] for text in texts.first], np.float32)

    def fingerprint(self):
        return " ".join(self.words or [])

    def save(self, folder):
        (folder / "words.json").write_text(json.dumps(self.words))


def restore(options, folder):
    words = Words(options)
    words.words = json.loads((folder / "words.json").read_text())
    return words


def textclf_encoders():
    return [Component(name="words", build=Words, traits=Traits(makes="matrix"), summary="words")]
'''
METHOD = WORDS.replace("\ndef restore(options", "    @staticmethod\n    def restore(options").replace(
    "    words = Words(options)\n    words.words = json", "        words = Words(options)\n        words.words = json"
).replace("    return words\n", "        return words\n")
STILL = WORDS.replace('(folder / "words.json").write_text(json.dumps(self.words))', "pass")
ANEW = "has no `restore`, so `build` made it anew"
WHO = "encoder 'words' (plugin mine.py)"
SEE = "see `textclf --plugin mine.py plugins check words`"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ran(source: str, **changes: object):
    write("mine.py", source)
    return engine().run(recipe(encoder="words", **changes))


def engine() -> Engine:
    return Engine(plugins=[toy, textclf_sklearn, "mine.py"], entry_points=False, cache="cache")


def failure(folder: Path) -> str:
    with pytest.raises(PluginError) as caught:
        engine().load(folder).predict(["fine weather"])
    return str(caught.value)


def test_a_run_warns_once_of_what_its_encoder_saves_and_nothing_reads():
    warning = (
        f"{WHO} saves words.json, but the component has no `restore`, so in a loaded model `build` makes it anew; "
        "give it one that reads them, Component(restore=...)"
    )
    result = ran(WORDS)
    assert result.report.warnings == (warning,)
    events = [json.loads(line) for line in (result.folder / "events.jsonl").read_text("utf-8").splitlines()]
    assert [event["stage"] for event in events if event["event"] == "Warned"] == ["save"]


def test_a_restore_that_stands_in_the_class_is_to_be_named_in_the_component():
    [warning] = ran(METHOD).report.warnings
    assert warning.endswith("`build` makes it anew; name that of its class, Component(restore=...)")


def test_a_component_with_restore_and_one_with_nothing_to_save_are_not_warned_of():
    assert ran(WORDS.replace("build=Words,", "build=Words, restore=restore,")).report.warnings == ()
    still = STILL.replace("self.words = sorted(", "sorted(").replace("self.words = None", "self.words = ['fine']")
    assert ran(still).report.warnings == ()


def test_an_encoder_that_should_have_saved_something_is_found_by_what_is_loaded():
    [warning] = ran(STILL).report.warnings
    assert warning == (
        "the saved model does not answer as the one that was trained, whose figures these are: "
        f"{WHO}: encode() fails: TypeError: 'NoneType' object is not iterable (mine.py:17); the component {ANEW}; {SEE}"
    )


def test_whoever_saves_a_classifier_is_told_as_well():
    heard: list[object] = []
    ran(WORDS).classifier.save("model", observer=heard.append)
    assert [type(event) for event in heard] == [Warned]


def test_predicting_with_an_encoder_that_was_made_anew_says_so():
    """C12: a model that cannot be what it was says why, and not only by what attribute it fails."""
    assert failure(ran(WORDS).folder) == (
        f"{WHO}: encode() fails: TypeError: 'NoneType' object is not iterable (mine.py:17); the component {ANEW}; {SEE}"
    )


def test_a_trainer_that_fails_on_features_of_such_an_encoder_says_so():
    """The encoder's features have another shape than those the trainer has learnt."""
    folder = ran(WORDS.replace("self.words = None", 'self.words = ["a", "b"]')).folder
    assert failure(folder).startswith("trainer 'toy_linear' (plugin textclf.testing.toy): scores() fails: ValueError: ")
    assert f"; {WHO} {ANEW}" in failure(folder)


def test_so_does_one_that_refuses_them_in_words_of_its_own():
    folder = ran(WORDS.replace("self.words = None", 'self.words = ["a"]'), trainer="logistic", metrics=["accuracy"])
    with pytest.raises(ArtefactError) as caught:
        engine().load(folder.folder).predict(["fine weather"])
    assert str(caught.value) == (
        "the model was trained on 9 features a text, but the encoder makes 1: it is another one, or is not restored as "
        f"it was saved; {WHO} {ANEW}"
    )


def test_an_encoder_that_restores_itself_is_not_said_to_be_anew():
    folder = ran(WORDS.replace("build=Words,", "build=Words, restore=lambda options, folder: Words(options),")).folder
    assert failure(folder) == f"{WHO}: encode() fails: TypeError: 'NoneType' object is not iterable (mine.py:17); {SEE}"


def test_the_contract_says_it_too():
    write("mine.py", WORDS)
    [offer] = discover(["mine.py"], entry_points=False).offers
    found = {finding.clause.id: finding for finding in check_component(offer.component, offer.kind)}
    finding = found["encoder.restore"]
    assert finding.state == "failed"
    assert finding.detail.endswith(f"; the component {ANEW}")
    assert "TypeError: 'NoneType' object is not iterable" in finding.detail
