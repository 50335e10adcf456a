"""Pipes, full disks, poor terminals and homeless users, against the real command."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from textclf.cli.main import main
from textclf.cli.progress import Watcher
from textclf.plugin.events import Progress

Shell = Callable[..., Any]
POOR = {
    "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": "dumb", "HOME": None,
    "COLUMNS": None,
}  # fmt: skip


def test_a_reader_that_goes_away_ends_the_command_quietly(shell: Shell, trained: Path) -> None:
    """X05: `textclf predict ... | head -1` says nothing more."""
    process = shell("predict", str(next(trained.glob("toys/*"))), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.close()
    err = process.communicate(b"a text\n" * 20_000, timeout=60)[1]
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "RUN", "a text"]])
def test_a_full_device_is_one_sentence(shell: Shell, trained: Path, arguments: list[str]) -> None:
    """X05: what cannot be written ends with 7."""
    run = str(next(trained.glob("toys/*")))
    with Path("/dev/full").open("wb") as full:
        process = shell(*(run if word == "RUN" else word for word in arguments), stdout=full)
        err = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 7
    assert re.fullmatch(r"textclf: .*no space left on device.*\n", err, re.IGNORECASE)


def test_closed_streams_harm_nothing(trained: Path, shell: Shell) -> None:
    run = str(next(trained.glob("toys/*")))
    process = shell("predict", run, "a", "--output", "out.csv", preexec_fn=lambda: [os.close(fd) for fd in (0, 1, 2)])
    assert process.wait(60) == 0
    assert Path("out.csv").read_text().startswith("text,predicted,")


def test_a_poor_terminal_gets_ascii(shell: Shell, recipe: str) -> None:
    """X06: LANG=C, TERM=dumb and no HOME: labels that ASCII cannot say are escaped, tables stay tables."""
    process = shell("run", recipe, "--set", 'dataset.names=["gut", "übel ☹"]', env=POOR)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    out.decode("ascii")
    err.decode("ascii")
    assert rb"\xfcbel \u2639" in out
    assert b"next: textclf predict toys" in out


def test_the_help_page_is_ascii_where_nothing_else_can_be_shown(shell: Shell) -> None:
    """X06: frames are drawn with + and -."""
    out, err = shell("--help", env=POOR).communicate(timeout=60)
    assert b"+- Commands" in out.decode("ascii").encode()
    assert err == b""


class Screen(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    def isatty(self) -> bool:
        return True

    def seen(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]


def on_screen(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    assert main(arguments) == 0
    return screen.seen()


def test_no_color_and_dumb_terminals_are_respected(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """X06: NO_COLOR takes the colours, TERM=dumb every escape sequence."""
    show = ("plugins",)
    assert "\x1b[1m" in on_screen(monkeypatch, *show)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3\d", on_screen(monkeypatch, *show))
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in on_screen(monkeypatch, *show)


def test_a_pipe_gets_no_escape_sequence(shell: Shell, recipe: str) -> None:
    """X06: neither the report nor the progress."""
    out, err = shell("run", recipe).communicate(timeout=60)
    assert b"toy_accuracy" in out
    assert b"\x1b" not in out + err


def test_a_person_at_a_terminal_reads_lines(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """X02: predictions with the text beside them; what the text holds does nothing."""
    seen = on_screen(monkeypatch, "predict", "toys", "[red]dabe\x1b[2J\nfine", "--runs", str(trained))
    assert re.fullmatch(r"label[01]  0\.\d{3}  \[red\]dabe\[2J fine\n", seen), seen


def test_bars_show_loss_and_speed() -> None:
    screen = Screen()
    with Watcher(Console(file=screen, force_terminal=True, width=100)) as watcher:
        for done in (1, 50):
            watcher(Progress(stage="train", done=done, total=100, loss=0.25, tokens_per_second=12_345.6))
    seen = screen.seen()
    assert "50 of 100 steps" in seen
    assert "loss 0.2500, 12,346 tokens per second" in seen


def test_a_read_only_home_is_no_obstacle(shell: Shell, recipe: str, tmp_path: Path) -> None:
    """X06: the cache is a help, not a condition."""
    home = tmp_path / "home"
    home.write_text("no folder can be made below a file, whoever asks")
    env = {"HOME": str(home), "TEXTCLF_CACHE": None, "XDG_CACHE_HOME": None}
    process = shell("run", recipe, env=env)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert b"next: textclf predict toys" in out
