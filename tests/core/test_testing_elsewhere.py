"""The current folder of a check: it reads as the user's, and what is written there is named and thrown away."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.core.test_testing import SUMMARY, TEXTS
from textclf import Field
from textclf.testing import check_component
from textclf.testing.toy import TextsOptions, ToySummary, ToyTexts


class ReadingOptions(TextsOptions):
    path: str = Field("notes.txt", description="a file")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a small file and a large one, in which the check is begun."""
    here = tmp_path / "user"
    (here / "data").mkdir(parents=True)
    for name in ("notes.txt", "data/notes.txt", "../above.txt"):
        (here / name).write_text("small")
    (here / "large.txt").write_text("x" * 100_000)
    monkeypatch.chdir(here)
    return here


def states(kind: str, component: Any, options: dict[str, Any] | None = None) -> dict[str, str]:
    found = check_component(component, kind, options)
    return {each.clause.id: each.detail for each in found if each.state == "failed"}


@pytest.mark.parametrize("path", ["notes.txt", "data/notes.txt", "large.txt", "../above.txt"])
def test_a_path_relative_to_the_current_folder_is_found(path: str, folder: Path) -> None:
    class Reading(ToyTexts):
        def load(self, context: Any) -> Any:
            assert Path(self.options.path).exists()
            return super().load(context)

    component = replace(TEXTS, options=ReadingOptions, build=Reading)
    assert states("dataset", component, {"path": path}) == {}


@pytest.mark.parametrize("name", ["new.txt", "notes.txt", "made"])
def test_what_an_output_writes_into_the_current_folder_is_named_and_the_users_is_as_it_was(
    name: str, folder: Path
) -> None:
    class Littering(ToySummary):
        def write(self, finished: Any, place: Path) -> None:
            super().write(finished, place)
            Path(name).mkdir(exist_ok=True) if name == "made" else Path(name).write_text("litter")

    before = sorted(folder.rglob("*"))
    assert states("output", replace(SUMMARY, build=Littering)) == {
        "output.folder": f"it writes into the current folder, not into the one it is given: {name}"
    }
    assert sorted(folder.rglob("*")) == before
    assert (folder / "notes.txt").read_text() == "small"


def test_an_environment_variable_that_a_component_sets_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTCLF_GONE", "1")

    class Setting(ToyTexts):
        def load(self, context: Any) -> Any:
            os.environ["TEXTCLF_SET"] = "1"
            os.environ.pop("TEXTCLF_GONE", None)
            return super().load(context)

    assert states("dataset", replace(TEXTS, build=Setting)) == {
        "work.world": "it changes the environment variable 'TEXTCLF_GONE' and the environment variable 'TEXTCLF_SET'"
    }
    assert (os.environ.get("TEXTCLF_GONE"), os.environ.get("TEXTCLF_SET")) == ("1", None)


def test_what_a_dataset_writes_into_the_current_folder_is_named(folder: Path) -> None:
    class Caching(ToyTexts):
        def load(self, context: Any) -> Any:
            Path("cache.bin").write_text("texts")
            return super().load(context)

    assert states("dataset", replace(TEXTS, build=Caching)) == {
        "work.files": "it writes into the current folder: cache.bin"
    }
    assert not (folder / "cache.bin").exists()
