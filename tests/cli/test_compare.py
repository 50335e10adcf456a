"""`textclf compare`: classifiers and recipes side by side, in a table, a sentence, and one JSON document."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import RECIPE, Answer
from textclf.cli.compare import table
from textclf.compare.comparison import ComparedSystem, Comparison, Difference

Call = Callable[..., Answer]


@pytest.fixture(scope="module")
def finished(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder: good and bad, a run each; one and other, studies of two seeds; elsewhere, on other texts."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "toys.yaml").write_text(RECIPE.replace("size: 60", "size: 300, labels: 3"), "utf-8")
    bad = "--set trainer.epochs=1 --set trainer.rate=0.001"
    changes = {
        "good": "", "bad": bad, "one": "--set trainer.epochs=1 --seeds 2", "other": f"{bad} --seeds 2",
        "elsewhere": "--set split.seed=1",
    }  # fmt: skip
    code = "import sys; from textclf.cli.main import main; sys.exit(max(main(a.split()) for a in sys.argv[1:]))"
    words = [f"run toys.yaml --set name={name} {change}" for name, change in changes.items()]
    env = {**os.environ, "PYTHONPATH": str(site), "TEXTCLF_CACHE": str(folder / "cache")}
    subprocess.run([sys.executable, "-c", code, *words], cwd=folder, env=env, check=True, capture_output=True)
    return folder / "runs"


@pytest.fixture(autouse=True)
def _runs(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(finished)


def shown(answer: Answer) -> list[str]:
    """Return the lines of an answer, its runs of spaces as one."""
    assert (answer.code, answer.err) == (0, "")
    return [" ".join(line.split()) for line in answer.out.splitlines()]


def test_two_runs_are_compared_in_a_table_and_in_a_sentence(call: Call) -> None:
    lines = shown(call("compare", "bad", "good"))
    assert lines[1] == "metric run value difference 95 % interval p"
    assert re.fullmatch(r"toy_accuracy bad 0\.\d{4}", lines[2])
    assert re.fullmatch(r"good 1\.0000 \+0\.\d{4} \+0\.\d{4} to \+0\.\d{4} <0\.0001", lines[3])
    number = r"0\.\d{3}"
    assert re.fullmatch(
        rf"good is better than bad by {number} \(95 % interval {number} to {number}\) in toy_accuracy", lines[5]
    )
    assert re.fullmatch(r"only good decides \d+ texts right, only bad 0: p <0\.0001 by McNemar's exact test", lines[6])
    assert lines[8:] == [
        "this speaks of these classifiers: it allows for other test texts, not for other training seeds (for recipes, "
        "compare studies: textclf run RECIPE --seeds 3)",
        "intervals: 2,000 bootstrap draws of 60 test texts, the same for all",
    ]


def test_studies_are_compared_by_name_as_recipes_and_so_are_their_runs(call: Call, finished: Path) -> None:
    answer = call("compare", "other", "one")
    lines = shown(answer)
    assert lines[1] == "metric recipe mean difference 95 % interval p"
    assert lines[2].startswith("toy_accuracy other (2 seeds) 0.")
    assert "this speaks of the recipes: it allows for other test texts and other training seeds" in lines
    assert "intervals: 2,000 bootstrap draws of 60 test texts, the same for all, and the spread between seeds" in lines
    members = [sorted(f"runs/{f.relative_to(finished)}" for f in finished.glob(f"{name}/*-s?")) for name in
               ("other", "one")]  # fmt: skip
    assert call("compare", *members[0], "vs", *members[1]) == answer
    assert call("compare", "other", "vs", "one") == answer


def test_several_runs_are_each_held_against_the_first(call: Call, finished: Path) -> None:
    one = sorted(finished.glob("one/*-s1"))[0]
    answer = call("compare", "good", "bad", one, "--metric", "accuracy", "--metric", "f1_macro")
    lines = shown(answer)
    assert lines[-1] == "each against the first; p is corrected by Holm's method for 2 comparisons of each metric"
    assert [line.split()[0] for line in lines[2:8:3]] == ["accuracy", "f1_macro"]
    assert sum(line.endswith("by McNemar's exact test, corrected for 2 comparisons") for line in lines) == 2
    assert sum(" is better than " in line or line.startswith("no evidence") for line in lines) == 2


def test_single_runs_of_studies_have_the_names_that_were_typed(call: Call, finished: Path) -> None:
    given = [str(sorted(finished.glob(f"{name}/*-s1"))[0].relative_to(finished)) for name in ("one", "other")]
    lines = shown(call("compare", *given, "--metric", "f1_macro"))
    assert [line.partition(" 0.")[0].partition(" 1.")[0] for line in lines[2:4]] == [f"f1_macro {given[0]}", given[1]]


def test_a_pipe_gets_long_names_whole(call: Call, finished: Path, tmp_path: Path) -> None:
    name = "a-name-of-a-hundred-signs-" + "x" * 74
    (bad,) = finished.glob("bad/*")
    shutil.copytree(bad, tmp_path / "copy")
    record = json.loads((bad / "record.json").read_text("utf-8"))
    (tmp_path / "copy" / "record.json").write_text(json.dumps({**record, "name": name}), "utf-8")
    lines = shown(call("compare", tmp_path / "copy", "good"))
    assert lines[2].startswith(f"toy_accuracy {name} 0.")
    assert re.search(r"\+0\.\d{4} to \+0\.\d{4} <0\.0001$", lines[3])


def test_a_narrow_terminal_gets_every_number_whole_and_names_cut_in_their_middle() -> None:
    name = "reviews/20261123-161518-9a8b-s1"
    sides = (ComparedSystem(name, (Path("a"),), (0,)), ComparedSystem("b", (Path("b"),), (1,)))
    both = (Difference(0.5250, 0, 0, 0), Difference(0.6, 0.075, -0.0125, 0.15, 0.1094))
    found = Comparison(("a", "b"), {"toy_accuracy": both}, "classifiers", sides, (), frozenset(), 80, "texts", 2000)
    console = Console(width=80, file=io.StringIO())
    console.print(table(found, 80))
    assert [line.split() for line in console.file.getvalue().splitlines()[1:]] == [  # type: ignore[attr-defined]
        ["toy_accuracy", "reviews/2...b-s1", "0.5250"],
        ["b", "0.6000", "+0.0750", "-0.0125", "to", "+0.1500", "0.1094"],
    ]


def test_the_document_says_all_that_the_table_says(call: Call) -> None:
    found = call("compare", "bad", "good", "--json").json()["comparison"]
    assert (found["speaks_of"], found["headline"], found["texts"], found["draws"]) == (
        "classifiers", "toy_accuracy", 60, 2000
    )  # fmt: skip
    first, second = found["metrics"]["toy_accuracy"]
    assert (first["difference"], second["different"]) == (0, True)
    assert second["p"] == found["mcnemar"][0]["p"] < 1e-4
    assert [run["name"] for run in found["runs"]] == ["bad", "good"]
    assert found["sentences"][0].startswith("good is better than bad by ")
    assert found["warnings"] == []


def test_what_does_not_compare_is_refused_with_one_message(call: Call) -> None:
    other = call("compare", "good", "elsewhere")
    assert other.code == 3
    assert re.fullmatch(
        r"textclf: runs/good/\S+ and runs/elsewhere/\S+ were tested on different texts, so their scores do not "
        r"compare; run both with the same dataset, clean and split\n", other.err
    )  # fmt: skip
    assert call("compare", "good") == Answer(2, "", "textclf: a comparison needs at least two runs\n")
    side = "textclf: a comparison needs a run on either side of 'vs'\n"
    assert call("compare", "good", "vs") == Answer(2, "", side)
    assert call("compare", "good", "one") == Answer(
        2, "", "textclf: 'good' is one run, but 'one' is several: a classifier does not compare with a recipe; name "
        "one run each, or several seeds of both (a study: `textclf run RECIPE --seeds 3`)\n",
    )  # fmt: skip
    misspelt = call("compare", "good", "bad", "--metric", "acuracy")
    assert misspelt.code == 2
    assert misspelt.err.startswith("textclf: no metric is called 'acuracy'; did you mean 'accuracy'? (installed: ")


def test_a_comparison_loads_no_machine_learning(site: Path) -> None:
    look = "import sys; from textclf.cli.main import main; code = main(sys.argv[1:]); print(code, *sys.modules)"
    command = [sys.executable, "-c", look, "compare", "good", "bad", "--metric", "f1_macro"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True)
    code, *modules = done.stdout.splitlines()[-1].split()
    assert (code, done.stderr) == ("0", "")
    assert {"torch", "transformers", "sklearn", "pandas"}.isdisjoint(modules)


def test_names_from_data_are_inert(call: Call, tmp_path: Path) -> None:
    """X02: markup in an argument is printed as it stands."""
    assert call("compare", "[red]x[/red]", "good").err.startswith("textclf: no run is called '[red]x[/red]'")
