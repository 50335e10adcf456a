"""Outputs in a run folder."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.packages import ROOT
from tests.toys import contents, engine, plugin, recipe, weights
from textclf import Event, RunFinished
from textclf.model import self_check
from textclf.run.folder import RunFolder
from textclf.run.outputs import RESERVED

OWN = ("events.jsonl", "metrics.json", "model", "predictions.csv", "recipe.yaml", "record.json", "scores.npy",
       "trained_on.bin")  # fmt: skip


def writing(name: str, act: Callable[[Path], Any]) -> Any:
    """Return a plugin with one output of that name, which does that in the run folder."""

    class Writing:
        def write(self, finished: Any, folder: Path) -> None:
            act(folder)

    return plugin("output", name, Writing)


def spoil(place: Path) -> None:
    """Write over a file, or over each in a folder."""
    for file in [place] if not place.is_dir() else [path for path in place.rglob("*") if path.is_file()]:
        file.write_bytes(b"spoilt")


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("act", [spoil, lambda place: shutil.rmtree(place) if place.is_dir() else place.unlink()])
def test_an_output_that_takes_a_file_of_the_runs_own_is_named_and_nothing_is_lost(name: str, act: Any) -> None:
    straight = engine().run(recipe(outputs=["toy_summary"]))

    def take(folder: Path) -> None:
        if name != "metrics.json":  # is not there yet
            act(folder / name)
        elif act is spoil:
            spoil(folder / name)
        else:
            (folder / name).mkdir()

    done = engine(writing("taker", take)).run(recipe(outputs=["toy_summary", "taker"]))
    assert done.report.warnings == (  # type: ignore[union-attr]
        f"output 'taker' (plugin textclf_taker): write takes '{name}', which textclf keeps for itself; "
        "what it wrote there is gone, name it otherwise",
    )
    assert contents(done) == contents(straight)
    assert (done.folder / "trained_on.bin").read_bytes() == (straight.folder / "trained_on.bin").read_bytes()
    assert weights(done.folder) == weights(straight.folder)
    assert yaml.safe_load((done.folder / "recipe.yaml").read_text())["outputs"][1] == {"use": "taker"}
    assert json.loads((done.folder / "record.json").read_text())["state"] == "finished"
    assert json.loads((done.folder / "metrics.json").read_text())["metrics"]
    events = [json.loads(line)["event"] for line in (done.folder / "events.jsonl").read_text().splitlines()]
    assert (events[0], events[-2:]) == ("RunStarted", ["Warned", "RunFinished"])
    assert (done.folder / "toy_summary.json").exists()


def clear(folder: Path) -> None:
    """Empty a folder, as code does that wants it for itself."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def instead(folder: Path) -> None:
    """Put a file where a folder was, and a folder where a file was."""
    clear(folder)
    (folder / "plugins").write_text("mine")
    (folder / "earlier").write_text("mine")
    (folder / "recipe.yaml").mkdir()
    (folder / "recipe.yaml" / "mine.txt").write_text("mine")


