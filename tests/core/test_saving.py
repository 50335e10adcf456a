"""What parts of a model write when they are saved: what they do wrong is their own fault, and the disk's is not."""

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

from tests.core.toys import engine, plugin, recipe
from textclf import Event, PluginError, ResourceError, Warned
from textclf.testing.toy import LinearOptions, ToyLinear, ToyModel, ToyWords, WordsOptions, restore_words

LOST = (
    r"fails: FileNotFoundError: \[Errno 2\] No such file or directory: '\S+/inner/words.json' \(test_saving.py:\d+\)"
)
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
        r"textclf.testing.toy\) has saved; a model's own files lie under folder / 'trainer' \(test_saving.py:\d+\)",
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
        "encoder 'own' (plugin textclf_own): save() writes 'textclf.json', which textclf writes itself; name it otherw"
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
    said = f"{kind} 'own' (plugin textclf_own): save() leaves 'odd', {what}; write plain files (test_saving.py:"
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
    warning = (
        f"{saves}, and loading one runs whatever is in it; save arrays and JSON "
        f"(test_saving.py:{save.__code__.co_firstlineno})"
    )
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
    assert "encoder 'own' (plugin textclf_own): restore() gives an encoder that encodes otherwise than" in unlike


def test_whoever_saves_a_classifier_hears_of_its_pickles() -> None:
    heard: list[Event] = []
    encoded_by(pickling).classifier.save("model", observer=heard.append)
    [told] = heard
    assert isinstance(told, Warned)
    assert told.message.startswith("encoder 'own' (plugin textclf_own) saves 'words', a pickle, and loading one runs")
