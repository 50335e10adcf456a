"""The journal of a run: what reports need, what observers see, what a program logs."""

from __future__ import annotations

import copy
import json
import logging
import os
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.packages import ROOT
from tests.places import placeless
from tests.toys import engine, plugin, recipe
from textclf import (
    Accounted,
    Chosen,
    EpochFinished,
    Event,
    Forecast,
    Progress,
    ResourceError,
    RunFinished,
    RunStarted,
    StageFinished,
    Warned,
)
from textclf.evaluation.evaluate import learned
from textclf.plugin.registry import Plugin
from textclf.run.journal import Journal, chosen_options, event_file, read_events


def test_events_are_kept_and_told_and_the_reports_share_is_remembered() -> None:
    kept: list[Event] = []
    told: list[Event] = []
    journal = Journal([("mine", told.append)], kept.append)
    journal.emit(Chosen(what="layout", choice="packed"))
    journal.emit(EpochFinished(epoch=1, epochs=2, step=3, loss=0.5))
    journal.emit(Warned(message="careful"))
    journal.emit(Warned(message="careful"))
    assert kept == told
    assert [type(event).__name__ for event in told] == ["Chosen", "EpochFinished", "Warned"]
    assert (journal.choices, journal.warnings) == ({"layout": "packed"}, ["careful"])
    assert journal.history()[0]["loss"] == 0.5


def test_what_was_foretold_and_what_came_of_it_are_kept_by_their_stage() -> None:
    journal = Journal([], [].append)
    journal.emit(Forecast(stage="train", memory=5, memory_free=9, disk=7, disk_free=8))
    journal.emit(Forecast(stage="train", seconds=60.0, advice={"less": 1.0}))
    journal.emit(Accounted(stage="train", tokens=10, seconds=2.0, tokens_per_second=5.0, parts={"forward": 2.0}))
    assert journal.forecasts == {
        "train": {"memory": 5, "memory_free": 9, "disk": 7, "disk_free": 8, "seconds": 60.0, "advice": {"less": 1.0}}
    }
    assert journal.accounts == {
        "train": {
            "tokens": 10, "seconds": 2.0, "tokens_per_second": 5.0, "parts": {"forward": 2.0}, "first_step": 0,
        }
    }  # fmt: skip


def test_progress_is_told_four_times_a_second_and_at_its_end() -> None:
    told: list[Event] = []
    kept: list[Event] = []
    journal = Journal([("mine", told.append)], kept.append)
    for done in range(1, 1001):
        journal.emit(Progress(stage="train", done=done, total=1000, tokens_per_second=float(done)))
    assert 2 <= len(told) <= 5
    assert isinstance(told[-1], Progress)
    assert told[-1].done == 1000
    assert (kept, journal.tokens_per_second) == ([], 1000.0)


