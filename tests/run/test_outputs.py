"""Outputs: each writes into a folder of its own, and the run moves what it finds."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.packages import ROOT
from tests.toys import contents, engine, plugin, recipe, weights
from textclf import Event, RunFinished
from textclf.run.folder import RunFolder
from textclf.run.outputs import RESERVED


def writing(name: str, act: Callable[[Path], Any]) -> Any:
    """Return a plugin with one output of that name, which does that in the folder that it gets."""

    class Writing:
        def write(self, finished: Any, folder: Path) -> None:
            act(folder)

    return plugin("output", name, Writing)


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_output_writes_into_an_empty_folder_from_which_its_files_go_into_the_run_folder() -> None:
    seen: list[list[Path]] = []

    def write(folder: Path) -> None:
        seen.append(list(folder.iterdir()))
        (folder / "figures" / "empty").mkdir(parents=True)
        (folder / "figures" / "one.txt").write_text("one")
        (folder / "page.html").write_text("page")

    done = engine(writing("first", write), writing("second", lambda folder: seen.append(list(folder.iterdir())))).run(
        recipe(outputs=["first", "second"])
    )
    assert seen == [[], []]
    assert (done.folder / "page.html").read_text() == "page"
    assert (done.folder / "figures" / "one.txt").read_text() == "one"
    assert (done.folder / "figures" / "empty").is_dir()
    assert not (done.folder / "work").exists()
    assert done.report.warnings == ()


@pytest.mark.parametrize("name", [*RESERVED, "Record.JSON"])
@pytest.mark.parametrize("inside", ["", "/one.txt"])
def test_what_an_output_writes_under_a_name_of_the_runs_own_is_dropped_with_a_warning(name: str, inside: str) -> None:
    straight = engine().run(recipe(outputs=["toy_summary"]))

    def write(folder: Path) -> None:
        place = folder / f"{name}{inside}"
        place.parent.mkdir(exist_ok=True)
        place.write_text("mine")
        (folder / "mine.txt").write_text("mine")

    done = engine(writing("taker", write)).run(recipe(outputs=["toy_summary", "taker"]))
    assert done.report.warnings == (
        f"output 'taker' (plugin textclf_taker): '{name}' is a name of textclf's own, and what was written there is "
        "dropped; choose another",
    )
    assert contents(done) == contents(straight)
    assert weights(done.folder) == weights(straight.folder)
    assert set(everything(done.folder)) == {*everything(straight.folder), "mine.txt"}
    assert json.loads((done.folder / "record.json").read_text())["state"] == "finished"
    assert json.loads((done.folder / "metrics.json").read_text())["warnings"] == list(done.report.warnings)


def test_the_file_of_an_earlier_output_stays_and_the_later_one_is_dropped_with_a_warning() -> None:
    first = writing("first", lambda folder: (folder / "same.txt").write_text("first"))
    second = writing("second", lambda folder: [(folder / f"{n}.txt").write_text("second") for n in ("same", "own")])
    done = engine(first, second).run(recipe(outputs=["first", "second", "first"]))
    assert (done.folder / "same.txt").read_text() == "first"
    assert (done.folder / "own.txt").read_text() == "second"
    assert done.report.warnings == tuple(
        f"output '{name}' (plugin textclf_{name}): 'same.txt' was written by output 'first' (plugin textclf_first) "
        "before, and is dropped; choose another name"
        for name in ("second", "first")
    )


def test_two_outputs_may_write_into_a_folder_of_one_name() -> None:
    def into(name: str) -> Any:
        def write(folder: Path) -> None:
            (folder / "figures").mkdir()
            (folder / "figures" / f"{name}.txt").write_text(name)

        return writing(name, write)

    done = engine(into("one"), into("two")).run(recipe(outputs=["one", "two"]))
    assert done.report.warnings == ()
    assert {path.name for path in (done.folder / "figures").iterdir()} == {"one.txt", "two.txt"}


def test_an_output_that_fails_leaves_nothing_and_costs_a_warning() -> None:
    """P05: the run is finished."""

    def write(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise OSError("no ink")

    done = engine(writing("failing", write)).run(recipe(outputs=["failing", "toy_summary"]))
    [warning] = done.report.warnings
    said = "output 'failing' (plugin textclf_failing): write fails, the run goes on: OSError: no ink"
    assert warning.startswith(said)
    assert not list(done.folder.rglob("half.txt"))
    assert (done.folder / "toy_summary.json").exists()


@pytest.mark.parametrize("clash", [["one", "two"], ["two", "one"]])
def test_a_file_where_another_output_has_a_folder_is_a_warning(clash: list[str]) -> None:
    def two(folder: Path) -> None:
        (folder / "same").mkdir()
        (folder / "same" / "two.txt").write_text("two")

    one = writing("one", lambda folder: (folder / "same").write_text("one"))
    done = engine(one, writing("two", two)).run(recipe(outputs=clash))
    [warning] = done.report.warnings
    assert warning.startswith(f"output '{clash[1]}' (plugin textclf_{clash[1]}): write fails, the run goes on: ")
    assert (done.folder / "same").is_dir() == (clash[0] == "two")


def test_an_output_may_write_again_what_it_wrote_in_an_earlier_try() -> None:
    tries: list[Path] = []

    def write(folder: Path) -> None:
        tries.append(folder)
        (folder / "mine.txt").write_text(f"try {len(tries)}")

    def stop(folder: Path) -> None:
        if len(tries) == 1:
            raise KeyboardInterrupt

    taken = engine(writing("mine", write), writing("stopping", stop))
    with pytest.raises(BaseException, match="interrupted"):
        taken.run(recipe(outputs=["mine", "stopping"]))
    [run] = Path("runs/toy").iterdir()
    assert (run / "mine.txt").read_text() == "try 1"
    done = taken.resume(run)
    assert done.report.warnings == ()
    assert (done.folder / "mine.txt").read_text() == "try 2"


def bound(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end, contextlib.chdir(folder):
        end.bind("end")


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (lambda folder: os.mkfifo(folder / "pipe"), "pipe"),
        (bound, "end"),
        (lambda folder: (folder / "latest").symlink_to("model"), "latest"),
    ],
)
def test_a_pipe_a_socket_or_a_link_is_moved_as_it_is(act: Any, name: str) -> None:
    here = Path.cwd()
    one, two = writing("one", act), writing("two", lambda folder: (folder / "two").write_text("two"))
    try:
        done = engine(one, two, runs=here / "runs").run(recipe(outputs=["one", "two"]))
    finally:
        os.chdir(here)
    assert done.report.warnings == ()
    assert (done.folder / "two").read_text() == "two"
    assert name in {path.name for path in done.folder.iterdir()}


def test_an_output_that_changes_the_current_folder_costs_the_run_nothing(tmp_path: Path) -> None:
    here = Path.cwd()
    (tmp_path / "other").mkdir()
    try:
        done = engine(writing("moving", lambda folder: os.chdir(tmp_path / "other"))).run(
            recipe(outputs=["moving", "toy_summary"])
        )
    finally:
        os.chdir(here)
    assert (done.folder / "toy_summary.json").exists()
    assert json.loads((done.folder / "record.json").read_text())["state"] == "finished"
    assert not (done.folder / ".holder").exists()


def test_the_reserved_names_are_those_of_all_that_a_run_writes_and_the_guide_lists_them() -> None:
    done = engine().run(recipe())
    written = {path.name for path in done.folder.iterdir()} - {".lock"}
    assert written <= set(RESERVED)
    folder = RunFolder(done.folder)
    assert {folder.checkpoints.name, folder.work.name, "plugins", "summary.json"} | written == set(RESERVED)
    guide = (ROOT / "docs" / "plugin-reference.md").read_text("utf-8")
    assert ", ".join(f"`{name}`" for name in sorted(RESERVED)) in " ".join(guide.split())


def test_observers_may_write_files_of_their_own_into_a_finished_run() -> None:
    def note(event: Event) -> None:
        if isinstance(event, RunFinished):
            with (Path(event.folder) / "seen.log").open("a") as file:
                file.write("seen\n")

    watching = ModuleType("textclf_watching")
    watching.textclf_event = note  # type: ignore[attr-defined]
    done = engine(watching, observers=[note]).run(recipe())
    assert done.report.warnings == ()
    assert (done.folder / "seen.log").read_text() == "seen\nseen\n"
