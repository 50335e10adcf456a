"""Runs and models that textclf 0.1.0 wrote are still read: `version_0_1/make.py` tells how they were made.

Each test works in a copy of that folder, as a user who has installed a newer textclf beside old runs.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import textclf

OLD = Path(__file__).parent / "version_0_1"
FINISHED = ("words", "moods", "network", "vectors")
SAME = 1e-6
# The metrics and the sums of a training may come out otherwise on another processor, or with another version of torch.
NEARLY = 0.02

# An option may have another name by now, which is told of in a warning.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _old_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Call the command as it is installed, and return its document."""
    [command] = entry_points(group="console_scripts", name="textclf")

    def calling(*words: str) -> Any:
        capsys.readouterr()
        code = command.load()([*words, "--json"])
        printed, noted = capsys.readouterr()
        assert code == 0, printed + noted
        return json.loads(printed)

    return calling


def told(path: str) -> Any:
    return json.loads(Path(path).read_text("utf-8"))


def run_of(name: str) -> Path:
    [folder] = Path("runs", name).iterdir()
    return folder


@pytest.mark.parametrize("name", FINISHED)
def test_an_old_model_says_what_it_said(name: str) -> None:
    stored = told("answers.json")
    found = textclf.Engine().load(name).predict(stored["texts"])
    for now, then in zip(found, stored["answers"][name], strict=True):
        assert now.scores == pytest.approx(then["scores"], abs=SAME)
        label = list(now.label) if isinstance(now.label, tuple) else now.label
        assert label == then["label"]


@pytest.mark.parametrize("name", FINISHED)
def test_an_old_model_gives_its_test_texts_the_scores_that_its_run_kept(name: str) -> None:
    folder = run_of(name)
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    found = textclf.Engine().load(name).scores(texts)
    assert np.abs(found - np.load(folder / "scores.npy")).max() <= SAME


def test_an_old_model_is_read_wherever_it_lies() -> None:
    shutil.move(run_of("words") / "model", "alone")
    shutil.rmtree("runs")
    assert textclf.Engine().load("alone").predict_one("my invoice is too high").label == "billing"


def test_an_old_model_is_saved_anew_and_says_the_same() -> None:
    """Its options are then said in today's terms."""
    stored = told("answers.json")
    textclf.Engine().load("words").save("anew")
    found = textclf.Engine().load("anew").predict(stored["texts"])
    for now, then in zip(found, stored["answers"]["words"], strict=True):
        assert now.scores == pytest.approx(then["scores"], abs=SAME)


def test_an_old_network_is_a_folder_that_transformers_reads() -> None:
    from transformers import pipeline

    stored = told("answers.json")
    [found] = pipeline("text-classification", model=str(run_of("network") / "model"), top_k=None)(stored["texts"][:1])
    then = stored["answers"]["network"][0]["scores"]
    assert {each["label"]: each["score"] for each in found} == pytest.approx(then, abs=SAME)


@pytest.mark.parametrize("name", FINISHED)
def test_an_old_run_is_shown(name: str, document: Callable[..., Any]) -> None:
    shown = document("runs", "show", name)
    stored = told(f"{run_of(name)}/metrics.json")
    assert shown["report"]["metrics"] == stored["metrics"]
    assert shown["report"]["per_label"] == stored["per_label"]


def test_an_old_study_is_shown(document: Callable[..., Any]) -> None:
    [kept] = Path("runs/study").glob("*/summary.json")
    shown = document("runs", "show", str(kept.parent))
    assert shown["summary"]["metrics"] == told(str(kept))["metrics"]


def test_old_runs_are_listed_with_their_state(document: Callable[..., Any]) -> None:
    listed = {(run["name"], run["state"]) for run in document("runs")["runs"]}
    assert listed == {*((name, "finished") for name in (*FINISHED, "study")), ("interrupted", "interrupted")}


@pytest.mark.parametrize("name", ["words", "network"])
def test_an_old_model_is_judged_on_other_texts(name: str, document: Callable[..., Any]) -> None:
    report = document("evaluate", name, "tickets.csv")["report"]
    assert report["sizes"]["test"] == 300
    assert report["metrics"]["accuracy"]["value"] > 0.4
    # It still knows the texts that it was trained on.
    assert any(re.search(r"train", warning) for warning in report["warnings"])


def test_old_runs_are_compared(document: Callable[..., Any]) -> None:
    found = document("compare", "words", "network")["comparison"]
    stored = [told(f"{run_of(name)}/metrics.json")["metrics"]["accuracy"]["value"] for name in ("words", "network")]
    assert [side["value"] for side in found["metrics"]["accuracy"]] == pytest.approx(stored, abs=1e-9)


def test_an_old_run_is_explained(document: Callable[..., Any]) -> None:
    [explanation] = document("explain", "words", "my invoice is too high")["explanations"]
    assert explanation["label"] == "billing"


def test_an_old_recipe_is_run_again_and_ends_alike(document: Callable[..., Any]) -> None:
    """Its options have the names of version 0.1.0."""
    stored = told(f"{run_of('words')}/metrics.json")
    again = document("run", "words.yaml")["report"]
    for name, estimate in stored["metrics"].items():
        assert again["metrics"][name]["value"] == pytest.approx(estimate["value"], abs=NEARLY)


@pytest.mark.parametrize("name", FINISHED)
def test_the_recipe_that_an_old_run_kept_is_sound(name: str, document: Callable[..., Any]) -> None:
    """It says every option, those with their defaults too."""
    assert document("check", f"{run_of(name)}/recipe.yaml")["recipe"]["name"] == name


def test_an_old_run_that_was_interrupted_is_resumed_and_ends_as_one_that_was_not(document: Callable[..., Any]) -> None:
    """Other versions of textclf and its libraries are here now, which `--allow-changed` allows."""
    folder = run_of("interrupted")
    assert list((folder / "checkpoints").iterdir()) != []
    resumed = document("resume", "interrupted", "--allow-changed")
    assert resumed["folder"] == str(folder)
    record, events = told(f"{folder}/record.json"), (folder / "events.jsonl").read_text("utf-8").splitlines()
    assert record["state"] == "finished"
    # It goes on from the checkpoint, in the middle of the second epoch.
    begun = [json.loads(line) for line in events if '"RunStarted"' in line]
    epochs = [json.loads(line)["epoch"] for line in events if '"EpochFinished"' in line]
    assert ([event["resumed"] for event in begun], epochs) == ([False, True], [1, 2, 3, 4])
    scores = np.load(folder / "scores.npy")
    assert np.abs(scores - np.load(run_of("network") / "scores.npy")).max() <= NEARLY
    assert not (folder / "checkpoints").exists()
