"""The journal keeps what reports need, and tells observers no more than they can bear."""

from __future__ import annotations

import copy
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core.places import placeless
from textclf import Accounted, Chosen, EpochFinished, Event, Forecast, Progress
from textclf.plugin.events import Warned
from textclf.plugin.registry import Plugin
from textclf.run.journal import Journal


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
    assert journal.history[0]["loss"] == 0.5


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
    journal = Journal([("mine", told.append)], [].append, warnings=["first", "second"])
    for message in ("second", "second", "third"):
        journal.emit(Warned(message=message))
    assert journal.warnings == ["first", "second", "third"]
    assert [event.message for event in told if isinstance(event, Warned)] == ["second", "third"]


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
         "report it to the authors of textclf-diary, or keep it out: TEXTCLF_BLOCK=diary"),
        (Plugin("diary", "diary", file="my diary.py", sha256="1"),
         "see `textclf --plugin 'my diary.py' plugins check diary`, or leave --plugin 'my diary.py' out"),
        (Plugin("own", "textclf_own", "textclf-engine", "1.0"), "keep it out: TEXTCLF_BLOCK=own"),
        (Plugin("diary", "diary"),
         "mend it, or leave it out of Engine(plugins=...): `textclf.testing.check_plugin(diary)`"),
    ],
)  # fmt: skip
def test_an_observer_that_fails_is_named_with_a_way_to_do_without_it(plugin: Plugin, way: str) -> None:
    def fail(event: Event) -> None:
        raise ValueError("no")

    journal = Journal([("diary", fail)], [].append, ways={"diary": plugin.without})
    journal.emit(Chosen(what="a", choice=1))
    assert list(map(placeless, journal.warnings)) == [f"observer diary fails and is left out: ValueError: no; {way}"]


def test_what_observers_change_that_they_must_leave_alone_is_put_back_and_they_are_named_once(tmp_path: Path) -> None:
    """The run names its folder from the current one."""
    here, receiver = Path.cwd(), signal.getsignal(signal.SIGTERM)
    (tmp_path / "elsewhere").mkdir()

    def wander(event: Event) -> None:
        os.chdir(tmp_path / "elsewhere")

    def fall(event: Event) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise ValueError("no")

    heard: list[Path] = []
    observers = [("one", wander), ("two", fall), ("three", lambda event: heard.append(Path.cwd()))]
    journal = Journal(observers, [].append, ways={"one": "; mend it"})
    for what in ("a", "b"):
        journal.emit(Chosen(what=what, choice=1))
        assert (Path.cwd(), signal.getsignal(signal.SIGTERM)) == (here, receiver)
    assert list(map(placeless, journal.warnings)) == [
        "observer one changed the current folder, which was put back; mend it",
        "observer two fails and is left out: ValueError: no",
        "observer two changed the handler of SIGTERM, which was put back",
    ]
    assert set(heard) == {here}
