"""The end of a run before its observers: what they take of the run's own files is put back, and they are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.core.toys import contents, engine, recipe, weights
from textclf import Event, RunFinished

OWN = ("events.jsonl", "metrics.json", "model", "predictions.csv", "recipe.yaml", "record.json", "scores.npy",
       "trained_on.bin")  # fmt: skip


def observing(act: Callable[[Path], Any], name: str = "textclf_watching") -> Any:
    """Return a plugin that does that in the run's folder when the run is finished."""

    def observe(event: Event) -> None:
        if isinstance(event, RunFinished):
            act(Path(event.folder))

    module = ModuleType(name)
    module.textclf_event = observe  # type: ignore[attr-defined]
    return module


def spoil(place: Path) -> None:
    """Write over a file, or over each in a folder."""
    for file in [place] if not place.is_dir() else [path for path in place.rglob("*") if path.is_file()]:
        file.write_bytes(b"spoilt")


def remove(place: Path) -> None:
    shutil.rmtree(place) if place.is_dir() else place.unlink()


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("act", [spoil, remove])
def test_an_observer_that_takes_a_file_of_the_run_s_own_is_named_and_nothing_is_lost(name: str, act: Any) -> None:
    straight = engine().run(recipe())
    done = engine(observing(lambda folder: act(folder / name))).run(recipe())
    said = (
        f"observer textclf_watching takes '{name}', which textclf keeps for itself; what it did there is undone; "
        "write under other names; mend it, or leave it out of Engine(plugins=...): "
        "`textclf.testing.check_plugin(textclf_watching)`"
    )
    assert done.report.warnings == (said,)  # type: ignore[union-attr]
    assert contents(done) == contents(straight)
    assert weights(done.folder) == weights(straight.folder)
    assert (done.folder / "trained_on.bin").read_bytes() == (straight.folder / "trained_on.bin").read_bytes()
    events = [json.loads(line)["event"] for line in (done.folder / "events.jsonl").read_text().splitlines()]
    assert (events[0], events[-2:]) == ("RunStarted", ["RunFinished", "Warned"])
    assert json.loads((done.folder / "record.json").read_text())["warnings"] == [said]
    again = engine().resume(done.folder)
    assert again.report == done.report
    assert again.classifier.predict(["one text"]) == straight.classifier.predict(["one text"])


def test_observers_may_write_files_of_their_own_and_share_them() -> None:
    def note(folder: Path) -> None:
        (folder / "notes").mkdir(exist_ok=True)
        with (folder / "notes" / "seen.log").open("a") as file:
            file.write("seen\n")

    done = engine(observing(note), observing(note, "textclf_also")).run(recipe())
    assert done.report.warnings == ()  # type: ignore[union-attr]
    assert (done.folder / "notes" / "seen.log").read_text() == "seen\nseen\n"


def test_an_observer_that_fails_when_it_has_taken_a_file_is_told_both() -> None:
    def act(folder: Path) -> None:
        shutil.rmtree(folder)
        raise ValueError("no")

    straight = engine().run(recipe())
    done = engine(observing(act)).run(recipe())
    taken, failed = done.report.warnings  # type: ignore[union-attr]
    assert taken.startswith("observer textclf_watching takes 'events.jsonl', 'metrics.json', 'model' and more, which ")
    assert failed.startswith("observer textclf_watching fails and is left out: ValueError: no (test_ending.py:")
    assert contents(done) == contents(straight)
    assert weights(done.folder) == weights(straight.folder)


def test_an_observers_link_does_not_keep_what_another_took_from_being_put_back() -> None:
    straight = engine().run(recipe())

    def renewed(folder: Path) -> None:
        (folder / "latest").unlink(missing_ok=True)
        (folder / "latest").symlink_to("model")

    module = ModuleType("textclf_linking")
    module.textclf_event = lambda event: hasattr(event, "folder") and renewed(Path(event.folder))  # type: ignore[attr-defined]
    taking = observing(lambda folder: shutil.rmtree(folder / "model"))
    done = engine(module, taking).run(recipe())
    [warning] = done.report.warnings  # type: ignore[union-attr]
    assert warning.startswith("observer textclf_watching takes 'model', which textclf keeps for itself; what it did")
    assert weights(done.folder) == weights(straight.folder)
