"""Each hook, in a test of its name: when it is called, with what, and what becomes of its answer."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from tests.core.toys import TRAITS, engine, recipe
from textclf import Component, Engine, Traits
from textclf.plugin.component import Kind
from textclf.testing import toy


class Calls:
    """A plugin whose hook counts how often it is called."""

    def __init__(self, hook: str, answer: Any) -> None:
        self.number, self.module = 0, types.ModuleType("textclf_counting")

        def called() -> Any:
            self.number += 1
            return answer

        setattr(self.module, hook, called)


def asked_once_and_found(hook: str, kind: Kind, make: Any) -> None:
    """Demand that a hook is called at the first look, never again, and that a recipe finds what it offers."""
    traits = TRAITS.get(kind, Traits(tasks=frozenset({"single-label", "multi-label"}), pairs=kind != "dataset"))
    calls = Calls(hook, [Component(name="counted", build=make, traits=traits)])
    made = Engine(plugins=[toy, calls.module], runs="runs", cache="cache")
    assert calls.number == 0
    assert made.registry.find(kind, "counted").plugin.module == "textclf_counting"
    several = {"metric": "metrics", "output": "outputs"}
    step: Any = ["counted"] if kind in several else "counted"
    made.run(recipe(**{several.get(kind, kind): step}))
    assert calls.number == 1


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def offered(hook: Any) -> Any:
    (component,) = hook()
    return lambda options: component.build(component.options())


def test_textclf_datasets():
    asked_once_and_found("textclf_datasets", "dataset", offered(toy.textclf_datasets))


def test_textclf_encoders():
    asked_once_and_found("textclf_encoders", "encoder", offered(toy.textclf_encoders))


def test_textclf_trainers():
    asked_once_and_found("textclf_trainers", "trainer", offered(toy.textclf_trainers))


def test_textclf_metrics():
    asked_once_and_found("textclf_metrics", "metric", offered(toy.textclf_metrics))


def test_textclf_outputs():
    asked_once_and_found("textclf_outputs", "output", offered(toy.textclf_outputs))


def test_textclf_recipes():
    folder = Path("bundled")
    folder.mkdir()
    (folder / "ours.yaml").write_text("version: 1\ndataset: toy_texts\nencoder: toy_words\ntrainer: toy_linear\n")
    (folder / "notes.txt").write_text("no recipe")
    calls = Calls("textclf_recipes", folder)
    made = engine(calls.module)
    assert made.plan("ours", overrides=["metrics=[toy_accuracy]"]).settings.name == "ours"
    ours = [plugin for plugin in made.registry.plugins if plugin.module == "textclf_counting"]
    assert made.registry.recipes_of(ours[0]) == ["ours"]
    assert calls.number == 1


def test_textclf_event():
    seen: list[str] = []
    watching = types.ModuleType("textclf_watching")
    watching.textclf_event = lambda event: seen.append(type(event).__name__)
    engine(watching, cache="cache").run(recipe())
    assert (seen[0], seen[-1]) == ("RunStarted", "RunFinished")
    assert {"StageStarted", "EpochFinished", "StageFinished"} <= set(seen)
