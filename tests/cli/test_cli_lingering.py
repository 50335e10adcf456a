"""A plugin's thread that never ends: the command returns all the same, with its answer and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """\
import threading, time
from concurrent.futures import ThreadPoolExecutor

def textclf_event(event):
    if type(event).__name__ == "RunStarted":
"""
BEATING = HEAD + "        threading.Thread(target=lambda: [time.sleep(1) for _ in range(600)], name='beat').start()\n"
POOL = HEAD + "        global pool\n        pool = ThreadPoolExecutor()\n        pool.submit(print)\n"
SENDING = HEAD + """\
        def send():
            time.sleep(2)
            open("sent.txt", "w").write("all")
        threading.Thread(target=send).start()
"""
WARNING = "warning: textclf ends without the threads 'beat', which go on; a plugin starts them with daemon=True"


def ran(site: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    Path("mine.py").write_text(text, "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "textclf", "--plugin", "mine.py", *words],
        env={**os.environ, "PYTHONPATH": f"{site}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


def test_a_thread_that_never_ends_is_left_and_named(site: Path, recipe: str) -> None:
    done = ran(site, BEATING, "run", recipe, "--json")
    assert done.returncode == 0
    assert Path(json.loads(done.stdout)["folder"], "metrics.json").is_file()
    assert done.stderr.splitlines()[-1] == WARNING


def test_the_exit_code_stays_that_of_the_command(site: Path, recipe: str) -> None:
    done = ran(site, BEATING, "run", recipe, "--set", "split.limit=2")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == WARNING


@pytest.mark.parametrize("text", [POOL, SENDING])
def test_what_ends_by_itself_is_waited_for_in_silence(site: Path, recipe: str, text: str) -> None:
    done = ran(site, text, "run", recipe, "--json")
    assert done.returncode == 0
    assert "threads" not in done.stderr
    assert Path("sent.txt").exists() == (text is SENDING)
