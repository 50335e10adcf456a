"""Signals, and `--plugin FILE`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import install
from tests.single_files import SHAPE, write
from textclf.cli.session import split_global_options

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
    """T04 T05: Ctrl-C ends with 130, SIGTERM with 75; the run says how to resume, and resumes."""
    process = shell("run", recipe, *ENDLESS)
    read_until(process, b"epoch ")
    process.send_signal(number)
    out, rest = process.communicate(timeout=30)
    assert process.returncode == code, rest
    assert b"stopping after this step, and saving; " + again + b" to stop now\n" in rest
    last = rest.decode().splitlines()[-1]
    stopped = re.fullmatch(r"textclf: stopped after epoch (\d+) of 100000; resume with: textclf resume (\S+)", last)
    assert stopped, last
    assert out == b""
    record = json.loads((Path(stopped.group(2)) / "record.json").read_text())
    assert record["state"] == "interrupted"

    resumed = shell("resume", stopped.group(2))
    heard = read_until(resumed, b"epoch ")
    assert b"resuming toys in " in heard
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
    assert re.search(r"textclf: interrupted; resume with: textclf resume runs/toys/\S+\n$", rest), rest
    assert "Traceback" not in rest


def test_an_interrupted_study_is_resumed_as_a_whole(shell: Shell, recipe: str) -> None:
    process = shell("run", recipe, "--seeds", "2", *ENDLESS)
    read_until(process, b"epoch ")
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 130
    folder = re.search(r"resume with: textclf resume (\S+)\n$", rest)
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


Call = Callable[..., Any]
RECIPE = """\
name: toys
dataset: {use: toy_texts, size: 60}
encoder: {use: shape, scale: 2.0}
trainer: {use: toy_linear, epochs: 5}
metrics: [toy_accuracy]
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTCLF_CACHE", str(tmp_path / "cache"))
    Path("toys.yaml").write_text(RECIPE, "utf-8")
    write("mine.py")


@pytest.fixture
def run(call: Call) -> Path:
    answer = call("--plugin", "mine.py", "run", "toys.yaml", "--json")
    assert answer.code == 0, answer.out
    return Path(answer.json()["folder"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--plugin", "mine.py", "check", "toys.yaml"],
        ["check", "toys.yaml", "--plugin", "./mine.py"],
        ["check", "--plugin=mine.py", "toys.yaml"],
        ["--debug", "check", "--plugin", "mine.py", "--plugin", "other.py", "toys.yaml"],
    ],
)
def test_the_option_stands_anywhere_before_the_two_dashes(call: Call, arguments: list[str]) -> None:
    write("other.py", SHAPE.replace('"shape"', '"form"'))
    answer = call(*arguments)
    assert (answer.code, answer.err) == (0, "")
    assert "encoder  shape" in answer.out


def test_a_file_that_is_passed_twice_counts_once(call: Call) -> None:
    Path("sub").mkdir()
    Path("sub/mine.py").symlink_to(Path("mine.py").absolute())
    given = ["--plugin", "mine.py", "--plugin", "./mine.py", "--plugin", "sub/mine.py", "--plugin", "mine.py"]
    answer = call(*given, "check", "toys.yaml")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.endswith("next: textclf --plugin mine.py run toys.yaml\n")


def test_behind_the_two_dashes_it_is_a_text() -> None:
    given = split_global_options(["explain", "--debug", "toys", "--", "--plugin", "mine.py", "--debug"])
    assert given.words == ("explain", "toys", "--", "--plugin", "mine.py", "--debug")
    assert (given.plugins, given.debug) == ((), True)


