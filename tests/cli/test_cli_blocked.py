"""TEXTCLF_BLOCK: what it keeps out is said wherever it is missed, and names that keep out nothing are warned of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textclf import Engine, PluginError

Call = Callable[..., Any]


@pytest.fixture
def block(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda names: monkeypatch.setenv("TEXTCLF_BLOCK", names)


@pytest.mark.parametrize("name", ["sklearn", "textclf_sklearn", "TextCLF-sklearn"])
def test_a_plugin_is_kept_out_by_its_name_or_its_modules(call: Call, block: Callable[[str], None], name: str) -> None:
    block(f"other_one, {name},")
    answer = call("plugins", "--json")
    listed = {plugin["name"]: plugin for plugin in answer.json()["plugins"]}
    assert {name for name, plugin in listed.items() if plugin["blocked"]} == {"sklearn"}
    assert (listed["sklearn"]["offers"], listed["sklearn"]["broken"]) == ([], None)
    assert listed["sklearn"]["distribution"] == "textclf-engine"
    assert answer.json()["warnings"] == ["TEXTCLF_BLOCK names 'other_one', and no installed plugin is called so"]


def test_a_distribution_is_kept_out_with_all_its_plugins(call: Call, block: Callable[[str], None]) -> None:
    block("textclf_engine")
    kept = [plugin["name"] for plugin in call("plugins", "--json").json()["plugins"] if not plugin["blocked"]]
    assert kept == ["toy"]


def test_the_list_shows_what_is_kept_out_and_warns_of_misspelt_names(call: Call, block: Callable[[str], None]) -> None:
    block("sklearn,repport")
    answer = call("plugins")
    [line] = [line for line in answer.out.splitlines() if line.startswith("sklearn")]
    assert line.split() == ["sklearn", "textclf-engine", "0.1.0", "kept", "out"]
    assert "kept out: sklearn (textclf_sklearn) by TEXTCLF_BLOCK\n" in answer.out
    assert answer.err == (
        "warning: TEXTCLF_BLOCK names 'repport', and no installed plugin is called so; did you mean 'report'?\n"
    )


def test_a_recipe_that_misses_it_says_so(call: Call, block: Callable[[str], None], recipe: str) -> None:
    block("sklearn")
    answer = call("check", recipe, "--set", "encoder=tfidf")
    assert answer.code == 5
    assert "no encoder is called 'tfidf' (installed: " in answer.err
    assert "; kept out by TEXTCLF_BLOCK: sklearn\n" in answer.err
    assert "FILE" not in answer.err
    block("reviews")
    assert call("check", "reviews_tfidf").err.endswith("; kept out by TEXTCLF_BLOCK: reviews\n")


def test_what_is_asked_about_it_is_answered_so(call: Call, block: Callable[[str], None]) -> None:
    block("sklearn")
    for name in ("sklearn", "textclf_sklearn"):
        assert call("plugins", "show", name).err == (
            f"textclf: plugin '{name}' is kept out by TEXTCLF_BLOCK; take it out of there first\n"
        )
    asked = call("plugins", "show", "tfidf").err
    assert asked.endswith("; kept out by TEXTCLF_BLOCK: sklearn; see 'textclf plugins'\n")


def test_a_misspelt_name_is_a_warning_of_checks_and_runs(
    call: Call, block: Callable[[str], None], recipe: str
) -> None:
    block("skleran")
    warning = "TEXTCLF_BLOCK names 'skleran', and no installed plugin is called so; did you mean 'sklearn'?"
    assert call("check", recipe).err == f"warning: {warning}\n"
    assert warning in call("run", recipe, "--json").json()["report"]["warnings"]


def test_a_model_or_a_run_of_it_is_not_told_to_install_it(
    tmp_path: Path, block: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    """C12: a model whose plugin is missing."""
    monkeypatch.chdir(tmp_path)
    folder = Engine().run(recipe).folder
    block("toy")
    with pytest.raises(PluginError) as caught:
        Engine().load(folder)
    assert str(caught.value).endswith(
        "; kept out by TEXTCLF_BLOCK: toy; it was saved by plugin textclf.testing.toy, which is kept out"
    )
    about = json.loads((folder / "record.json").read_text("utf-8"))
    (folder / "record.json").write_text(json.dumps({**about, "state": "interrupted"}), "utf-8")
    with pytest.raises(PluginError) as caught:
        Engine().resume(folder)
    assert str(caught.value) == (
        f"{folder} was made with plugin textclf.testing.toy (1.0); kept out by TEXTCLF_BLOCK: toy"
    )
