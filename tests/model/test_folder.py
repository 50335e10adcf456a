"""The model folder: saved parts, missing and changed plugins, damaged files."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import textclf_sklearn

from tests.places import placeless
from tests.sample import build
from tests.single_files import write
from tests.toys import engine, plugin, recipe
from textclf import ArtefactError, Component, Engine, Event, Field, Options, PluginError, ResourceError, Traits, Warned
from textclf.model.folder import restored_step
from textclf.plugin.discovery import discover
from textclf.plugin.registry import Plugin, Registration, Registry, older, to_install
from textclf.plugin.step import Step
from textclf.testing import check_component, toy
from textclf.testing.toy import LinearOptions, ToyLinear, ToyModel, ToyWords, WordsOptions, restore_words

LOST = r"fails: FileNotFoundError: \[Errno 2\] No such file or directory: '\S+/inner/words.json' \(test_folder.py:\d+\)"
TRAINER = "trainer 'own' (plugin textclf_own)"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Saving(ToyLinear):
    """Its models save as `save` says."""

    save: Any = ToyModel.save

    def train(self, *given: Any) -> ToyModel:
        return self._own(super().train(*given))

    def restore(self, *given: Any) -> ToyModel:
        return self._own(super().restore(*given))

    def _own(self, model: ToyModel) -> ToyModel:
        own = type("Own", (ToyModel,), {"save": type(self).save})
        return own(model.weights, model.task)  # type: ignore[no-any-return]


def trained_by(save: Any) -> Any:
    """Return the result of a run whose trainer's model saves so: `save(model, folder)`."""
    made = type("Made", (Saving,), {"save": save})
    options = LinearOptions(epochs=25)
    return engine(plugin("trainer", "own", lambda: made(options))).run(recipe(trainer="own"))


def encoded_by(save: Any) -> Any:
    """As `trained_by`, of an encoder."""
    made = type("Made", (ToyWords,), {"save": save})
    own = plugin("encoder", "own", lambda: made(WordsOptions()), restore=lambda _, folder: again(made, folder))
    return engine(own).run(recipe(encoder="own"))


def again(made: Any, folder: Path) -> ToyWords:
    return made(WordsOptions(), restore_words(WordsOptions(), folder).weights)  # type: ignore[no-any-return]


def fault(save: Any, by: Any = trained_by) -> PluginError:
    with pytest.raises(PluginError) as caught:
        by(save)
    assert not [*Path("runs").rglob("*.part"), *Path("runs").rglob("model")]
    return caught.value


def nowhere(made: Any, folder: Path) -> None:
    (folder / "inner" / "words.json").write_text("[]")


@pytest.mark.parametrize(("by", "kind"), [(trained_by, "trainer"), (encoded_by, "encoder")])
def test_what_is_saved_into_a_folder_that_was_not_made_is_the_components_fault(by: Any, kind: str) -> None:
    who = f"{kind} 'own' (plugin textclf_own)"
    assert re.fullmatch(rf"{re.escape(who)}: save\(\) {LOST}", str(fault(nowhere, by)))


