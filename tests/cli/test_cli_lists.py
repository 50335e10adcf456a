"""What is installed, bundled and done so far: `plugins`, `recipes`, `copy`, `schema`, `runs`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.cli.conftest import RECIPE, Answer, install
from textclf.cli.arguments import complete_recipe, complete_run

Call = Callable[..., Answer]


def test_plugins_are_listed_with_what_they_offer(call: Call) -> None:
    answer = call("plugins")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert answer.code == 0
    assert lines[0] == "plugin from offers name what it is"
    assert any(line.startswith("reviews textclf-engine 0.1.0 dataset reviews sentences of film") for line in lines)
    assert "recipe reviews_tfidf" in lines


def test_a_broken_plugin_is_listed_with_its_reason_and_harms_nothing(
    call: Call, tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P01: a package that fails at import beside the others."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "broken_one.py").write_text("import a_library_nobody_has\n")
    monkeypatch.syspath_prepend(install(tmp_path / "site", broken_one="broken_one"))
    answer = call("plugins")
    reason = "fails at import: ModuleNotFoundError: No module named 'a_library_nobody_has'"
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
    assert all(row["summary"] for row in rows)
    answer = call("recipes")
    assert answer.out.endswith("run one: textclf run NAME      make it yours: textclf copy NAME\n")


def test_a_copied_recipe_is_the_bundled_one_byte_for_byte(call: Call, tmp_path: Path) -> None:
    answer = call("copy", "reviews_tfidf")
    assert answer == Answer(
        0, "wrote recipes/reviews_tfidf.yaml\nchange it, then: textclf run recipes/reviews_tfidf.yaml\n", ""
    )
    bundled = files("textclf_reviews") / "recipes" / "reviews_tfidf.yaml"
    assert (tmp_path / "recipes" / "reviews_tfidf.yaml").read_bytes() == bundled.read_bytes()


def test_a_copy_overwrites_nothing(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    answer = call("copy", "reviews_tfidf", "mine.yaml")
    assert answer == Answer(2, "", "textclf: mine.yaml exists already and is not overwritten; name another file\n")
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_a_misspelt_recipe_is_named_with_the_one_meant(call: Call) -> None:
    answer = call("copy", "revews_tfidf")
    assert answer.code == 2
    assert answer.err.startswith("textclf: no bundled recipe is called 'revews_tfidf'; did you mean 'reviews_tfidf'? ")


def test_the_schema_knows_the_options_of_installed_plugins(call: Call, recipe: str) -> None:
    import yaml

    validator = Draft202012Validator(call("schema").json())
    assert not list(validator.iter_errors(yaml.safe_load(RECIPE)))
    wrong = yaml.safe_load(RECIPE.replace("epochs", "epohcs"))
    assert list(validator.iter_errors(wrong))


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
