"""The reference recipe from end to end: the command, the real gdown, a file of the real size, a small BERT."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..drive import FILE_ID, PERMISSION_PAGE, QUOTA_PAGE, ROWS, closed_port, drive, reviews_csv, serving
from ..tiny import tiny_bert

SMALL_RUN = {
    "split.limit": "200", "split.test": "0.3", "encoder.revision": "null", "encoder.max_length": "32",
    "trainer.epochs": "1", "trainer.device": "cpu",
}  # fmt: skip


def textclf(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, in the current folder."""
    return subprocess.run(
        [sys.executable, "-m", "textclf", *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def run_bert(folder: Path, environment: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    checkpoint = tiny_bert(folder / "bert", [reviews_csv(20).decode()])
    settings = {**SMALL_RUN, "encoder.checkpoint": str(checkpoint)}
    overrides = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return textclf("run", "recipes/imdb_bert.yaml", *overrides, *more, **environment)


def test_the_reference_recipe_runs_from_google_drive_to_the_report(tmp_path: Path) -> None:
    """W04: from the outside; the connection is cut at 30 MB, and taken up again."""
    with drive(tmp_path, serving(reviews_csv(), cuts=1, at=30_000_000)) as google:
        done = run_bert(tmp_path, google.environment, "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    (run,) = (tmp_path / "runs" / "imdb_bert").iterdir()
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"accuracy", "f1"} <= set(metrics["metrics"])
    assert (run / "predictions.csv").read_text().count("\n") == 61
    assert FILE_ID in (run / "record.json").read_text()
    assert (run / "model" / "model.safetensors").exists()
    note = json.loads((tmp_path / "cache" / "imdb" / f"{FILE_ID}.json").read_text())
    assert note["rows"] == ROWS
    assert [asked.host for asked in google.asked] == ["drive.google.com"] + ["drive.usercontent.google.com"] * 3
    assert google.asked[-1].headers["range"].startswith("bytes=29")


@pytest.mark.parametrize(("page", "reason"), [
    (QUOTA_PAGE, "its download quota is used up for now"),
    (PERMISSION_PAGE, "a web page came in place of the file"),
])  # fmt: skip
def test_a_page_in_place_of_the_file_ends_the_run_with_4(page: str, reason: str, tmp_path: Path) -> None:
    """W02: from the outside."""
    with drive(tmp_path, lambda asked, reply: reply.page(page)) as google:
        done = textclf("run", "imdb_tfidf", **google.environment)
    assert done.returncode == 4
    said = " ".join(done.stderr.split())
    assert f"from Google Drive (file {FILE_ID}): {reason}" in said
    assert "--set dataset.path=FILE" in said
    assert "Traceback" not in said


def test_silence_ends_the_run_with_4(tmp_path: Path) -> None:
    """W03: from the outside."""
    with drive(tmp_path, lambda asked, reply: reply.silence()) as google:
        short = ("--set", "dataset.timeout=0.5", "--set", "dataset.tries=2")
        done = textclf("run", "imdb_tfidf", *short, **google.environment)
    assert done.returncode == 4
    said = " ".join(done.stderr.split())
    assert f"(file {FILE_ID}): no answer in time; " in said or f"(file {FILE_ID}): nothing came for 1 seconds; " in said


def test_without_network_the_run_ends_with_4_within_30_seconds_and_says_what_to_do(tmp_path: Path) -> None:
    """W01: from the outside, with the time it takes to start."""
    began = time.monotonic()
    done = textclf("run", "imdb_tfidf", HTTPS_PROXY=f"http://127.0.0.1:{closed_port()}", NO_PROXY="", no_proxy="")
    assert done.returncode == 4
    assert time.monotonic() - began < 30
    said = " ".join(done.stderr.split())
    assert f"download it by hand from https://drive.google.com/file/d/{FILE_ID}/view" in said
    assert done.stdout == ""


def test_offline_the_run_ends_with_4_at_once(tmp_path: Path) -> None:
    """W12: from the outside."""
    done = textclf("run", "imdb_tfidf", "--offline")
    assert done.returncode == 4
    assert "cannot fetch the IMDB reviews offline, and there is no copy in the cache" in " ".join(done.stderr.split())