def test_so_is_what_is_wrong_with_a_checkpoint() -> None:
    class Checkpointing(ToyLinear):
        def _keep(self, state: Any, context: Any) -> None:
            context.checkpoints.save(state.epoch, lambda folder: nowhere(self, folder))

    with pytest.raises(PluginError) as caught:
        engine(plugin("trainer", "own", lambda: Checkpointing(LinearOptions()))).run(recipe(trainer="own"))
    assert re.fullmatch(rf"{re.escape(TRAINER)}: train\(\) {LOST}", str(caught.value))
    assert not [*Path("runs").rglob("*.part")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("by", [trained_by, encoded_by])
def test_what_the_disk_does_while_a_component_saves_is_not_its_fault(by: Any, number: int) -> None:
    """C04: a full disk is exit code 7, whoever writes."""

    def failing(made: Any, folder: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(ResourceError, match=r"^(the disk is full: )?cannot write .*runs/toy/\S+model\S*[:;] "):
        by(failing)


def test_a_folder_that_is_taken_away_while_a_component_saves_is_not_its_fault() -> None:
    def taken(made: Any, folder: Path) -> None:
        shutil.rmtree(folder.parent)
        nowhere(made, folder)

    with pytest.raises(ResourceError, match=r"^cannot write \S+: No such file or directory; use a folder that can be"):
        trained_by(taken)


def squatting(name: str) -> Any:
    def save(model: ToyModel, folder: Path) -> None:
        ToyModel.save(model, folder)
        np.save(folder / name, model.weights, allow_pickle=False)

    return save


def removing(model: ToyModel, folder: Path) -> None:
    ToyModel.save(model, folder)
    (folder / "toy_words.npy").unlink()


@pytest.mark.parametrize(("save", "verb"), [(squatting("toy_words.npy"), "changes"), (removing, "removes")])
def test_a_model_that_takes_a_file_of_the_encoders_is_its_trainers_fault(save: Any, verb: str) -> None:
    """The encoder could not be restored, and would be blamed for it."""
    found = str(fault(save))
    assert re.fullmatch(
        rf"{re.escape(TRAINER)}: save\(\) {verb} 'toy_words.npy', which encoder 'toy_words' \(plugin "
        r"textclf.testing.toy\) has saved; a model's own files lie under folder / 'trainer'",
        found,
    )


def test_what_training_has_kept_is_still_there_then() -> None:
    fault(removing)
    assert sorted(path.name for path in Path("runs").glob("toy/*/checkpoints/ck-*")) == ["ck-000010", "ck-000020"]


def test_a_file_beside_the_encoders_and_one_written_again_as_it_was_are_no_fault() -> None:
    def save(model: ToyModel, folder: Path) -> None:
        squatting("weights.npy")(model, folder)
        shutil.copy(folder / "toy_words.npy", folder / "copy.npy")
        shutil.copy(folder / "copy.npy", folder / "toy_words.npy")

    assert trained_by(save).report.warnings == ()


def test_textclfs_own_file_is_nobodys() -> None:
    def save(words: ToyWords, folder: Path) -> None:
        ToyWords.save(words, folder)
        (folder / "textclf.json").write_text("{}")

    assert str(fault(save, encoded_by)).startswith(
        "encoder 'own' (plugin textclf_own): save() writes 'textclf.json', which textclf writes itself; use another na"
    )


def beside(make: Any) -> Any:
    """Return a save that leaves something beside the encoder's files, whoever of the two it is."""

    def save(made: Any, folder: Path) -> None:
        (ToyWords if isinstance(made, ToyWords) else ToyModel).save(made, folder)
        make(folder / "odd")

    return save


ODD = {
    "a link": [lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to("toy_words.npy")],
    "neither a file nor a folder": [os.mkfifo],
}


@pytest.mark.parametrize(("make", "what"), [(make, what) for what, makes in ODD.items() for make in makes])
@pytest.mark.parametrize(("by", "kind"), [(trained_by, "trainer"), (encoded_by, "encoder")])
def test_what_is_no_plain_file_is_the_fault_of_who_saved_it(by: Any, kind: str, make: Any, what: str) -> None:
    """A link leads out of the folder, and nobody ever ends reading a pipe."""
    said = f"{kind} 'own' (plugin textclf_own): save() leaves 'odd', {what}; write plain files"
    assert str(fault(beside(make), by)).startswith(said)


def test_so_it_is_in_a_checkpoint() -> None:
    class Checkpointing(ToyLinear):
        def _keep(self, state: Any, context: Any) -> None:
            context.checkpoints.save(state.epoch, lambda folder: os.mkfifo(folder / "odd"))

    said = "train() fails: ValueError: the checkpoint holds 'odd', neither a file nor a folder; write plain files"
    with pytest.raises(PluginError, match=rf"^{re.escape(f'{TRAINER}: {said}')}"):
        engine(plugin("trainer", "own", lambda: Checkpointing(LinearOptions()))).run(recipe(trainer="own"))


def pickling(words: ToyWords, folder: Path) -> None:
    ToyWords.save(words, folder)
    (folder / "words").write_bytes(pickle.dumps(["good", "bad"]))


def objects(model: ToyModel, folder: Path) -> None:
    ToyModel.save(model, folder)
    for name in ("more.npz", "names.npz"):
        np.savez(folder / "trainer" / name, names=np.array(["good", 1], object))


@pytest.mark.parametrize(
    ("by", "save", "saves"),
    [
        (encoded_by, pickling, "encoder 'own' (plugin textclf_own) saves 'words', a pickle"),
        (trained_by, objects, f"{TRAINER} saves 'trainer/more.npz', which holds 'names.npy', an array of objects, "
                              "which is a pickle (and 1 other)"),
    ],
)  # fmt: skip
def test_a_run_warns_once_of_the_pickles_of_a_part_by_its_name(by: Any, save: Any, saves: str) -> None:
    result = by(save)
    warning = f"{saves}, and loading one runs whatever is in it; save arrays and JSON"
    assert result.report.warnings == (warning,)
    events = [json.loads(line) for line in (result.folder / "events.jsonl").read_text("utf-8").splitlines()]
    assert [(event["stage"], event["message"]) for event in events if event["event"] == "Warned"] == [("save", warning)]
    assert json.loads((result.folder / "record.json").read_text("utf-8"))["warnings"] == [warning]


def test_a_pickle_hides_nothing_else_that_is_wrong_with_the_saved_model() -> None:
    class Pickling(ToyWords):
        save = pickling

    own = plugin("encoder", "own", lambda: Pickling(WordsOptions()), restore=lambda *given: ToyWords(WordsOptions()))
    pickled, unlike = engine(own).run(recipe(encoder="own")).report.warnings
    assert pickled.startswith("encoder 'own' (plugin textclf_own) saves 'words', a pickle")
    assert "encoder 'own' (plugin textclf_own): the encoder that is loaded makes other features" in unlike


def test_whoever_saves_a_classifier_hears_of_its_pickles() -> None:
    heard: list[Event] = []
    encoded_by(pickling).classifier.save("model", observer=heard.append)
    [told] = heard
    assert isinstance(told, Warned)
    assert told.message.startswith("encoder 'own' (plugin textclf_own) saves 'words', a pickle, and loading one runs")


SAVED = {
    "use": "shape", "plugin": "textclf_shape", "version": "1.2", "distribution": "textclf-shape",
    "options": {"size": 3},
}  # fmt: skip


class ShapeOptions(Options):
    size: int = Field(1, ge=1, description="of something")

    @classmethod
    def migrate(cls, version, values):
        if version == "0":
            raise LookupError("no version")
        return None if version == "0.1" else values


def registry(*plugins: Plugin) -> Registry:
    component = Component(name="shape", build=build, options=ShapeOptions, traits=Traits(makes="matrix"))
    return Registry(plugins, [Registration("encoder", component, plugin) for plugin in plugins])


def shape(version: str = "1.2", distribution: str = "textclf-shape", module: str = "textclf_shape") -> Plugin:
    return Plugin("shape", module, distribution, version)


def refused(saved: dict[str, object], *plugins: Plugin) -> str:
    with pytest.raises(PluginError) as caught:
        restored_step("encoder", saved, registry(*plugins))
    assert caught.value.exit_code == 5
    return str(caught.value)


def test_a_step_tells_the_distribution_it_came_from():
    step = restored_step("encoder", SAVED, registry(shape()))
    assert step.to_json() == SAVED
    assert str(step) == "encoder 'shape' (plugin textclf_shape of textclf-shape 1.2)"


def test_a_missing_plugin_is_answered_with_the_command_that_installs_it():
    """C12: the distribution and the version."""
    assert refused(SAVED) == (
        "no encoder is called 'shape' (installed: none); it was saved by plugin textclf_shape of textclf-shape 1.2: "
        "pip install 'textclf-shape>=1.2'"
    )


def test_an_older_plugin_is_refused_with_both_versions():
    """C12: it cannot know what a newer one saved, even where it can read the options."""
    assert refused(SAVED, shape("1.0")) == (
        "encoder 'shape' cannot be restored: plugin textclf_shape of textclf-shape 1.0 has version 1.0, older than "
        "1.2; pip install 'textclf-shape>=1.2'"
    )


def test_an_older_textclf_is_refused_with_both_versions():
    saved = {**SAVED, "plugin": "textclf_sklearn", "version": "0.9", "distribution": "textclf-engine"}
    assert refused(saved, shape("0.1.0", "textclf-engine", "textclf_sklearn")) == (
        "encoder 'shape' cannot be restored: plugin textclf_sklearn has version 0.1.0 of textclf-engine, older than "
        "0.9; pip install 'textclf-engine>=0.9'"
    )


@pytest.mark.parametrize("installed", ["1.2", "1.2.0", "1.10", "2.0rc1", "someday", ""])
def test_a_newer_plugin_reads_what_an_older_one_saved(installed):
    """C12: so does one whose version says nothing."""
    assert restored_step("encoder", SAVED, registry(shape(installed))).options == ShapeOptions(size=3)


def test_another_plugin_that_offers_the_name_is_none_to_read_the_model():
    assert refused(SAVED, shape("7.0", "textclf-form", "textclf_form")) == (
        "encoder 'shape' cannot be restored: plugin textclf_form of textclf-form 7.0 is another plugin than "
        "textclf_shape of textclf-shape 1.2; pip install 'textclf-shape>=1.2', and uninstall the other"
    )


@pytest.mark.parametrize(
    "rival", [Plugin("mine", "mine", file="mine.py", sha256="b" * 64), shape("7.0", "textclf-form", "textclf_form")]
)
def test_where_another_plugin_offers_the_name_too_the_one_that_saved_the_model_is_named(rival):
    """P03: both are named, and it need not be installed."""
    saved = restored_step("encoder", {"use": "shape", "options": {}}, registry(shape())).to_json()
    assert refused(saved, shape(), rival).endswith("; it was saved by plugin textclf_shape")


def test_a_rival_of_one_that_is_not_there_leaves_it_to_be_installed():
    both = (shape("7.0", "textclf-form", "textclf_form"), shape("1.0", "textclf-cast", "textclf_cast"))
    assert refused(SAVED, *both).endswith("of textclf-shape 1.2: pip install 'textclf-shape>=1.2'")


def test_a_plugin_may_move_within_its_distribution_or_to_another():
    for moved in (shape(module="textclf_shape.main"), shape(distribution="textclf-forms")):
        assert isinstance(restored_step("encoder", SAVED, registry(moved)), Step)


def test_a_model_of_a_time_that_named_no_distribution_is_read():
    """Format 1 as version 0.1.0 began with it."""
    early = {key: value for key, value in SAVED.items() if key != "distribution"}
    assert isinstance(restored_step("encoder", early, registry(shape("1.0"))), Step)
    assert refused(early).endswith("; it was saved by plugin textclf_shape 1.2: install that plugin")


def test_a_file_that_became_a_package_reads_what_the_file_saved():
    saved = {"use": "shape", "plugin": "textclf_shape", "version": "", "file": "textclf_shape.py", "sha256": "a" * 64}
    assert isinstance(restored_step("encoder", saved, registry(shape())), Step)


def test_a_fault_in_migrating_is_reported_with_the_distribution():
    assert placeless(refused({**SAVED, "version": "0"}, shape())) == (
        "encoder 'shape' (plugin textclf_shape of textclf-shape 1.2): migrate() fails: LookupError: no version; report "
        "it to the authors of textclf-shape, or see `textclf plugins check shape`"
    )


def test_a_migrate_that_returns_nothing_is_told_what_to_return():
    assert placeless(refused({**SAVED, "version": "0.1"}, shape())) == (
        "encoder 'shape' (plugin textclf_shape of textclf-shape 1.2): migrate() returns nothing, not a dict of the "
        "values; report it to the authors of textclf-shape, or see `textclf plugins check shape`"
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": 0}, "size: must be at least 1, not 0"),
        (
            {"size": 3, "bits": 8},
            "bits: unknown option of encoder 'shape' (plugin textclf_shape of textclf-shape 1.3) (known: size)",
        ),
    ],
)
def test_options_that_no_migration_translates_are_answered_for_the_author_and_the_user(options, reason):
    """C12: a bound that was narrowed, an option that was removed."""
    whose = "encoder 'shape' (plugin textclf_shape of textclf-shape 1.3) cannot read its saved options "
    way = "its author can translate them in Options.migrate; until then, "
    assert refused({**SAVED, "options": options}, shape("1.3")) == (
        f"{whose}(saved by version 1.2, installed is 1.3): {reason}; {way}pip install 'textclf-shape==1.2'"
    )
    early = {key: value for key, value in SAVED.items() if key != "distribution"}
    assert refused({**early, "options": options}, shape("1.3")) == (
        f"{whose}(saved by version 1.2, installed is 1.3): {reason}; {way}train again"
    )


def test_a_new_option_that_must_be_said_is_answered_as_one_that_was_removed():
    class Longer(ShapeOptions):
        depth: int = Field(ge=1, description="new, and without a default")

    component = Component(name="shape", build=build, options=Longer, traits=Traits(makes="matrix"))
    with pytest.raises(PluginError) as caught:
        restored_step("encoder", SAVED, Registry([shape()], [Registration("encoder", component, shape())]))
    assert str(caught.value) == (
        "encoder 'shape' (plugin textclf_shape of textclf-shape 1.2) cannot read its saved options (saved by version "
        "1.2, installed is 1.2): depth: is missing; encoder 'shape' (plugin textclf_shape of textclf-shape 1.2) needs "
        "it; its author can translate them in Options.migrate; until then, train again"
    )


def test_versions_are_compared_as_pip_does():
    assert older("1.9", "1.10")
    assert not older("1.10", "1.9")
    assert not older("1.0", "1.0.0")
    assert not older("", "1.0")
    assert not older("1.0", "nightly")
    assert to_install("textclf-shape", "1.2+cpu") == "pip install 'textclf-shape>=1.2'"
    assert to_install("textclf-shape", "1.2+cpu", "==") == "pip install 'textclf-shape==1.2'"
    assert to_install("textclf-shape", "nightly") == "pip install textclf-shape"


WORDS = """
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
"""
METHOD = (
    WORDS.replace("\ndef restore(options", "    @staticmethod\n    def restore(options")
    .replace(
        "    words = Words(options)\n    words.words = json",
        "        words = Words(options)\n        words.words = json",
    )
    .replace("    return words\n", "        return words\n")
)
STILL = WORDS.replace('(folder / "words.json").write_text(json.dumps(self.words))', "pass")
REBUILT = "has no `restore`, so `build` made a new one"
WHO = "encoder 'words' (plugin mine.py)"
SEE = "see `textclf --plugin mine.py plugins check words`"


def ran(source: str, **changes: object):
    write("mine.py", source)
    return engine_of_own().run(recipe(encoder="words", **changes))


def engine_of_own() -> Engine:
    return Engine(plugins=[toy, textclf_sklearn, "mine.py"], entry_points=False, cache="cache")


def failure(folder: Path) -> str:
    with pytest.raises(PluginError) as caught:
        engine_of_own().load(folder).predict(["fine weather"])
    return str(caught.value)


def test_a_run_warns_once_of_what_its_encoder_saves_and_nothing_reads():
    warning = (
        f"{WHO} saves words.json, but the component has no `restore`, so in a loaded model `build` makes a new one; "
        "give it one that reads them, Component(restore=...)"
    )
    result = ran(WORDS)
    assert result.report.warnings == (warning,)
    events = [json.loads(line) for line in (result.folder / "events.jsonl").read_text("utf-8").splitlines()]
    assert [event["stage"] for event in events if event["event"] == "Warned"] == ["save"]


def test_a_restore_that_stands_in_the_class_is_to_be_named_in_the_component():
    [warning] = ran(METHOD).report.warnings
    assert warning.endswith("`build` makes a new one; name that of its class, Component(restore=...)")


def test_a_component_with_restore_and_one_with_nothing_to_save_are_not_warned_of():
    assert ran(WORDS.replace("build=Words,", "build=Words, restore=restore,")).report.warnings == ()
    still = STILL.replace("self.words = sorted(", "sorted(").replace("self.words = None", "self.words = ['fine']")
    assert ran(still).report.warnings == ()


def test_an_encoder_that_should_have_saved_something_is_found_by_what_is_loaded():
    [warning] = ran(STILL).report.warnings
    assert warning == (
        "the saved model cannot be compared with the trained one: "
        f"{WHO}: encode() fails: TypeError: 'NoneType' object is not iterable (mine.py:17); the component {REBUILT}; "
        f"{SEE}"
    )


def test_whoever_saves_a_classifier_is_told_as_well():
    heard: list[object] = []
    ran(WORDS).classifier.save("model", observer=heard.append)
    assert [type(event) for event in heard] == [Warned]


def test_predicting_with_an_encoder_that_was_made_anew_says_so():
    """C12: a model that cannot be what it was says why, and not only by what attribute it fails."""
    assert failure(ran(WORDS).folder) == (
        f"{WHO}: encode() fails: TypeError: 'NoneType' object is not iterable (mine.py:17); the component {REBUILT}; "
        f"{SEE}"
    )


def test_a_trainer_that_fails_on_features_of_such_an_encoder_says_so():
    """The encoder's features have another shape than those the trainer has learnt."""
    folder = ran(WORDS.replace("self.words = None", 'self.words = ["a", "b"]')).folder
    assert failure(folder).startswith("trainer 'toy_linear' (plugin textclf.testing.toy): scores() fails: ValueError: ")
    assert f"; {WHO} {REBUILT}" in failure(folder)


def test_so_does_one_that_refuses_them_in_words_of_its_own():
    folder = ran(WORDS.replace("self.words = None", 'self.words = ["a"]'), trainer="logistic", metrics=["accuracy"])
    with pytest.raises(ArtefactError) as caught:
        engine_of_own().load(folder.folder).predict(["fine weather"])
    assert str(caught.value) == (
        "the model was trained on 9 features a text, but the encoder makes 1: it is another one, or is not restored as "
        f"it was saved; {WHO} {REBUILT}"
    )


def test_an_encoder_that_restores_itself_is_not_said_to_be_anew():
    folder = ran(WORDS.replace("build=Words,", "build=Words, restore=lambda options, folder: Words(options),")).folder
    assert failure(folder) == f"{WHO}: encode() fails: TypeError: 'NoneType' object is not iterable (mine.py:17); {SEE}"


def test_the_contract_says_it_too():
    write("mine.py", WORDS)
    [offer] = discover(["mine.py"], entry_points=False).registrations
    found = {finding.clause.id: finding for finding in check_component(offer.component, offer.kind)}
    finding = found["encoder.restore"]
    assert finding.state == "failed"
    assert finding.detail.endswith("; the component has no `restore`, so `build` made it anew")
    assert "TypeError: 'NoneType' object is not iterable" in finding.detail
