"""What parts of a model write when they are saved: what they do wrong is their own fault, and the disk's is not."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.core.toys import engine, plugin, recipe
from textclf import PluginError, ResourceError
from textclf.testing.toy.linear import LinearOptions, ToyLinear, ToyModel
from textclf.testing.toy.words import ToyWords, WordsOptions, restore_words

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
