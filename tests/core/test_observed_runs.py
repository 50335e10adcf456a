"""An observer that hears of several runs can tell them apart, and the runs' own files do not repeat it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from tests.core.toys import engine, recipe
from textclf import Event, Progress, RunFinished, RunStarted, StageFinished, Warned
from textclf.run.journal import Journal


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