@pytest.mark.parametrize("act", [clear, shutil.rmtree, instead])
def test_an_output_that_clears_the_run_folder_loses_nothing_of_others(tmp_path: Path, act: Any) -> None:
    def write(folder: Path) -> None:
        (folder / "earlier" / "figures").mkdir(parents=True)
        (folder / "earlier" / "empty").mkdir()
        (folder / "earlier" / "figures" / "one.txt").write_text("one")

    loose = tmp_path / "mine.py"
    loose.write_text(
        "from textclf import Component, Traits\n"
        "class Nothing:\n    greater_is_better, reads_scores = True, False\n"
        "    def __call__(self, predictions, weights=None):\n"
        "        return 1.0 if weights is None else weights[:, 0] * 0 + 1\n"
        "def textclf_metrics():\n"
        "    return [Component(name='one', summary='one', build=lambda o: Nothing(), traits=Traits(tasks=frozenset("
        "{'single-label'})))]\n"
    )
    metrics = ["toy_accuracy", "one"]
    straight = engine(loose).run(recipe(metrics=metrics))
    taken = engine(loose, writing("earlier", write), writing("clearing", act))
    done = taken.run(recipe(metrics=metrics, outputs=["earlier", "clearing"]))
    assert sorted(done.report.warnings) == [  # type: ignore[union-attr]
        "output 'clearing' (plugin textclf_clearing): write takes 'checkpoints', 'events.jsonl', 'model' and more, "
        "which textclf keeps for itself; what it wrote there is gone, name it otherwise",
        "output 'clearing' (plugin textclf_clearing): write takes 'earlier', 'earlier/empty', 'earlier/figures' and "
        "more, which output 'earlier' (plugin textclf_earlier) has written before; what it wrote there is gone, name "
        "it otherwise",
    ]
    assert contents(done) == contents(straight)
    assert weights(done.folder) == weights(straight.folder)
    assert (done.folder / "plugins" / "mine.py").read_bytes() == loose.read_bytes()
    assert (done.folder / "trained_on.bin").read_bytes() == (straight.folder / "trained_on.bin").read_bytes()
    assert yaml.safe_load((done.folder / "recipe.yaml").read_text())["outputs"][1] == {"use": "clearing"}
    assert (done.folder / "earlier" / "figures" / "one.txt").read_text() == "one"
    assert (done.folder / "earlier" / "empty").is_dir()
    assert json.loads((done.folder / "record.json").read_text())["state"] == "finished"
    assert {path.name for path in done.folder.iterdir()} - {".lock"} == {
        *(path.name for path in straight.folder.iterdir()), "earlier",
    } - {".lock"}  # fmt: skip


def test_the_name_of_an_earlier_output_is_not_taken_either() -> None:
    first = writing("first", lambda folder: (folder / "same.txt").write_text("first"))
    second = writing("second", lambda folder: [(folder / f"{n}.txt").write_text("second") for n in ("same", "own")])
    done = engine(first, second).run(recipe(outputs=["first", "second", "first"]))
    assert (done.folder / "same.txt").read_text() == "first"
    assert (done.folder / "own.txt").read_text() == "second"
    assert done.report.warnings == tuple(  # type: ignore[union-attr]
        f"output '{name}' (plugin textclf_{name}): write takes 'same.txt', which output 'first' (plugin textclf_first) "
        "has written before; what it wrote there is gone, name it otherwise"
        for name in ("second", "first")
    )


def test_an_output_may_write_folders_with_others_and_read_what_is_there() -> None:
    def one(folder: Path) -> None:
        (folder / "figures").mkdir()
        (folder / "figures" / "one.txt").write_text(json.loads((folder / "record.json").read_text())["name"])

    def two(folder: Path) -> None:
        (folder / "figures" / "two.txt").write_text((folder / "figures" / "one.txt").read_text())

    done = engine(writing("one", one), writing("two", two)).run(recipe(outputs=["one", "two"]))
    assert done.report.warnings == ()  # type: ignore[union-attr]
    assert (done.folder / "figures" / "two.txt").read_text() == done.report.name  # type: ignore[union-attr]


def test_an_output_may_write_again_what_it_wrote_in_an_earlier_try() -> None:
    tries: list[Path] = []

    def write(folder: Path) -> None:
        tries.append(folder)
        (folder / "mine.txt").write_text(f"try {len(tries)}")
        if len(tries) == 1:
            raise KeyboardInterrupt

    taken = engine(writing("mine", write))
    with pytest.raises(BaseException, match="interrupted"):
        taken.run(recipe(outputs=["mine", "toy_summary"]))
    done = taken.resume(tries[0])
    assert done.report.warnings == ()  # type: ignore[union-attr]
    assert (done.folder / "mine.txt").read_text() == "try 2"


def test_the_reserved_names_are_those_of_all_that_a_run_writes_and_the_guide_lists_them() -> None:
    done = engine().run(recipe())
    written = {path.name for path in done.folder.iterdir()} - {".lock"}
    assert written <= set(RESERVED)
    folder = RunFolder(done.folder)
    assert {folder.checkpoints.name, folder.work.name, "plugins", "summary.json"} | written == set(RESERVED)
    guide = (ROOT / "plugins" / "README.md").read_text("utf-8")
    assert ", ".join(f"`{name}`" for name in sorted(RESERVED)) in " ".join(guide.split())


