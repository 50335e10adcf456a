"""TEXTCLF_TRACE=1: one line on stderr for each hook that is called, who answered and what."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.toys import recipe
from textclf import Engine
from textclf.plugin.discovery import discover
from textclf.testing import toy

from .loose_files import write
from .sample import SAMPLE, plugin
from .test_discovery import SHOUT
from .test_discovery import install as install

TIME = re.compile(r" \(\d+\.\d ms\)$")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lines() -> Callable[..., list[str]]:
    def tracing(*plugins: object, entry_points: bool = False) -> list[str]:
        heard: list[str] = []
        discover(plugins, entry_points=entry_points, say=heard.append)
        return [TIME.sub(" (T)", line) for line in heard]

    return tracing


def test_each_hook_says_who_answered_and_what(lines, tmp_path):
    (tmp_path / "one.yaml").touch()
    write("mine.py")
    recipes = plugin("textclf_book", textclf_recipes=lambda: tmp_path, textclf_outputs=lambda: [])
    assert lines(recipes, "mine.py") == [
        "plugin mine (mine.py) is run (T)",
        "textclf_outputs() of plugin textclf_book (given by a program) answers nothing (T)",
        "textclf_recipes() of plugin textclf_book (given by a program) answers recipe 'one' (T)",
        "textclf_encoders() of plugin mine (mine.py) answers encoder 'shape' (T)",
    ]
    assert lines(SAMPLE)[0] == (
        "textclf_datasets() of plugin textclf_sample (given by a program) answers dataset 'rows', dataset 'files' (T)"
    )


def test_installed_blocked_refused_and_broken_plugins_are_told(lines, install, monkeypatch):
    install("textclf_shout", SHOUT)
    install("textclf_shut", SHOUT)
    install("textclf_late", SHOUT, "textclf-engine>=99")
    install("textclf_torn", "def textclf_encoders(): 1 / 0")
    monkeypatch.setenv("TEXTCLF_BLOCK", "shut")
    heard = [line for line in lines(entry_points=True) if re.search("shout|shut|late|torn", line)]
    assert sorted(heard) == [
        "plugin 'shut' is kept out by TEXTCLF_BLOCK",
        "plugin textclf_late (textclf_late 1.2) needs textclf-engine>=99, and this is 0.1.0; install a version of "
        "'textclf_late' made for it (T)",
        "plugin textclf_shout (textclf_shout 1.2) is imported (T)",
        "plugin textclf_torn (textclf_torn 1.2) is broken: textclf_encoders() fails: ZeroDivisionError: division "
        "by zero (textclf_torn.py:1)",
        "plugin textclf_torn (textclf_torn 1.2) is imported (T)",
        "textclf_encoders() of plugin textclf_shout (textclf_shout 1.2) answers encoder 'shout' (T)",
    ]


def test_a_file_that_is_broken_is_told():
    heard: list[str] = []
    write("mine.py", "def textclf_encoders(): 1 / 0")
    discover(["mine.py"], entry_points=False, say=heard.append)
    broken = "plugin mine (mine.py) is broken: textclf_encoders() fails: ZeroDivisionError: division by zero"
    assert heard[-1] == f"{broken} (mine.py:1)"


def test_events_are_told_with_who_takes_them_and_stdout_is_left_alone(monkeypatch, capsys):
    monkeypatch.setenv("TEXTCLF_TRACE", "1")

    def textclf_event(event):
        if type(event).__name__ == "StageFinished":
            raise ValueError("enough")

    watcher = plugin("textclf_watch", textclf_event=textclf_event)
    Engine(plugins=[toy, watcher], entry_points=False, cache="cache").run(recipe())
    said = capsys.readouterr()
    heard = [TIME.sub(" (T)", line) for line in said.err.splitlines() if "textclf_event(" in line and "watch" in line]
    who = "of plugin textclf_watch (given by a program)"
    assert said.out == ""
    assert heard == [
        f"textclf: trace: textclf_event(RunStarted) {who} takes it (T)",
        f"textclf: trace: textclf_event(StageStarted) {who} takes it (T)",
        f"textclf: trace: textclf_event(StageFinished) {who} fails: ValueError (T)",
    ]


@pytest.mark.parametrize("value", [None, "", "0"])
def test_without_it_nothing_is_written_and_observers_are_called_directly(monkeypatch, capsys, value):
    if value is None:
        monkeypatch.delenv("TEXTCLF_TRACE", raising=False)
    else:
        monkeypatch.setenv("TEXTCLF_TRACE", value)
    assert Engine(plugins=[toy], entry_points=False).registry.offers
    assert capsys.readouterr().err == ""