@pytest.mark.parametrize("arguments", [["--plugin"], ["check", "toys.yaml", "--plugin"]])
def test_the_option_without_a_file_is_wrong_usage(call: Call, arguments: list[str]) -> None:
    answer = call(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "textclf: option '--plugin' requires an argument; see 'textclf --help'\n"


@pytest.mark.parametrize("command", [["check", "toys.yaml"], ["runs"], ["plugins"], ["frobnicate"]])
def test_a_file_that_is_not_there_is_said_before_anything_else(call: Call, command: list[str]) -> None:
    answer = call("--plugin", "nine.py", *command)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "textclf: plugin 'nine.py': no such file; did you mean 'mine.py'?\n"


def test_with_json_the_error_is_the_one_document(call: Call) -> None:
    write("mine.py", "def textclf_encoders(): 1 / 0")
    answer = call("check", "toys.yaml", "--json", "--plugin", "mine.py")
    assert (answer.code, answer.err) == (5, "")
    [problem] = answer.json()["error"]["problems"]
    assert problem["path"] == "encoder.use"
    assert problem["message"].endswith(
        "; broken plugins: mine.py (textclf_encoders() fails: ZeroDivisionError: division by zero (mine.py:1))"
    )


def test_a_broken_file_stops_no_command_that_does_not_need_it(call: Call, run: Path) -> None:
    """P01: it is listed with the reason, and the rest works."""
    write("broken.py", "import nosuch")
    reason = (
        "fails at import (line 1): ModuleNotFoundError: No module named 'nosuch'; install the library that brings "
        "'nosuch'"
    )
    listed = call("--plugin", "broken.py", "plugins")
    assert (listed.code, listed.err) == (0, "")
    assert f"broken: broken (broken.py) {reason}\n" in listed.out
    about = call("--plugin", "broken.py", "plugins", "--json").json()["plugins"]
    found = {plugin["name"]: plugin["broken"] for plugin in about}
    assert (found["broken"], found["toy"]) == (reason, None)
    both = ("--plugin", "broken.py", "--plugin", "mine.py")
    about_all = (["--help"], ["recipes"], ["schema"], ["runs"], ["plugins", "show", "toy"])
    for words in (*about_all, ["predict", "toys", "a text"]):
        answer = call(*both, *words)
        assert (answer.code, answer.err) == (0, ""), words
    checked = call(*both, "check", "toys.yaml")
    assert (checked.code, checked.err) == (
        0, f"warning: plugin broken.py is broken, and nothing of it is used: {reason}\n"
    )  # fmt: skip
    for command in ("check", "show"):
        answer = call("--plugin", "broken.py", "plugins", command, "broken")
        assert reason in answer.out + answer.err
    assert call("--plugin", "broken.py", "predict", "toys", "a text").code == 5


def test_a_component_of_a_file_that_is_missing_asks_for_the_file(call: Call) -> None:
    answer = call("check", "toys.yaml")
    [problem, _] = [line for line in answer.err.splitlines() if not line.startswith(" ")]
    assert problem.endswith("; is it in a file? `textclf --plugin FILE run ...`")
    assert "no encoder is called 'shape' (installed: " in problem
    Path("toys.yaml").write_text(RECIPE.replace("use: shape", "use: toy_wrods"), "utf-8")
    assert "FILE" not in call("check", "toys.yaml").err


def test_the_list_of_plugins_shows_the_file(call: Call) -> None:
    sha256 = write("mine.py")
    line = next(line for line in call("plugins", "--plugin", "./mine.py").out.splitlines() if line.startswith("mine"))
    assert line.split() == ["mine", "./mine.py", "encoder", "shape", "ready"]
    listed = call("--plugin", "./mine.py", "plugins", "--json").json()["plugins"]
    about = next(plugin for plugin in listed if plugin["name"] == "mine")
    assert (about["file"], about["sha256"], about["broken"]) == ("./mine.py", sha256, None)


def test_what_to_type_next_names_the_file(call: Call) -> None:
    write("my plugin.py")
    checked = call("--plugin", "my plugin.py", "check", "toys.yaml")
    assert checked.out.splitlines()[-1] == "next: textclf --plugin 'my plugin.py' run toys.yaml"
    done = call("--plugin", "my plugin.py", "run", "toys.yaml")
    last = done.out.splitlines()[-1]
    assert last == "next: textclf --plugin 'my plugin.py' predict toys \"a text of your own\""


def test_what_to_type_next_names_no_file_that_the_model_does_not_need(call: Call) -> None:
    odd = "from textclf import Component\nfrom textclf.testing.toy import ToyAccuracy\n\n\n"
    write("odd.py", odd + "def textclf_metrics():\n    return [Component(name='odd', build=lambda _: ToyAccuracy())]\n")
    write("watch.py", "def textclf_event(event):\n    pass\n")
    given = ["--plugin", "watch.py", "--plugin", "mine.py", "--plugin", "odd.py"]
    done = call(*given, "run", "toys.yaml", "--set", "metrics=[odd]")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == 'next: textclf --plugin mine.py predict toys "a text of your own"'
    assert call("--plugin", "mine.py", "predict", "toys", "a text of your own").code == 0


def test_every_command_that_reads_a_model_takes_the_file(call: Call, run: Path) -> None:
    other = call("--plugin", "mine.py", "run", "toys.yaml", "--seed", "7", "--json").json()["folder"]
    for words in (
        ["predict", "toys", "a text"], ["evaluate", "toys", run / "predictions.csv"], ["explain", "toys", "a text"],
        ["compare", run, other], ["resume", run], ["schema"], ["recipes"], ["runs"], ["runs", "show", "toys"],
    ):  # fmt: skip
        answer = call("--plugin", "mine.py", *words)
        assert answer.code == 0, (words, answer.err)
    assert '"shape"' in call("schema", "--plugin", "mine.py").out


def test_without_the_file_each_says_what_to_type(call: Call, run: Path) -> None:
    """C12: a model whose plugin is missing."""
    answer = call("predict", "toys", "a text")
    assert (answer.code, answer.out) == (5, "")
    assert answer.err.endswith("of which the run has a copy in its folder 'plugins': textclf --plugin mine.py ...\n")
    about = json.loads((run / "record.json").read_text("utf-8"))
    (run / "record.json").write_text(json.dumps({**about, "state": "interrupted"}), "utf-8")
    answer = call("resume", run)
    assert (answer.code, answer.err) == (
        5, f"textclf: {run} was made with the plugin file 'mine.py': textclf --plugin mine.py resume {run}\n"
    )  # fmt: skip


def test_what_a_file_prints_is_no_answer(site: Path) -> None:
    """P06: also with --json, also below Python's own stdout."""
    write("mine.py", "import os\nprint('loud')\nos.write(1, b'louder\\n')\n" + SHAPE)
    done = subprocess.run(
        [sys.executable, "-m", "textclf", "--plugin", "mine.py", "check", "toys.yaml", "--json"],
        env={**__import__("os").environ, "PYTHONPATH": f"{site}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout)["recipe"]["encoder"] == {"use": "shape", "scale": 2.0}
    assert set(done.stderr.split()) == {"loud", "louder"}


def test_a_trace_leaves_the_one_document_alone(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTCLF_TRACE", "1")
    answer = call("check", "toys.yaml", "--json", "--plugin", "mine.py")
    assert answer.json()["recipe"]["encoder"] == {"use": "shape", "scale": 2.0}
    said = [line for line in answer.err.splitlines() if "mine" in line]
    assert [line.rpartition(" (")[0] for line in said] == [
        "textclf: trace: plugin mine (mine.py) is imported",
        "textclf: trace: textclf_encoders() of plugin mine (mine.py) returns encoder 'shape'",
    ]


def test_a_file_is_checked_by_the_contract_but_need_not_be_light(call: Call) -> None:
    write("mine.py", "import numpy\n" + SHAPE.replace('name="shape",', 'name="shape", summary="vowels",'))
    answer = call("--plugin", "mine.py", "plugins", "check", "mine")
    assert (answer.code, answer.err) == (0, "")
    found = {line.split()[1]: line.split(maxsplit=2) for line in answer.out.splitlines() if " plugin." in line}
    assert found["plugin.light"][::2] == [
        "-", "it is a file, which is loaded only where it is asked for; in a package it must not import numpy"
    ]  # fmt: skip
    assert found["plugin.pure"][0] == "holds"
