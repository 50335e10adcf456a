"""What is found of observers: they may write into the run's folder, and into no other, and print nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from tests.core.toys import engine, recipe
from textclf.plugin import single_file
from textclf.plugin.events import RunFinished, RunStarted
from textclf.testing import check_plugin


def failed(observe):
    module = ModuleType("textclf_watching")
    module.textclf_event = observe
    return {finding.clause.id: finding.detail for finding in check_plugin(module) if finding.state == "failed"}


def test_an_observer_that_writes_into_the_folder_of_the_run_is_innocent():
    folders = set()

    def observe(event):
        if isinstance(event, RunStarted):
            folders.add(event.folder)
        for folder in folders:
            with (Path(folder) / "seen.log").open("a") as file:
                file.write(f"{type(event).__name__}\n")

    assert failed(observe) == {}
    assert not Path(folders.pop()).exists(), "and nothing is left of it"


def test_an_observer_is_tried_with_events_that_name_their_run():
    def observe(event):
        with (Path(event.run) / "seen.log").open("a") as file:
            file.write(f"{Path(event.run, 'record.json').stat().st_size}\n")

    assert failed(observe) == {}


def test_an_observer_that_writes_into_the_current_folder_is_told_which_is_the_run_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def observe(event):
        with Path("seen.log").open("a") as file:
            file.write("seen")

    assert failed(observe) == {
        "plugin.files": "textclf_event writes into the current folder: seen.log; the run's is event.run"
    }
    assert list(tmp_path.iterdir()) == []


def removing(folder):
    shutil.rmtree(folder / "model")
    (folder / "record.json").write_text("{}")


def noting(folder):
    (folder / "summary.json").write_text("{}")


@pytest.mark.parametrize(
    ("act", "names"),
    [
        (lambda folder: (folder / "metrics.json").write_text("{}"), "metrics.json"),
        (lambda folder: (folder / "model" / "note.txt").write_text("mine"), "model"),
        (removing, "model, record.json"),
        (noting, "summary.json"),
    ],
)
def test_an_observer_that_takes_files_of_the_run_s_own_is_told_which(act, names):
    def observe(event):
        if isinstance(event, RunFinished):
            assert json.loads((Path(event.folder) / "record.json").read_text("utf-8"))["state"] == "finished"
            act(Path(event.folder))

    said = f"textclf_event changes or removes {names}, which the run writes itself: choose other names"
    assert failed(observe) == {"plugin.whole": said}


@pytest.mark.parametrize("answer", [None, 1])
def test_an_observer_that_prints_is_found_whatever_else_it_does(answer):
    def observe(event):
        if isinstance(event, RunFinished):
            print("done:", event.metrics)
            return answer

    found = failed(observe)
    said = "textclf_event prints \"done: {'accuracy': 0.5}\\n\"; use logging, or a file in the run's folder"
    assert found.pop("plugin.quiet") == said
    assert list(found) == (["plugin.observer"] if answer else [])


def by_place(event, /):
    raise ValueError("no")


def by_name(*, event):
    raise ValueError("no")


def by_both(event):
    raise ValueError("no")


@pytest.mark.parametrize("observe", [by_place, by_name, by_both])
def test_a_run_and_a_check_call_an_observer_alike_however_it_takes_the_event(observe, tmp_path):
    line = observe.__code__.co_firstlineno + 1
    assert failed(observe) == {"plugin.observer": f"ValueError: no ({__file__}:{line})"}
    watching = ModuleType("textclf_watching")
    watching.textclf_event = observe
    (said,) = engine(watching, runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe()).report.warnings
    where = f"(test_testing_observers.py:{line}); mend it, or leave it out of Engine(plugins=...)"
    assert said.startswith(f"observer textclf_watching fails and is left out: ValueError: no {where}")


def quiet_by_place(event, /):
    """Take it."""


def quiet_by_name(*, event):
    """Take it."""


@pytest.mark.parametrize("observe", [quiet_by_place, quiet_by_name])
def test_observers_that_take_the_event_by_place_or_by_name_alone_are_innocent(observe, tmp_path):
    assert failed(observe) == {}
    watching = ModuleType("textclf_watching")
    watching.textclf_event = observe
    assert engine(watching, runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe()).report.warnings == ()


def test_an_observer_by_another_name_is_checked_as_runs_call_it(tmp_path):
    source = '@textclf.hookimpl(specname="textclf_event")\ndef watch(event):\n    raise ValueError("no")\n'
    file = tmp_path / "watching.py"
    file.write_text(f"import textclf\n\n\n{source}")
    findings = check_plugin(single_file.load(str(file)))
    assert {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"} == {
        "plugin.observer": "ValueError: no (watching.py:6)"
    }
    (said,) = engine(str(file), runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe()).report.warnings
    assert said.startswith(f"observer {file} fails and is left out: ValueError: no (watching.py:6)")
