"""Progress of predict, and the speed of a run."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Answer
from textclf import Accounted, Forecast
from textclf.cli import progress as progresses
from textclf.cli.progress import PredictProgress, describe
from textclf.cli.render import account
from textclf.cli.terminal import console
from textclf.plugin.events import Chosen, Progress, Warned

Shell = Callable[..., Any]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progresses.time, "monotonic", made.monotonic)
    return made


def predicting() -> tuple[PredictProgress, io.StringIO]:
    stream = io.StringIO()
    return PredictProgress(console(stream)), stream


def scored(done: int, speed: float) -> Progress:
    return Progress(stage="score", done=done, total=0, unit="texts", tokens_per_second=speed)


def test_every_ten_seconds_a_line_says_how_far_and_how_fast(clock: Clock) -> None:
    progress, stream = predicting()
    progress.begin(1000)
    for _ in range(25):
        clock.now += 1
        progress(scored(50, 2700.0))
    progress.update(3500, total=10_000)
    clock.now += 0.5
    progress.update(3600, total=10_000)
    assert stream.getvalue().splitlines() == [
        "predict: 1,050 texts, 4 texts per second, 2,700 tokens per second",
        "predict: 1,050 texts, 2 texts per second, 2,700 tokens per second",
    ]
    clock.now += 10
    progress.update(5000, total=10_000)
    assert stream.getvalue().splitlines()[-1] == (
        "predict: 5,000 of 10,000 texts, 113 texts per second, 2,700 tokens per second, about 42 s left"
    )


def test_an_unknown_total_is_estimated_by_the_bytes(clock: Clock) -> None:
    progress, stream = predicting()
    progress.begin(0)
    for done in (0, 100, 12_345):
        clock.now += 11
        progress.update(done, share=0.25)
    assert stream.getvalue().splitlines()[-1].startswith("predict: 12,345 of about 49,000 texts, ")


def test_nothing_is_printed_in_the_first_second(clock: Clock) -> None:
    progress, stream = predicting()
    progress.begin(0)
    clock.now += 0.9
    progress.update(8000, total=8000)
    assert stream.getvalue() == ""


def test_what_every_window_reports_is_printed_once(clock: Clock) -> None:
    progress, stream = predicting()
    for row in range(3):
        progress(Chosen(what="scoring", choice="float32", why="measured before"))
        progress(Warned(message=f"{row} texts are longer than 12,800 characters: only both ends of them are read"))
    assert stream.getvalue().splitlines() == [
        "scoring: float32 (measured before)",
        "warning: 0 texts are longer than 12,800 characters: only both ends of them are read",
    ]


@pytest.mark.parametrize(("options", "form"), [((), "line"), (("--input", "-"), "row")])
def test_lines_typed_one_by_one_are_answered_one_by_one(shell: Shell, trained: Path, options: Any, form: str) -> None:
    process = shell("predict", str(next((trained / "toys").iterdir())), "--format", "jsonl", *options, stdin=-1)
    if form == "row":
        process.stdin.write(b"text\n")
    for word in (b"dabe", b"fine", b"boba"):
        process.stdin.write(word + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == word.decode()
    process.stdin.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""


def test_a_pipe_that_is_fast_gets_the_answers_of_a_file(shell: Shell, trained: Path, tmp_path: Path) -> None:
    lines = [f"dabe fine {row}" for row in range(500)]
    process = shell("predict", str(next((trained / "toys").iterdir())), stdin=-1)
    piped = process.communicate("\n".join(lines).encode())[0]
    (tmp_path / "in.csv").write_text("text\n" + "\n".join(lines) + "\n", "utf-8")
    command = ("predict", str(next((trained / "toys").iterdir())), "--input", "in.csv", "--output", "out.csv")
    assert shell(*command).wait(60) == 0
    assert (tmp_path / "out.csv").read_bytes() == piped


MEMORY = """
import resource, sys
from textclf.cli.main import main
assert main(sys.argv[1:]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_stays_flat_whatever_the_number_of_texts(site: Path, trained: Path, tmp_path: Path) -> None:
    peaks = []
    for rows in (14_000, 30_000):
        with (tmp_path / "in.csv").open("w") as file:
            file.write("text,more\n")
            file.writelines(f"dabe fine {row},{'x' * 100}\n" for row in range(rows))
        job = ("predict", str(next((trained / "toys").iterdir())), "--input", "in.csv", "--output", f"{rows}.csv")
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, *job], capture_output=True, check=True, env={"PYTHONPATH": str(site)}
        )
        peaks.append(int(done.stdout) / 1024)
    # Both fill the largest window, of 8,192 texts.
    assert peaks[1] - peaks[0] < 10, peaks


def test_fast_changes_nothing_for_a_model_without_bf16(
    call: Callable[..., Answer], trained: Path
) -> None:
    run = str(next((trained / "toys").iterdir()))
    assert call("predict", run, "dabe", "--fast") == call("predict", run, "dabe")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Accounted(
                stage="train", tokens=9000, seconds=6.2, tokens_per_second=1451.6, padding=0.0, peak_share=0.427,
                parts={"backward": 3.0, "forward": 2.0, "optimiser": 1.15, "saving": 0.05},
            ),
            "train: 1,452 tokens per second, 43 % of the measured matrix peak, no padding; "
            "backward 48 %, forward 32 %, optimiser 19 %",
        ),
        (
            Accounted(stage="train", tokens=9, seconds=1, tokens_per_second=9, padding=0.114, first_step=1200),
            "train: 9 tokens per second, 11 % padding, from step 1,200 on",
        ),
        (Accounted(stage="score", tokens=9, seconds=1, tokens_per_second=9), "score: 9 tokens per second"),
    ],
)  # fmt: skip
def test_a_stage_is_accounted_for_in_one_line(event: Accounted, line: str) -> None:
    assert account(event.stage, event.about()) == line


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Forecast(stage="train", memory=42 * 10**7, memory_free=321 * 10**7, disk=83 * 10**7, disk_free=2 * 10**10),
            "train: needs about 420 MB of memory (3.2 GB free) and 830 MB of disk (20.0 GB free)",
        ),
        (Forecast(stage="train", memory=5_000_000, disk=0, disk_free=9), "train: needs about 5 MB of memory"),
        (Forecast(stage="train", seconds=312.0), "train: about 5 min 12 s to go"),
        (
            Forecast(stage="train", seconds=7320.0, advice={"on a GPU": 63, "one epoch: --set trainer.epochs=1": 3660}),
            "train: about 2 h 2 min to go; shorter would be\n  on a GPU: about 1 min 3 s\n"
            "  one epoch: --set trainer.epochs=1: about 1 h 1 min",
        ),
    ],
)  # fmt: skip
def test_a_forecast_is_one_sentence(event: Forecast, line: str) -> None:
    assert describe(event) == line