def renew(folder: Path) -> None:
    """Point a link of this folder's elsewhere, as what names the latest of several does."""
    (folder / "latest").unlink(missing_ok=True)
    (folder / "latest").symlink_to("one" if (folder / "one").exists() else "two")


def bound(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end, contextlib.chdir(folder):
        end.bind("end")


@pytest.mark.parametrize("act", [lambda folder: os.mkfifo(folder / "pipe"), bound, renew])
def test_a_pipe_a_socket_or_a_link_of_one_output_costs_the_next_nothing(act: Any) -> None:
    one, two = writing("one", act), writing("two", lambda folder: (folder / "two").write_text("two"))
    done = engine(one, two).run(recipe(outputs=["one", "two"]))
    assert done.report.warnings == ()  # type: ignore[union-attr]
    assert (done.folder / "two").read_text() == "two"


def test_a_link_that_another_output_points_elsewhere_is_put_back_and_so_is_all_else_it_took() -> None:
    def take(folder: Path) -> None:
        shutil.rmtree(folder / "model")
        (folder / "one").write_text("one")
        renew(folder)

    straight = engine().run(recipe())
    done = engine(writing("one", renew), writing("two", take)).run(recipe(outputs=["one", "two"]))
    assert [warning.partition("; ")[0] for warning in done.report.warnings] == [  # type: ignore[union-attr]
        "output 'two' (plugin textclf_two): write takes 'latest', which output 'one' (plugin textclf_one) has written "
        "before",
        "output 'two' (plugin textclf_two): write takes 'model', which textclf keeps for itself",
    ]
    assert (done.folder / "latest").readlink() == Path("two")
    assert weights(done.folder) == weights(straight.folder)


NO_COPY = (
    "no copy{} can be made in the folder for temporary files, so what an output takes of others is lost; free space "
    "there, or name another in TMPDIR"
)


def test_a_file_too_large_for_a_copy_is_told_of_and_the_others_are_kept() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write(folder: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        (folder / "large").write_bytes(b"\0" * 3_000_000)
        (folder / "small").write_text("small")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))

    def take(folder: Path) -> None:
        for name in ("large", "small", "trained_on.bin"):
            (folder / name).write_text("taken")

    straight = engine().run(recipe())
    try:
        done = engine(writing("one", write), writing("two", take)).run(recipe(outputs=["one", "two"]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.report.warnings[0] == NO_COPY.format(" of 'large'")  # type: ignore[union-attr]
    assert (done.folder / "small").read_text() == "small"
    assert (done.folder / "trained_on.bin").read_bytes() == (straight.folder / "trained_on.bin").read_bytes()


def test_where_no_copies_can_be_made_at_all_the_outputs_write_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "LARGEST_BYTES", 0)  # which has a corner of its own there
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null/none")
    done = engine().run(recipe(outputs=["toy_summary"]))
    assert done.report.warnings == (NO_COPY.format(": Not a directory"),)  # type: ignore[union-attr]
    assert (done.folder / "toy_summary.json").exists()


def observing(act: Callable[[Path], Any], name: str = "textclf_watching") -> Any:
    """Return a plugin that does that in the run's folder when the run is finished."""

    def observe(event: Event) -> None:
        if isinstance(event, RunFinished):
            act(Path(event.folder))

    module = ModuleType(name)
    module.textclf_event = observe  # type: ignore[attr-defined]
    return module


def remove(place: Path) -> None:
    shutil.rmtree(place) if place.is_dir() else place.unlink()


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("act", [spoil, remove])
def test_an_observer_that_takes_a_file_of_the_run_s_own_is_named_and_nothing_is_lost(name: str, act: Any) -> None:
    straight = engine().run(recipe())
    done = engine(observing(lambda folder: act(folder / name))).run(recipe())
    said = (
        f"observer textclf_watching takes '{name}', which textclf keeps for itself; what it did there is undone; "
        "write under other names; remove it from Engine(plugins=...), or see "
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
    assert failed.startswith("observer textclf_watching fails and is left out: ValueError: no (test_outputs.py:")
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
