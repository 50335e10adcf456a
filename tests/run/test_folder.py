"""Run folders: found, listed, locked, and their true state."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.toys import Stopping, engine, recipe
from textclf import ArtefactError, RecipeError, ResourceError, StageStarted, Stopped
from textclf.run import folder
from textclf.run import folder as folders


def made(name: str = "toy", **record: Any) -> folder.RunFolder:
    return folder.create(Path("runs"), name, {"name": name}, **record)


def test_a_new_folder_holds_its_recipe_and_a_record() -> None:
    run = made(source="mine.yaml")
    assert (run.path / "recipe.yaml").read_text() == "name: toy\n"
    about = json.loads((run.path / "record.json").read_text())
    assert (about["state"], about["name"], about["source"]) == ("running", "toy", "mine.yaml")
    assert {"textclf", "numpy"} <= set(about["versions"])
    assert "torch" not in about["machine"]


def test_a_run_is_found_by_path_model_name_id_and_latest() -> None:
    ready = engine()
    first, second = ready.run(recipe()), ready.run(recipe())
    for reference in (second.folder, second.folder / "model", "toy", f"toy/{second.folder.name}", "latest"):
        assert ready.find(reference) == second.folder
    assert ready.find(first.folder) == first.folder
    assert [i.folder for i in ready.runs_list()] == [second.folder, first.folder]
    assert ready.runs_list()[0].headline["toy_accuracy"].value == second.report.metrics["toy_accuracy"].value  # type: ignore[union-attr]


def test_what_is_not_finished_is_resumed_first_and_never_loaded() -> None:
    ready = engine()
    done = ready.run(recipe())
    with pytest.raises(Stopped):
        engine(stopping=Stopping(5)).run(recipe())
    waiting = folder.find(Path("runs"), "toy", "any").path
    assert waiting != done.folder
    assert ready.find("toy") == done.folder
    with pytest.raises(ArtefactError) as raised:
        ready.load(waiting)
    assert str(raised.value) == (
        f"'{waiting}' has no finished run; the newest is {waiting} (interrupted): `textclf resume {waiting}`"
    )


def test_an_unknown_run_is_named_with_the_one_meant() -> None:
    with pytest.raises(RecipeError, match=r"^no run is called 'toy' \(there are no runs in 'runs'\)$"):
        engine().find("toy")
    made()
    with pytest.raises(RecipeError, match=r"^no run is called 'tony'; did you mean 'toy'\? \(runs here: toy\)$"):
        engine().find("tony")


@pytest.mark.parametrize("record", ["", "{", "[]", '{"state": "finished"}', "\x00"])
def test_a_damaged_folder_is_listed_as_such_and_harms_no_other(record: str) -> None:
    run = made()
    good = made("good")
    (run.path / "record.json").write_text(record)
    assert [(i.name, i.state) for i in folder.list_runs(Path("runs"))] == [("good", "interrupted"), ("toy", "damaged")]
    assert good.state == "running"


def test_runs_that_cannot_be_written_are_refused_with_the_place() -> None:
    Path("file").write_text("")
    with pytest.raises(ResourceError, match=r"^cannot write file/toy/.+: Not a directory; use a folder that can be"):
        engine(runs="file").run(recipe())


def test_a_damaged_run_is_called_so_and_not_offered_for_resuming() -> None:
    done = engine().run(recipe())
    (done.folder / "metrics.json").unlink()
    assert [info.state for info in engine().runs_list()] == ["damaged"]
    with pytest.raises(ArtefactError) as raised:
        engine().find("toy")
    assert str(raised.value) == (
        f"'toy' has no finished run; the newest is {done.folder} (damaged): run the recipe again"
    )
    (done.folder / "record.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"record.json is damaged: it is no record of a run; run the recipe again"):
        engine().resume(done.folder)
    (done.folder / "record.json").unlink()
    with pytest.raises(ArtefactError, match=r"is a run without its record.json: it is damaged; run the recipe again"):
        engine().resume(done.folder)


def test_the_folder_of_all_runs_of_a_name_means_the_name() -> None:
    done = engine().run(recipe())
    assert engine().find("runs/toy/") == engine().find(done.folder.parent) == done.folder


def test_a_run_cannot_be_called_latest() -> None:
    with pytest.raises(RecipeError, match="'latest' means the newest run of all; choose another name"):
        engine().plan(recipe(name="latest"))


@contextmanager
def running() -> Iterator[Path]:
    """Yield the folder of a run that another process is in the middle of; at the end that is killed."""
    told = os.pipe()
    child = os.fork()
    if child == 0:

        def observe(event: object) -> None:
            if isinstance(event, StageStarted) and event.stage == "encode":
                os.write(told[1], event.run.encode())
                signal.pause()

        engine(observers=[observe]).run(recipe())
        os._exit(1)
    try:
        yield Path(os.read(told[0], 4096).decode())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def state() -> list[str]:
    return [info.state for info in engine().runs_list()]


def files(run: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in (run, *sorted(run.rglob("*")))}


def test_a_run_is_called_running_for_as_long_as_its_process_lives_and_then_interrupted() -> None:
    with running() as run:
        assert state() == ["running"]
        with pytest.raises(ArtefactError) as raised:
            engine().load("toy")
        assert str(raised.value) == f"'toy' has no finished run; the newest is {run} (running): wait for it"
        before = files(run)
        assert state() == ["running"]
    assert json.loads((run / "record.json").read_text())["state"] == "running"
    assert state() == ["interrupted"]
    assert files(run) == before, "who lists the runs changes nothing"
    with pytest.raises(ArtefactError) as raised:
        engine().load("toy")
    found = f"'toy' has no finished run; the newest is {run} (interrupted): `textclf resume {run}`"
    assert str(raised.value) == found
    assert folder.find(Path("runs"), "toy", "any").path == run
    assert engine().resume("toy").folder == run
    assert state() == ["finished"]


def test_a_run_in_another_thread_of_this_process_is_running_too() -> None:
    seen: list[str] = []
    engine(observers=[lambda event: seen.extend(state())]).run(recipe())
    assert set(seen[:-1]) == {"running"}
    assert seen[-1] == "finished"


def test_a_study_whose_process_is_gone_is_interrupted() -> None:
    made = folders.create(Path("runs"), "toy", recipe(), kind=folders.STUDY)
    with made.locked():
        assert state() == ["running"]
    assert state() == ["interrupted"]
    with pytest.raises(ArtefactError) as raised:
        engine().find(made.path)
    assert str(raised.value) == (
        f"{made.path} is a study, and none of its 0 runs is finished: `textclf resume {made.path}`"
    )


def test_who_looks_at_a_run_keeps_nobody_from_holding_it() -> None:
    made = folders.create(Path("runs"), "toy", recipe())
    with made.locked():
        pass
    with (made.path / ".lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert state() == ["interrupted"], "two may look at once"
        threading.Timer(0.02, looking.close).start()
        with made.locked():
            assert state() == ["running"]


def test_the_true_state_is_known_where_the_system_has_no_shared_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    made = folders.create(Path("runs"), "toy", recipe())
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    with running():
        assert sorted(state()) == ["interrupted", "running"]
    with made.locked():
        pass
    assert state() == ["interrupted", "interrupted"]
