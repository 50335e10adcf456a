"""Ctrl-C and SIGTERM against the real command: what is saved, what is said, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import install

Shell = Callable[..., Any]
ENDLESS = ("--set", "trainer.epochs=100000", "--set", "trainer.rate=0.001")

DEAF = """
import time
from textclf import Component, Traits

class Deaf:
    def train(self, encoder, train, validation, labels, context):
        from textclf import Progress
        context.emit(Progress(stage="train", done=1, total=2))
        context.warn("training began")
        time.sleep(60)

    def restore(self, folder, encoder, labels):
        raise NotImplementedError

def textclf_trainers():
    return [Component(name="deaf", build=lambda options: Deaf(), traits=Traits(reads=frozenset({"matrix"})))]
"""


def read_until(process: Any, words: bytes) -> bytes:
    """Read stderr up to the line with these words."""
    seen = b""
    for line in process.stderr:
        seen += line
        if words in line:
            return seen
    raise AssertionError(f"the command ended without saying {words!r}: {seen!r}")


@pytest.mark.parametrize(
    ("number", "code", "again"),
    [(signal.SIGINT, 130, b"press Ctrl-C again"), (signal.SIGTERM, 75, b"signal again")],
    ids=["T04", "T05"],
)
def test_the_first_signal_lets_the_run_finish_its_step_and_save(
    shell: Shell, recipe: str, number: int, code: int, again: bytes
) -> None:
    """T04 T05: Ctrl-C ends with 130, SIGTERM with 75; the run says how to go on, and goes on."""
    process = shell("run", recipe, *ENDLESS)
    read_until(process, b"epoch ")
    process.send_signal(number)
    out, rest = process.communicate(timeout=30)
    assert process.returncode == code, rest
    assert b"stopping after this step, and saving; " + again + b" to stop now\n" in rest
    last = rest.decode().splitlines()[-1]
    stopped = re.fullmatch(r"textclf: stopped after epoch (\d+) of 100000; go on with: textclf resume (\S+)", last)
    assert stopped, last
    assert out == b""
    record = json.loads((Path(stopped.group(2)) / "record.json").read_text())
    assert record["state"] == "interrupted"

    resumed = shell("resume", stopped.group(2))
    heard = read_until(resumed, b"epoch ")
    assert b"going on with toys in " in heard
    assert int(re.search(rb"epoch (\d+) of", heard).group(1)) == int(stopped.group(1)) + 1
    resumed.kill()
    resumed.communicate()


def test_a_second_signal_stops_a_run_that_does_not_listen(shell: Shell, tmp_path: Path, recipe: str) -> None:
    """T04: a trainer that never asks is stopped by the second Ctrl-C, at once."""
    (tmp_path / "deaf").mkdir()
    (tmp_path / "deaf" / "deaf_plugin.py").write_text(DEAF)
    site = install(tmp_path / "deaf", deaf="deaf_plugin")
    process = shell("run", recipe, "--set", "trainer.use=deaf", also=site)
    read_until(process, b"training began")
    process.send_signal(signal.SIGINT)
    read_until(process, b"to stop now")
    assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=20)[1].decode()
    assert process.returncode == 130, rest
    assert time.monotonic() - began < 10
    assert re.search(r"textclf: interrupted; go on with: textclf resume runs/toys/\S+\n$", rest), rest
    assert "Traceback" not in rest


def test_an_interrupted_study_is_resumed_as_a_whole(shell: Shell, recipe: str) -> None:
    process = shell("run", recipe, "--seeds", "2", *ENDLESS)
    read_until(process, b"epoch ")
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 130
    folder = re.search(r"go on with: textclf resume (\S+)\n$", rest)
    assert folder, rest
    assert json.loads((Path(folder.group(1)) / "record.json").read_text())["kind"] == "study"


def test_ctrl_c_while_predicting_ends_with_130_at_once(shell: Shell, trained: Path) -> None:
    """T04: a command that has nothing to save stops by the first Ctrl-C."""
    process = shell("predict", str(next((trained / "toys").iterdir())), "--format", "jsonl", stdin=-1)
    process.stdin.write(b"a text\n" * 5000)
    process.stdin.flush()
    assert process.stdout.readline().startswith(b'{"text": "a text"')
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=20)[1]
    assert (process.returncode, rest) == (130, b"textclf: stopped\n")
