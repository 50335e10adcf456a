"""Arguments to exit code, streams, threads that never end, and the start of the command."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

import textclf
from tests.cli.conftest import Answer
from tests.packages import ROOT
from textclf.cli.main import main
from textclf.cli.progress import RunProgress
from textclf.plugin.events import Progress

Call = Callable[..., Answer]


def test_the_version_is_the_packages(call: Call) -> None:
    assert call("--version") == Answer(0, f"textclf {textclf.__version__}\n", "")


def test_help_names_every_command_and_exit_code(call: Call) -> None:
    answer = call("--help")
    assert answer.code == 0
    words = " ".join(answer.out.split())
    commands = "run resume check predict evaluate explain compare plugins recipes copy schema runs"
    for command in commands.split():
        assert f" {command} " in words
    for meaning in ("0 done", "2 wrong arguments or recipe", "75 interrupted; a run can be resumed", "130 Ctrl-C"):
        assert meaning in words


def test_without_a_command_the_help_page_comes_up(call: Call) -> None:
    answer = call()
    assert answer.code == 2
    assert "Usage: textclf" in answer.out
    assert answer.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("rnu x", "'textclf' has no command 'rnu'; did you mean 'run'?; see 'textclf --help'"),
        ("--versoin", "'textclf' has no option '--versoin'; did you mean '--version'?; see 'textclf --help'"),
        ("run x --sed 1", "'textclf run' has no option '--sed'; did you mean '--seed'?; see 'textclf run --help'"),
        ("run", "missing argument 'RECIPE'; see 'textclf run --help'"),
        ("runs shwo x", "'textclf runs' has no command 'shwo'; did you mean 'show'?; see 'textclf runs --help'"),
        ("predict x --format xml", "--format: 'xml' is unknown (known: csv, tsv, jsonl, parquet)"),
        ("predict x a --input b.csv", "give texts or --input, not both"),
        ("predict x --pair b", "--pair is the second text of one TEXT; for many pairs use --input FILE --text COLUMN "
            "--pair COLUMN"),
    ],
)  # fmt: skip
def test_wrong_arguments_end_with_2_and_one_sentence(call: Call, arguments: str, message: str) -> None:
    assert call(*arguments.split()) == Answer(2, "", f"textclf: {message}\n")


def test_a_value_that_is_no_number_is_refused(call: Call) -> None:
    answer = call("run", "x", "--seed", "one")
    assert answer.code == 2
    assert "'--seed'" in answer.err
    assert answer.err.count("\n") == 1


def test_one_seed_and_several_seeds_exclude_each_other(call: Call) -> None:
    answer = call("run", "x", "--seed", "1", "--seeds", "3")
    assert answer.code == 2
    assert "--seed names one seed, --seeds a number of them; give one of the two" in answer.err


def test_a_flag_that_leads_nowhere_is_named(call: Call, recipe: str) -> None:
    """R14: `--set` into nowhere, without a value, or to a wrong value: all at once, each with its flag."""
    answer = call("check", recipe, "--set", "trainer.epohcs=3", "--set", "seed", "--set", "trainer.rate=-1")
    assert answer.code == 2
    assert answer.out == ""
    *problems, count = answer.err.splitlines()
    assert sorted(problems) == [
        "--set seed: write KEY=VALUE, such as trainer.epochs=1",
        "--set trainer.epohcs=3: trainer.epohcs: unknown option of trainer 'toy_linear' (plugin textclf.testing.toy "
        "of toy 1.0); did you mean 'epochs'?",
        "--set trainer.rate=-1: trainer.rate: must be greater than 0, not -1",
    ]
    assert count == "3 problems; nothing was run"


def test_problems_show_the_line_of_the_recipe(call: Call, tmp_path: Path) -> None:
    lines = ("dataset: toy_texts", "encoder: toy_wrods", "trainer: toy_linear", "metrics: [toy_accuracy]")
    (tmp_path / "bad.yaml").write_text("\n".join(lines))
    answer = call("run", "bad.yaml")
    assert answer.code == 2
    assert answer.err == (
        "bad.yaml:2:10: encoder: no encoder is called 'toy_wrods'; did you mean 'toy_words'? "
        "(installed: bert, frozen, gpt2, tfidf, toy_words, transformer, vectors)\n"
        "    2 | encoder: toy_wrods\n"
        "      |          ^^^^^^^^^\n"
        "1 problem; nothing was run\n"
    )
    assert not (tmp_path / "runs").exists()


def test_with_json_an_error_is_the_one_document(call: Call, recipe: str) -> None:
    answer = call("run", recipe, "--json", "--set", "trainer.epohcs=3")
    assert (answer.code, answer.err) == (2, "")
    problem = {
        "message": "unknown option of trainer 'toy_linear' (plugin textclf.testing.toy of toy 1.0); "
        "did you mean 'epochs'?",
        "path": "trainer.epohcs",
        "source": "--set trainer.epohcs=3",
        "line": None,
        "column": None,
    }
    error = answer.json()["error"]
    assert (error["exit_code"], error["problems"]) == (2, [problem])


def test_with_json_a_usage_error_is_a_document_too(call: Call) -> None:
    answer = call("check", "--json")
    assert answer.code == 2
    assert answer.json()["error"]["message"] == "missing argument 'RECIPE'; see 'textclf check --help'"


@pytest.mark.parametrize("command", ["plugins", "runs", "recipes"])
def test_under_a_launcher_every_command_refuses(
    command: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    assert call(command) == Answer(
        2,
        "",
        "textclf: textclf starts its own workers and cannot run under a launcher such as torchrun (RANK is set): "
        "start it once, without the launcher, or unset RANK\n",
    )


class _Broken:
    """A plan that cannot be printed, as a fault of the house would make it."""

    def __getattr__(self, name: str) -> object:
        raise ZeroDivisionError("no plan")


def test_a_bug_is_one_line_and_says_how_to_see_more(call: Call, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textclf.Engine, "plan", lambda *args, **kwargs: _Broken())
    answer = call("check", recipe)
    assert answer.code == 1
    assert answer.err.startswith("textclf: a bug in textclf: ZeroDivisionError: no plan (test_main.py:")
    assert answer.err.endswith("; run it again as 'textclf --debug ...' for the traceback, and report it\n")
    assert answer.err.count("\n") == 1


def test_debug_shows_the_traceback(call: Call, recipe: str) -> None:
    for arguments in (("--debug", "check", recipe, "--set", "x"), ("check", recipe, "--set", "x", "--debug")):
        answer = call(*arguments)
        assert answer.code == 2
        assert "Traceback (most recent call last)" in answer.err
        assert answer.err.endswith("--set x: write KEY=VALUE, such as trainer.epochs=1\n1 problem; nothing was run\n")


def test_no_room_for_a_run_ends_with_7(call: Call, recipe: str, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    answer = call("run", recipe)
    assert (answer.code, answer.out) == (7, "")
    assert re.fullmatch(r"textclf: cannot write runs/toys/\S+: Not a directory; use a folder .*\n", answer.err)


def test_the_module_runs_as_the_command_does(shell: Callable[..., object]) -> None:
    process = shell("check", "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert json.loads(out)["error"]["exit_code"] == 2
    assert err == b""


def test_checking_prints_the_plan(call: Call, recipe: str) -> None:
    answer = call("check", recipe)
    assert answer.code == 0
    assert answer.out.startswith("toys: toys.yaml is valid; nothing was run\n")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert "trainer toy_linear epochs: 20, rate: 1.0, keep: last" in lines
    assert "seed 0" in lines
    assert "select no validation split, since nothing reads one" in lines
    assert lines[-1] == "next: textclf run toys.yaml"


def test_the_command_after_a_check_keeps_its_overrides(call: Call, recipe: str) -> None:
    answer = call("check", "toys.yaml", "--set", "seed=3", "--set", "clean=[nfc]")
    assert answer.out.splitlines()[-1] == "next: textclf run toys.yaml --set seed=3 --set 'clean=[nfc]'"


def test_checking_for_machines_gives_the_whole_recipe(call: Call, recipe: str) -> None:
    plan = call("check", recipe, "--json", "--set", "seed=7").json()
    assert plan["recipe"]["seed"] == 7
    assert plan["recipe"]["trainer"] == {"use": "toy_linear", "epochs": 20, "rate": 1.0, "keep": "last"}
    assert {"kind": "encoder", "name": "toy_words", "plugin": "textclf.testing.toy"} in plan["components"]


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
    with RunProgress(Console(file=screen, force_terminal=True, width=100)) as progress:
        for done in (1, 50):
            progress(Progress(stage="train", done=done, total=100, loss=0.25, tokens_per_second=12_345.6))
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
WARNING = (
    "warning: threads 'beat' are still running; exiting without them; a plugin should start them with daemon=True"
)


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


HEAVY = {"torch", "transformers", "sklearn", "pandas", "numpy"}
LOOK = """
import contextlib, io, json, sys
from textclf.cli.main import main
for line in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()):
        code = main(line.split())
    print(json.dumps([line, code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
LINES = (
    "--version", "--help", "compare --help", "recipes", "plugins", "schema", "check reviews_tfidf",
    "check reviews_minilm",
)  # fmt: skip


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """The modules that are loaded after each command, in one process, lightest command first."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *LINES], capture_output=True, text=True, timeout=60, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    # Without the extras the last recipe lacks its libraries, which is exit code 5.
    assert [code for _, code, _ in answers] in ([0] * 8, [0] * 7 + [5]), done.stderr
    return {line: set(modules) for line, _, modules in answers}


@pytest.mark.parametrize("line", LINES)
def test_looking_around_loads_no_machine_learning(loaded: dict[str, set[str]], line: str) -> None:
    assert HEAVY.isdisjoint(loaded[line])


def test_help_looks_for_no_plugin(loaded: dict[str, set[str]]) -> None:
    assert "textclf" in loaded["--help"]
    assert not [name for name in loaded["--help"] if name.startswith("textclf_")]
    assert "pluggy" not in loaded["--help"]


@pytest.fixture(scope="module")
def startup() -> Iterator[ModuleType]:
    """The benchmark, whose measures the tests judge."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import startup

        yield startup
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def thirty(startup: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which thirty plugins are installed that `plugins new` made, with options of their own."""
    site = tmp_path_factory.mktemp("thirty") / "site"
    startup.install(site, list(startup.write_plugins(site.parent, 30)))
    return site


def _paths(site: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(site)]))}


@pytest.mark.slow
def test_help_takes_at_most_1_6_times_its_libraries(startup: ModuleType) -> None:
    floor, asked = startup.measure()
    assert asked <= 1.6 * floor


@pytest.mark.slow
def test_thirty_plugins_are_found_and_sound(thirty: Path) -> None:
    command = [sys.executable, "-m", "textclf", "plugins", "--json"]
    done = subprocess.run(command, env=_paths(thirty), capture_output=True, text=True, check=True)
    made = [plugin for plugin in json.loads(done.stdout)["plugins"] if plugin["name"].startswith("made_")]
    assert len(made) == 30
    assert [plugin["broken"] for plugin in made] == [None] * 30
    assert [len(plugin["offers"]) for plugin in made].count(1) == 25  # an observer offers nothing


@pytest.mark.slow
def test_check_takes_at_most_0_2_seconds_more_with_thirty_plugins(startup: ModuleType, thirty: Path) -> None:
    _, more = startup.cost(startup.CHECK, thirty)
    assert more <= 0.2


@pytest.mark.slow
def test_help_does_the_same_with_thirty_plugins_as_with_none(startup: ModuleType, thirty: Path) -> None:
    with_none, with_all = (_imported(startup.HELP, env) for env in (dict(os.environ), _paths(thirty)))
    assert with_all == with_none
    assert "importlib.metadata" not in with_all
    alone, more = startup.cost(startup.HELP, thirty)
    assert more <= 0.1 * alone  # a busy machine makes one command differ so much from itself


def _imported(command: list[str], environment: dict[str, str]) -> set[str]:
    """Return the modules that a command imports."""
    verbose = [command[0], "-X", "importtime", *command[1:]]
    done = subprocess.run(verbose, env=environment, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
