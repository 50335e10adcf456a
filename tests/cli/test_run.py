"""`textclf run` and `resume`: the report a person reads, the document a program reads, gates, studies, stray prints."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer, install
from textclf.evaluation.report import Report

Call = Callable[..., Answer]
Shell = Callable[..., object]


def test_a_run_ends_with_its_report_its_folder_and_the_next_command(call: Call, recipe: str) -> None:
    answer = call("run", recipe)
    assert answer.code == 0
    assert "\ntoys: 2 labels; texts: 48 train, 12 test\n" in answer.out
    assert re.search(r"\non the test split +value +95 % interval +majority baseline\n", answer.out)
    assert re.search(r"\ntoy_accuracy +1\.0000 +1\.0000 to 1\.0000 +0\.\d{4}\n", answer.out)
    assert re.search(r"\nlabel +precision +recall +F1 +texts\nlabel0 +1\.0000", answer.out)
    assert re.search(r"\ntrue label \\ predicted +label0 +label1\nlabel0 +6 +0\nlabel1 +0 +6\n", answer.out)
    assert re.search(r"\ntime: load \d\.\d s, split ", answer.out)
    folder = re.search(r"everything is in (runs/toys/\S+)\n", answer.out)
    assert folder
    assert (Path(folder.group(1)) / "metrics.json").is_file()
    assert answer.out.endswith('\nnext: textclf predict toys "a text of your own"\n')


def test_after_a_run_on_pairs_the_next_command_gives_two_texts_and_works(call: Call, recipe: str) -> None:
    answer = call("run", recipe, "--set", "dataset.pairs=true")
    line = answer.out.splitlines()[-1]
    assert line == 'next: textclf predict toys "a text of your own" --pair "and its second one"'
    assert call(*shlex.split(line)[2:]).code == 0


def test_progress_goes_to_stderr(call: Call, recipe: str) -> None:
    answer = call("run", recipe)
    assert re.match(r"running toys in runs/toys/\S+\nload: \d\.\d s \(train 60\)\n", answer.err)
    assert "epoch 20 of 20: loss 0." in answer.err
    assert "load: " not in answer.out


def test_json_is_one_document_that_holds_the_report(call: Call, recipe: str) -> None:
    answer = call("run", recipe, "--json", "--seed", "3")
    document = answer.json()
    assert answer.code == 0
    assert Report.from_json(document["report"]) == Report.load(Path(document["folder"]))
    assert set(document) == {"folder", "report"}


def test_a_gate_that_is_not_met_ends_with_8_after_the_report(call: Call, recipe: str) -> None:
    answer = call("run", recipe, "--set", "gates.toy_accuracy=1.5")
    assert answer.code == 8
    assert "next: textclf predict toys" in answer.out
    assert answer.err.endswith(
        "textclf: gate not met: the lower end of toy_accuracy is 1.0000, below 1.5; the run is kept\n"
    )


def test_a_gate_that_is_not_met_stays_one_document(call: Call, recipe: str) -> None:
    answer = call("run", recipe, "--json", "--set", "gates.toy_accuracy=1.5")
    document = answer.json()
    assert answer.code == 8
    assert document["error"]["exit_code"] == 8
    assert document["report"]["gates"][0]["met"] is False


def test_several_seeds_end_with_a_summary(call: Call, recipe: str) -> None:
    answer = call("run", recipe, "--seeds", "3")
    assert answer.code == 0
    assert "\ntoys: 3 runs\n" in answer.out
    for row in ("seed 1", "seed 2", "seed 3", "mean", "deviation"):
        assert re.search(rf"\n{row} +[01]\.\d{{4}}\n", answer.out)
    assert re.search(r"\n95 % interval +1\.0000 to 1\.0000\n", answer.out)
    assert re.search(r"\nnext: textclf predict runs/toys/\S+-s1 ", answer.out)


def test_a_study_as_json_names_its_members(call: Call, recipe: str) -> None:
    document = call("run", recipe, "--seeds", "2", "--json", "--set", "gates.toy_accuracy=1.5").json()
    assert [member["label"] for member in document["summary"]["members"]] == ["seed 1", "seed 2"]
    assert [member["report"]["labels"] for member in document["members"]] == [["label0", "label1"]] * 2
    assert document["error"]["message"].startswith("seed 1: gate not met: the lower end of toy_accuracy is 1.0000")


def test_another_runs_folder_is_in_the_next_command(call: Call, recipe: str) -> None:
    answer = call("run", recipe, "--runs", "my runs")
    assert re.search(r"\nnext: textclf predict 'my runs/toys/[^']+' \"a text of your own\"\n$", answer.out)


def test_a_finished_run_is_shown_again_by_resume(call: Call, recipe: str) -> None:
    folder = call("run", recipe, "--json").json()["folder"]
    answer = call("resume", folder)
    assert answer.code == 0
    assert f"everything is in {folder}\n" in answer.out


def test_data_that_cannot_be_used_end_with_3(call: Call, tmp_path: Path, recipe: str) -> None:
    (tmp_path / "one.csv").write_text("text,label\na,x\nb,x\nc,x\n")
    answer = call("run", recipe, "--set", "dataset.use=files", "--set", "dataset.path=one.csv")
    assert answer.code == 3
    assert answer.out == ""
    assert answer.err.splitlines()[-1].startswith("textclf: ")


LOUD = """
import os, sys
print("printed at import")

def textclf_event(event):
    print("printed by Python")
    os.write(1, b"written to the descriptor\\n")
    os.system("echo said by a child process")
"""


@pytest.mark.parametrize("as_json", [True, False])
def test_what_plugins_print_goes_to_stderr(shell: Shell, tmp_path: Path, recipe: str, as_json: bool) -> None:
    """P06: a plugin that prints at import, in a hook, to the bare descriptor and from a child process."""
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud" / "loud_plugin.py").write_text(LOUD)
    process = shell(
        "run", recipe, *(["--json"] if as_json else []), also=install(tmp_path / "loud", loud="loud_plugin")
    )
    out, err = (stream.decode() for stream in process.communicate(timeout=60))
    assert process.returncode == 0, err
    for words in ("printed at import", "printed by Python", "written to the descriptor", "said by a child process"):
        assert words in err
        assert words not in out
    if as_json:
        assert set(Answer(0, out, err).json()) == {"folder", "report"}
    else:
        assert out.startswith("\ntoys: 2 labels")
