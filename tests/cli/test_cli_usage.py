"""Arguments to exit code: usage errors, documents for machines, bugs, launchers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import textclf
from tests.cli.conftest import Answer

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
    assert answer.err.startswith("textclf: a bug in textclf: ZeroDivisionError: no plan (test_cli_usage.py:")
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
    assert answer.out.startswith("toys: toys.yaml is sound; nothing was run\n")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert "trainer toy_linear epochs: 20, rate: 1.0, keep: last" in lines
    assert "seed 0" in lines
    assert "select no validation split, since nothing reads one" in lines
    assert lines[-1] == "next: textclf run toys.yaml"


def test_checking_for_machines_gives_the_whole_recipe(call: Call, recipe: str) -> None:
    plan = call("check", recipe, "--json", "--set", "seed=7").json()
    assert plan["recipe"]["seed"] == 7
    assert plan["recipe"]["trainer"] == {"use": "toy_linear", "epochs": 20, "rate": 1.0, "keep": "last"}
    assert {"kind": "encoder", "name": "toy_words", "plugin": "textclf.testing.toy"} in plan["components"]