def test_threads_tell_a_journal_one_after_the_other() -> None:
    inside, most, kept = [0], [0], []

    def observe(event: Event) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.0005)
        inside[0] -= 1

    journal = Journal([("mine", observe)], kept.append)

    def tell(thread: int) -> None:
        for number in range(50):
            journal.emit(Warned(message=f"{thread} {number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tell, range(4)))
    assert most == [1]
    assert len(kept) == len(journal.warnings) == 200


def test_what_was_warned_of_before_an_interruption_is_told_again_and_recorded_once() -> None:
    told: list[Event] = []
    past = [Warned(message=message).to_json() for message in ("first", "second", "first")]
    journal = Journal([("mine", told.append)], [].append, past)
    for message in ("second", "second", "third"):
        journal.emit(Warned(message=message))
    assert journal.warnings == ["first", "second", "third"]
    assert [event.message for event in told if isinstance(event, Warned)] == ["second", "third"]


EPOCHS = (("words", 1, 3.0), ("words", 2, 2.0), ("", 1, 0.5), ("words", 2, 2.5), ("", 2, float("nan")))


def epoch(objective: str, number: int, loss: float) -> Event:
    return EpochFinished(objective=objective, epoch=number, epochs=2, step=number, loss=loss)


def test_what_earlier_tries_wrote_is_read_once_and_adds_up_with_what_follows(tmp_path: Path) -> None:
    """X04: a loss that is not a number is null. A line that a kill has cut is left out, and the next is whole."""
    path = tmp_path / "events.jsonl"
    with event_file(path) as (past, append):
        assert past == []
        for event in map(epoch, *zip(*EPOCHS, strict=True)):
            append(event)
        for choice in ("padded", "packed"):
            append(Chosen(what="layout", choice=choice, options={"trainer.layout": choice}))
        append(Accounted(stage="train", tokens=10, seconds=2.0, tokens_per_second=5.0))
    with path.open("a") as file:
        file.write('{"event": "EpochFini')
    with event_file(path) as (past, append):
        journal = Journal([], append, past)
        journal.emit(epoch("", 2, 0.25))
    assert [(e["objective"], e["epoch"], e["loss"]) for e in journal.history()] == [
        ("words", 1, 3.0), ("words", 2, 2.5), ("", 1, 0.5), ("", 2, 0.25),
    ]  # fmt: skip
    assert learned(journal.history()) == {"words": {"epochs": 2, "first_loss": 3.0, "last_loss": 2.5}}
    assert (journal.choices, journal.options) == ({"layout": "packed"}, {"trainer.layout": "packed"})
    assert journal.accounts["train"]["tokens_per_second"] == 5.0
    lines = path.read_text().splitlines()
    assert lines[-2] == '{"event": "EpochFini'
    assert [json.loads(lines[row])["loss"] for row in (4, -1)] == [None, 0.25]
    assert chosen_options(read_events(path)) == {"trainer.layout": "packed"}


def test_each_event_is_on_the_disk_before_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with event_file(path) as (_, append):
        for count in (1, 2, 3):
            append(Warned(message="careful"))
            assert len(read_events(path)) == count


def test_an_event_that_a_full_disk_refuses_is_an_error_and_is_not_written_later(tmp_path: Path) -> None:
    """C04: nothing stays in a buffer that would be written when the file is closed."""
    path = tmp_path / "events.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with event_file(path) as (_, append):
        append(Warned(message="short"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
        try:
            with pytest.raises(ResourceError, match="the disk is full: cannot write"):
                append(Warned(message="long" * 10))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [event["message"] for event in read_events(path)] == ["short"]


def test_a_stage_is_timed_with_its_notes() -> None:
    told: list[Event] = []
    journal = Journal([], told.append)
    with journal.stage("split") as notes:
        notes["train"] = 3
    assert told[1].to_json() == {
        "event": "StageFinished", "time": told[1].time, "stage": "split", "seconds": journal.stages["split"],
        "notes": {"train": 3},
    }  # fmt: skip
    with pytest.raises(ValueError, match="no"), journal.stage("train"):
        raise ValueError("no")
    assert set(journal.stages) == {"split"}


def test_observers_that_fail_together_are_each_heard_of_once() -> None:
    """P05: an observer that fails at the warning about another one does not end the run."""

    def fail(event: Event) -> None:
        raise ValueError("no")

    kept: list[Event] = []
    journal = Journal([("one", fail), ("two", fail), ("three", fail)], kept.append)
    journal.emit(Chosen(what="a", choice=1))
    journal.emit(Chosen(what="b", choice=1))
    assert sorted(map(placeless, journal.warnings)) == [
        f"observer {name} fails and is left out: ValueError: no" for name in ("one", "three", "two")
    ]
    assert journal.observers == []


@pytest.mark.parametrize("event", [Chosen(what="a", choice=1), EpochFinished(epoch=1, epochs=2, step=3, loss=0.5)])
def test_an_observer_that_changes_an_event_is_told_that_it_cannot(event: Event) -> None:
    def change(event: Event) -> None:
        event.epoch = 2  # type: ignore[attr-defined]

    journal = Journal([("one", change)], [].append)
    journal.emit(event)
    said = "FrozenInstanceError: an event cannot be changed: its 'epoch' is as it happened"
    assert list(map(placeless, journal.warnings)) == [f"observer one fails and is left out: {said}"]
    assert copy.deepcopy(event) == replace(event)


@pytest.mark.parametrize(
    ("plugin", "way"),
    [
        (Plugin("diary", "textclf_diary", "textclf-diary", "1.0"),
         "report it to the authors of textclf-diary, or block it: TEXTCLF_BLOCK=diary"),
        (Plugin("diary", "diary", file="my diary.py", sha256="1"),
         "see `textclf --plugin 'my diary.py' plugins check diary`, or run without --plugin 'my diary.py'"),
        (Plugin("own", "textclf_own", "textclf-engine", "1.0"), "block it: TEXTCLF_BLOCK=own"),
        (Plugin("diary", "diary"),
         "remove it from Engine(plugins=...), or see `textclf.testing.check_plugin(diary)`"),
    ],
)  # fmt: skip
def test_an_observer_that_fails_is_named_with_a_way_to_do_without_it(plugin: Plugin, way: str) -> None:
    def fail(event: Event) -> None:
        raise ValueError("no")

    journal = Journal([("diary", fail)], [].append, hints={"diary": plugin.disable_hint})
    journal.emit(Chosen(what="a", choice=1))
    assert list(map(placeless, journal.warnings)) == [f"observer diary fails and is left out: ValueError: no; {way}"]


def test_one_engine_at_two_runs_tells_of_each_event_which_it_belongs_to() -> None:
    heard: list[Event] = []
    met = threading.Barrier(2, timeout=60)

    def observe(event: Event) -> None:
        heard.append(event)
        if isinstance(event, RunStarted):
            met.wait()  # neither goes on before the other has begun

    both = engine(observers=[observe])
    threads = [threading.Thread(target=both.run, args=(recipe(name=name),)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    folders = {event.folder for event in heard if isinstance(event, RunFinished)}
    assert {Path(folder).parent.name for folder in folders} == {"one", "two"}
    for folder in folders:
        mine = [event for event in heard if event.run == folder]
        told = [type(event).__name__ for event in mine if not isinstance(event, Progress)]
        kept = [json.loads(line) for line in (Path(folder) / "events.jsonl").read_text().splitlines()]
        assert told == [event["event"] for event in kept]
        assert "EpochFinished" in told
        assert not any("run" in event for event in kept)
    assert {event.run for event in heard} == folders


def test_the_events_of_a_study_belong_to_its_single_runs() -> None:
    heard: list[Event] = []
    study = engine(observers=[heard.append]).run(recipe(), seeds=[1, 2])
    assert list(dict.fromkeys(event.run for event in heard)) == [str(member.folder) for member in study.members]


def test_an_event_outside_a_run_belongs_to_none_and_its_json_says_nothing_of_it() -> None:
    assert Warned(message="careful").run == ""
    assert Warned(message="careful", time=1.0).to_json() == {
        "event": "Warned", "time": 1.0, "message": "careful", "stage": "",
    }  # fmt: skip


def test_the_json_of_an_event_that_was_told_of_a_run_names_the_run() -> None:
    heard: list[Event] = []
    kept: list[Event] = []
    journal = Journal([("mine", heard.append)], kept.append, run="runs/a/b")
    journal.emit(StageFinished(stage="load", seconds=1.0, time=2.0))
    assert heard[0].to_json() == {
        "event": "StageFinished", "time": 2.0, "run": "runs/a/b", "stage": "load", "seconds": 1.0, "notes": {},
    }  # fmt: skip
    assert kept[0].to_json() == {
        "event": "StageFinished", "time": 2.0, "stage": "load", "seconds": 1.0, "notes": {},
    }  # fmt: skip


class Failing:
    def write(self, finished: Any, folder: Any) -> None:
        raise OSError("no ink")


FAILING = plugin("output", "failing", Failing)
SAID = "output 'failing' (plugin textclf_failing): write fails, the run goes on: OSError: no ink"
PROGRAM = """
import logging
from tests.run.test_journal import FAILING
from tests.toys import engine, recipe

engine(FAILING).run(recipe(outputs=["failing"]))
logging.getLogger("textclf").setLevel("ERROR")
engine(FAILING).run(recipe(outputs=["failing"]))
"""


def test_a_warning_of_a_run_is_logged_once_where_the_engine_has_no_observer(caplog: pytest.LogCaptureFixture) -> None:
    done = engine(FAILING).run(recipe(outputs=["failing"]))
    [warning] = done.report.warnings  # type: ignore[union-attr]
    assert placeless(warning) == SAID
    assert caplog.record_tuples == [("textclf", logging.WARNING, warning)]


def test_an_engine_with_an_observer_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []
    engine(FAILING, observers=[told.append]).run(recipe(outputs=["failing"]))
    assert [type(event) for event in told].count(Warned) == 1
    assert caplog.record_tuples == []


def test_observers_of_plugins_are_none_of_the_programs(caplog: pytest.LogCaptureFixture) -> None:
    watching = plugin("output", "watching", Failing)
    watching.textclf_event = lambda event: None  # type: ignore[attr-defined]
    engine(watching).run(recipe(outputs=["watching"]))
    assert len(caplog.records) == 1


def test_a_program_that_sets_nothing_up_reads_it_on_stderr_and_can_silence_it() -> None:
    places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": places}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, placeless(done.stderr)) == (0, "", f"{SAID}\n")
