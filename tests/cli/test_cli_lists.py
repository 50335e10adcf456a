"""What is installed, bundled and done so far: `plugins`, `recipes`, `runs`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer, install
from textclf.cli.arguments import complete_recipe, complete_run

Call = Callable[..., Answer]


def test_a_plan_quotes_what_could_not_be_read_otherwise(call: Call) -> None:
    """A delimiter would be lost among the commas of the line."""
    Path("a.csv").write_text("text,labels\na,x\n", "utf-8")
    Path("files.yaml").write_text(
        "dataset: {use: files, path: a.csv, labels: labels}\nencoder: toy_words\ntrainer: toy_linear\n", "utf-8"
    )
    said = " ".join(call("check", "files.yaml").out.split())
    assert "labels: [labels], labels_delimiter: ',', label_names" in said


def test_plugins_are_listed_with_what_they_offer(call: Call) -> None:
    answer = call("plugins")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert answer.code == 0
    assert lines[0] == "plugin from offers name state what it is"
    reviews = "reviews textclf-engine 0.1.0 dataset reviews ready sentences of film"
    assert any(line.startswith(reviews) for line in lines)
    assert "recipe reviews_tfidf" in lines


def test_a_component_whose_library_is_absent_is_listed_with_what_it_needs(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    source = "from textclf import Component\ndef textclf_metrics():\n    return [Component(name='far', build=print, "
    source += "needs=('json', 'a_library_nobody_has'))]\ndef textclf_event(event):\n    pass\n"
    (tmp_path / "site" / "textclf_far.py").write_text(source)
    monkeypatch.syspath_prepend(install(tmp_path / "site", far="textclf_far"))
    lines = [" ".join(line.split()) for line in call("plugins").out.splitlines()]
    assert "far far 1.0 metric far needs a_library_nobody_has" in lines
    assert "observer ready" in lines
    (found,) = [plugin for plugin in call("plugins", "--json").json()["plugins"] if plugin["name"] == "far"]
    assert found["offers"][0]["lacking"] == ["a_library_nobody_has"]


def test_a_broken_plugin_is_listed_with_its_reason_and_harms_nothing(
    call: Call, tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P01: a package that fails at import beside the others."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "broken_one.py").write_text("import a_library_nobody_has\n")
    monkeypatch.syspath_prepend(install(tmp_path / "site", broken_one="broken_one"))
    answer = call("plugins")
    reason = "fails at import: ModuleNotFoundError: No module named 'a_library_nobody_has' (broken_one.py:1)"
    assert answer.code == 0
    assert f"broken: broken_one (broken_one) {reason}\n" in answer.out
    found = {plugin["name"]: plugin["broken"] for plugin in call("plugins", "--json").json()["plugins"]}
    assert found["broken_one"] == reason
    assert found["toy"] is None
    assert call("check", recipe).code == 0


def test_bundled_recipes_are_listed_with_their_first_sentence(call: Call) -> None:
    rows = call("recipes", "--json").json()["recipes"]
    assert [row["name"] for row in rows] == [
        "imdb_bert", "imdb_bert_adapted", "imdb_glove_bilstm", "imdb_gpt2", "imdb_notebook", "imdb_tfidf",
        "reviews_frozen", "reviews_glove_bilstm", "reviews_glove_cnn", "reviews_glove_mean", "reviews_minilm",
        "reviews_minilm_adapted", "reviews_tfidf",
    ]  # fmt: skip
    assert all(row["summary"] and "$schema" not in row["summary"] for row in rows)
    answer = call("recipes")
    assert answer.out.endswith("run one: textclf run NAME      make it yours: textclf copy NAME\n")


def test_without_runs_the_list_says_how_to_begin(call: Call) -> None:
    assert call("runs").out == "there are no runs in 'runs'; start with: textclf run reviews_tfidf\n"
    assert call("runs", "--json").json() == {"runs": []}


def test_runs_are_listed_and_shown(call: Call, recipe: str) -> None:
    folder = call("run", recipe, "--json").json()["folder"]
    identity = folder.removeprefix("runs/")
    answer = call("runs")
    assert re.search(rf"\n{identity} +finished +\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d +toy_accuracy 1\.0000\n", answer.out)
    (info,) = call("runs", "--json").json()["runs"]
    assert (info["name"], info["state"], info["folder"]) == ("toys", "finished", folder)
    assert info["headline"]["toy_accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    shown = call("runs", "show", "toys")
    assert shown.out.endswith(f"\neverything is in {folder}\n")
    assert call("runs", "show", identity, "--json").json()["report"]["name"] == "toys"


def test_a_study_is_shown_as_its_summary(call: Call, recipe: str) -> None:
    folder = call("run", recipe, "--seeds", "2", "--json").json()["folder"]
    answer = call("runs", "show", folder)
    assert answer.code == 0, answer.err
    assert "\ntoys: 2 runs\n" in answer.out


def test_recipes_and_runs_complete(call: Call, recipe: str) -> None:
    assert complete_recipe("reviews_m") == ["reviews_minilm", "reviews_minilm_adapted"]
    assert complete_recipe("to") == ["toys.yaml"]
    folder = json.loads(call("run", recipe, "--json").out)["folder"]
    assert complete_run("") == ["latest", "toys", folder.removeprefix("runs/")]
