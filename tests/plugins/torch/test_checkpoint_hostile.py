"""Runs of the trainer `torch` that are killed, at each change of the disk and at random moments, and resumed."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.torch.tiny_runs import MAY_DIFFER, NAME, RECIPE, ROOT, of_run, prepare, surroundings, textclf, unlike

# For each place where a run can die: how many changes of the disk it has at least.
PLACES = {"save": 30, "model": 40, "run": 150}


def die_everywhere(place: str, stride: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.plugins.torch.dying", place, str(stride)]
    done = subprocess.run(command, capture_output=True, text=True, env=surroundings(), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def all_ended_alike(told: list[dict[str, Any]], place: str, stride: int) -> None:
    assert [each for each in told if each["different"]] == []
    assert len(told) >= PLACES[place] // stride
    assert any(each["killed_again"] for each in told)


@pytest.mark.parametrize(("place", "stride"), [("save", 17), ("model", 50)])
def test_a_run_that_is_killed_while_it_writes_ends_as_if_it_had_been_left_alone(
    place: str, stride: int, tmp_path: Path
) -> None:
    """C01: killed at a write, fsync or rename of a checkpoint's or model's save, and once more while it is resumed."""
    prepare(tmp_path)
    all_ended_alike(die_everywhere(place, stride), place, stride)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_is_killed_at_every_change_of_the_disk_ends_as_if_it_had_been_left_alone(
    place: str, tmp_path: Path
) -> None:
    """C01: killed at every write, fsync and rename of a save, of the model's and report's, and of the whole run."""
    prepare(tmp_path)
    all_ended_alike(die_everywhere(place, 1), place, 1)


def killed_at_random(drawn: random.Random, kills: int, seconds: float) -> int:
    """Begin a run, kill it after random times, resume it until it ends, and return how often it was killed."""
    killed = 0
    while True:
        begun = list(Path("runs").glob(f"{NAME}/*/record.json"))
        process = textclf(*(("resume", NAME) if begun else ("run", RECIPE)))
        try:
            errors = process.communicate(timeout=drawn.uniform(0.0, seconds) if killed < kills else None)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
            continue
        assert process.returncode == 0, errors.decode()[-3000:]
        return killed


def at_random_moments(kills: int, seed: int, **trainer: Any) -> None:
    """Kill so many times in all; a run that comes to its end before is compared, and another begun."""
    prepare(Path.cwd(), **trainer)
    drawn, began = random.Random(seed), time.monotonic()
    assert killed_at_random(drawn, 0, 0.0) == 0
    seconds = time.monotonic() - began
    Path("runs").rename("whole")
    [whole] = Path("whole", NAME).iterdir()
    while kills > 0:
        kills -= killed_at_random(drawn, kills, seconds)
        killed = max(Path("runs", NAME).iterdir())  # one that died before its record was there is not resumed
        assert unlike(of_run(killed), of_run(whole)) == []
        shutil.rmtree("runs")


def test_a_command_that_is_killed_at_random_moments_ends_as_if_it_had_been_left_alone() -> None:
    """C01: SIGKILL at any time, whatever it was doing."""
    at_random_moments(3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_command_that_is_killed_at_twenty_random_moments_ends_as_if_it_had_been_left_alone(seed: int) -> None:
    """C01: SIGKILL twenty times, in trainings that are long enough to be hit in every part."""
    at_random_moments(20, seed, epochs=12)


def test_what_may_differ_after_a_kill_is_what_readme_says() -> None:
    told = (ROOT / "README.md").read_text("utf-8")
    for name, keys in MAY_DIFFER.items():
        listed = ", ".join(f"`{key}`" for key in sorted(keys))
        assert f"{listed} of `{name}`" in told, (name, listed)


def test_the_runs_that_are_killed_have_something_to_lose(tmp_path: Path) -> None:
    """The best epoch is the last, so that whatever goes wrong after a kill shows in the weights."""
    prepare(tmp_path)
    process = textclf("run", RECIPE)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    [folder] = Path("runs", NAME).iterdir()
    epochs = [event for event in of_run(folder)["events.jsonl"].values() if event["event"] == "EpochFinished"]
    assert [event["best"] for event in epochs] == [True, True]
