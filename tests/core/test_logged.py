"""What a run warns of in a program that lets nothing observe it: logged, and on stderr where logging is not set up."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.core.places import placeless
from tests.core.toys import engine, plugin, recipe
from tests.packages import ROOT
from textclf import Event
from textclf.plugin.events import Warned


class Failing:
    def write(self, finished: Any, folder: Any) -> None:
        raise OSError("no ink")


FAILING = plugin("output", "failing", Failing)
SAID = "output 'failing' (plugin textclf_failing): write fails, the run goes on: OSError: no ink"
PROGRAM = """
import logging
from tests.core.test_logged import FAILING
from tests.core.toys import engine, recipe

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
