"""Recipes of one's own and what editors complete them by: `copy` and `schema`."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.cli.conftest import RECIPE, Answer, install

Call = Callable[..., Answer]
OTHERS = """
import pathlib
def textclf_recipes():
    return pathlib.Path(__file__).parent / "others"
"""


def test_a_copied_recipe_is_the_bundled_one_byte_for_byte(call: Call, tmp_path: Path) -> None:
    answer = call("copy", "reviews_tfidf")
    assert answer == Answer(
        0,
        "wrote recipes/reviews_tfidf.yaml\n"
        "wrote recipes/textclf.schema.json, by which editors complete the recipe\n"
        "change it, then: textclf run recipes/reviews_tfidf.yaml\n",
        "",
    )
    bundled = files("textclf_reviews") / "recipes" / "reviews_tfidf.yaml"
    assert (tmp_path / "recipes" / "reviews_tfidf.yaml").read_bytes() == bundled.read_bytes()


def test_the_schema_beside_a_copy_is_that_of_the_plugins_installed_now(call: Call, tmp_path: Path) -> None:
    beside = tmp_path / "recipes" / "textclf.schema.json"
    beside.parent.mkdir()
    old = {"title": "A recipe of textclf", "properties": {}}
    beside.write_text(json.dumps(old))
    call("copy", "reviews_tfidf")
    assert beside.read_text("utf-8") == call("schema").out
    assert "trainer.toy_linear" in json.loads(beside.read_text("utf-8"))["$defs"]
    assert sorted(path.name for path in beside.parent.iterdir()) == ["reviews_tfidf.yaml", "textclf.schema.json"]


@pytest.mark.parametrize("content", ["{}", '{"title": "A cake"}', ""])
def test_another_file_in_place_of_the_schema_is_left_alone_and_named(
    call: Call, tmp_path: Path, content: str
) -> None:
    (tmp_path / "textclf.schema.json").write_text(content)
    answer = call("copy", "reviews_tfidf", ".")
    reason = "textclf.schema.json exists and is no schema of textclf; move it away or name another file"
    said = "wrote reviews_tfidf.yaml\nchange it, then: textclf run reviews_tfidf.yaml\n"
    assert answer == Answer(0, said, f"editors will not complete the recipe: {reason}\n")
    assert (tmp_path / "textclf.schema.json").read_text() == content
    assert call("schema", "--output", "textclf.schema.json") == Answer(2, "", f"textclf: {reason}\n")
    assert (tmp_path / "textclf.schema.json").read_text() == content


def test_a_recipe_that_names_no_schema_is_copied_alone(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "others").mkdir(parents=True)
    (site / "others_one.py").write_text(OTHERS)
    (site / "others" / "plain.yaml").write_text("# Plain.\nversion: 1\n")
    elsewhere = "# yaml-language-server: $schema=../mine.json\n# Mine.\nversion: 1\n"
    (site / "others" / "elsewhere.yaml").write_text(elsewhere)
    monkeypatch.syspath_prepend(install(site, others="others_one"))
    assert call("copy", "plain").out == "wrote recipes/plain.yaml\nchange it, then: textclf run recipes/plain.yaml\n"
    assert call("copy", "elsewhere").code == 0
    assert sorted(path.name for path in (tmp_path / "recipes").iterdir()) == ["elsewhere.yaml", "plain.yaml"]
    summaries = {row["name"]: row["summary"] for row in call("recipes", "--json").json()["recipes"]}
    assert (summaries["plain"], summaries["elsewhere"]) == ("Plain", "Mine")


def test_a_copy_overwrites_nothing(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    answer = call("copy", "reviews_tfidf", "mine.yaml")
    assert answer == Answer(2, "", "textclf: mine.yaml exists already and is not overwritten; name another file\n")
    assert (tmp_path / "mine.yaml").read_text() == "mine"
    assert not (tmp_path / "textclf.schema.json").exists()


def test_a_misspelt_recipe_is_named_with_the_one_meant(call: Call) -> None:
    answer = call("copy", "revews_tfidf")
    assert answer.code == 2
    assert answer.err.startswith("textclf: no bundled recipe is called 'revews_tfidf'; did you mean 'reviews_tfidf'? ")


def test_the_schema_knows_the_options_of_installed_plugins(call: Call, recipe: str) -> None:
    validator = Draft202012Validator(call("schema").json())
    assert not list(validator.iter_errors(yaml.safe_load(RECIPE)))
    wrong = yaml.safe_load(RECIPE.replace("epochs", "epohcs"))
    assert list(validator.iter_errors(wrong))


@pytest.mark.parametrize(("given", "target"), [(".", "textclf.schema.json"), ("mine/all.json", "mine/all.json")])
def test_the_schema_is_written_where_it_is_wanted_and_replaced(
    call: Call, tmp_path: Path, given: str, target: str
) -> None:
    named = f"a recipe beside it names it so: # yaml-language-server: $schema={Path(target).name}"
    for _ in range(2):
        assert call("schema", "--output", given) == Answer(0, f"wrote {target}\n{named}\n", "")
        assert (tmp_path / target).read_text("utf-8") == call("schema").out
    assert call("schema", "--output", "-").out == call("schema").out


def test_a_schema_that_cannot_be_written_says_why_and_leaves_nothing(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = call("schema", "--output", "file/textclf.schema.json")
    assert answer.code == 7
    assert answer.err.startswith("textclf: cannot write file/textclf.schema.json: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_check_says_where_an_editor_goes_by_the_schema_of_other_plugins(
    call: Call, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("schema", "--output", ".")
    assert call("check", recipe).err == ""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "newer.py").write_text(
        "from textclf import Component\n"
        "def textclf_encoders():\n"
        "    return [Component(name='newer', build=print)]\n"
    )
    monkeypatch.syspath_prepend(install(tmp_path / "site", newer="newer"))
    answer = call("check", recipe)
    assert (answer.code, answer.err) == (
        0,
        "warning: textclf.schema.json, which editors read, is not of the plugins installed now; "
        "textclf schema --output textclf.schema.json\n",
    )
    assert call("check", recipe, "--json").json()["warnings"] == []
    assert call("check", "reviews_tfidf").err == ""
    call("schema", "--output", "textclf.schema.json")
    assert call("check", recipe).err == ""
    (tmp_path / "textclf.schema.json").write_text("{}")
    assert call("check", recipe).err == ""
