"""`textclf predict` from file to file: an interrupted job resumes, and the file is the same to the byte."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer
from tests.killing import die_at
from textclf import Engine
from textclf.cli import predict_job
from textclf.cli.main import main
from textclf.cli.predict_job import PartialScores, ScoringJob, score_file
from textclf.cli.progress import PredictProgress
from textclf.cli.rows import ReadOptions
from textclf.cli.session import Session

Call = Callable[..., Answer]
ROWS = 400  # windows of 64, 256 and 80 rows
JOB = ("predict", "toys", "--input", "in.csv", "--output")


@pytest.fixture(autouse=True)
def _at_hand(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").symlink_to(trained)
    (tmp_path / "in.csv").write_text("id,text\n" + "".join(f"{n},dabe fine {n}\n" for n in range(ROWS)), "utf-8")
    monkeypatch.setattr(predict_job, "SAVE_EVERY", 0.0)


def left(folder: Path) -> list[str]:
    """Return what lies in the folder beside the input and the runs."""
    return sorted(path.name for path in folder.iterdir() if path.name not in ("in.csv", "runs"))


def forked(job: tuple[str, ...], before: Callable[[], None]) -> int:
    """Run the command in a forked process, and return how it ended: a signal is negative."""
    child = os.fork()
    if child == 0:
        before()
        os._exit(main(list(job)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dying(windows: int, number: int = signal.SIGKILL) -> Callable[[], None]:
    """Return what sends this process a signal when it has scored so many windows."""

    def prepare() -> None:
        whole = PartialScores.append

        def append(self: PartialScores, scores: object) -> None:
            whole(self, scores)  # type: ignore[arg-type]
            if self.windows == windows:
                os.kill(os.getpid(), number)

        PartialScores.append = append  # type: ignore[method-assign]

    return prepare


@pytest.mark.parametrize(
    ("name", "deaths"),
    [("out.csv", {1: 64, 3: 400}), ("out.jsonl", {2: 320}), ("out.csv.gz", {2: 320}), ("out.parquet", {2: 320})],
)
def test_a_job_that_is_killed_resumes_after_the_rows_on_the_disk(
    call: Call, tmp_path: Path, name: str, deaths: dict[int, int]
) -> None:
    """C01: a scoring that is killed resumes, and gives the same bytes."""
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    assert call(*JOB, f"whole-{name}") == Answer(0, "", "")
    for windows, row in deaths.items():
        assert forked((*JOB, name), dying(windows)) == -signal.SIGKILL
        assert not (tmp_path / name).exists()
        # The last window is on the disk as well: it was made durable before the signal.
        assert call(*JOB, name) == Answer(0, "", f"resuming after row {row}\n")
        assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
        (tmp_path / name).unlink()
    assert left(tmp_path) == [f"whole-{name}"]


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_a_job_may_die_at_any_change_of_the_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stride: int
) -> None:
    """C01: killed at any write, fsync and rename."""
    engine = Engine()
    classifier = engine.load("toys")

    def score(target: str = "out.csv") -> None:
        session = Session([])
        with PredictProgress(session.terminal.notes) as progress, classifier.context(observer=progress) as context:
            job = ScoringJob(session, classifier, context, progress, ReadOptions())
            score_file(job, engine.model("toys"), "in.csv", target)

    score("whole.csv")
    whole, moment, resumed = (tmp_path / "whole.csv").read_bytes(), 0, 0
    while die_at(score, moment):
        if (tmp_path / "out.csv").exists():
            assert (tmp_path / "out.csv").read_bytes() == whole
        score()
        resumed += "resuming after row" in capsys.readouterr().err
        assert (tmp_path / "out.csv").read_bytes() == whole
        assert left(tmp_path) == ["out.csv", "whole.csv"], moment
        (tmp_path / "out.csv").unlink()
        moment += stride
    assert moment > 30
    assert resumed > 15 // stride


def harmed(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (harmed("in.csv", b"id,text\n" + b"7,other\n" * ROWS), "the input changed since"),
        (lambda folder: os.utime(folder / "in.csv", (1, 1)), "the input changed since"),
        (harmed(".out.csv.scores", b"\1" * 4000), "the scores of the earlier job are damaged"),
        (harmed(".out.csv.scores", b""), "the scores of the earlier job are damaged"),
        (harmed(".out.csv.scores.json", b"{"), "the note of the earlier job is damaged"),
        (harmed(".out.csv.scores.json", b"[]"), "the note of the earlier job is damaged"),
    ],
)
def test_a_job_that_is_another_one_starts_over_and_says_why(
    call: Call, tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    forked((*JOB, "out.csv"), dying(2))
    change(tmp_path)
    assert call(*JOB, "out.csv") == Answer(0, "", f"starting over: {reason}\n")
    call(*JOB, "fresh.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    assert left(tmp_path) == ["fresh.csv", "out.csv"]


def test_another_model_or_arithmetic_starts_over(call: Call, tmp_path: Path) -> None:
    forked((*JOB, "out.csv"), dying(1))
    assert forked((*JOB, "out.csv", "--fast"), dying(1)) == -signal.SIGKILL
    assert call(*JOB, "out.csv").err == "starting over: --fast changed since\n"
    forked((*JOB, "out.csv"), dying(1))
    (tmp_path / "out.csv").unlink()
    # The labels of `several` are two as well, so its scores would fit.
    other = ("predict", "several", *JOB[2:])
    assert call(*other, "out.csv").err == "starting over: the model and the options changed since\n"


def test_a_row_that_was_half_written_is_cut_off(call: Call, tmp_path: Path) -> None:
    call(*JOB, "whole.csv")
    forked((*JOB, "out.csv"), dying(2))
    with (tmp_path / ".out.csv.scores").open("ab") as file:
        file.write(b"\1\2\3" * 1000)
    assert call(*JOB, "out.csv").err == "resuming after row 320\n"
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_says_where_the_job_resumes(
    call: Call, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """T04, T05: Ctrl-C and SIGTERM keep what was scored."""
    monkeypatch.setattr(predict_job, "SAVE_EVERY", 1e9)
    whole = PartialScores.append
    dying(2, number)()
    try:
        answer = call(*JOB, "out.csv")
    finally:
        PartialScores.append = whole  # type: ignore[method-assign]
    said = "textclf: stopped after row 320 of in.csv; the same command resumes from there\n"
    assert answer == Answer(code, "", said)
    assert call(*JOB, "out.csv").err == "resuming after row 320\n"


def test_a_disk_that_fills_keeps_what_was_scored(call: Call, tmp_path: Path) -> None:
    """C04, T06: a full disk ends with 7, and the job resumes when there is room again."""
    call(*JOB, "whole.csv")

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    assert forked((*JOB, "out.csv"), small) == 7
    assert sorted(left(tmp_path)) == [".out.csv.scores", ".out.csv.scores.json", "whole.csv"]
    assert call(*JOB, "out.csv").err == "resuming after row 320\n"
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_two_jobs_never_write_one_file(call: Call, tmp_path: Path) -> None:
    """C09: the second process is refused with exit code 7, and the first one is not disturbed."""
    with predict_job.partial_scores(tmp_path / "out.csv", {}, 2):
        answer = call(*JOB, "out.csv")
    assert answer == Answer(
        7, "", "textclf: out.csv is being written by another process; wait for it, or name another file\n"
    )
    assert call(*JOB, "out.csv").code == 0


def test_what_cannot_be_read_leaves_nothing_to_resume(call: Call, tmp_path: Path) -> None:
    with (tmp_path / "in.csv").open("a") as file:
        file.write("400,one,two\n")
    answer = call(*JOB, "out.csv")
    assert (answer.code, "in.csv:402" in answer.err) == (3, True)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.xls", "out.xls: the name does not tell the format; end it with .csv, .tsv, .jsonl or .parquet"),
        ("no/out.csv", "cannot write no/out.csv: there is no folder 'no'; make it"),
    ],
)
def test_a_place_that_cannot_be_written_is_named_before_anything_is_scored(call: Call, name: str, message: str) -> None:
    assert call(*JOB, name) == Answer(2, "", f"textclf: {message}\n")


def test_the_note_beside_the_scores_counts_rows_and_windows(tmp_path: Path) -> None:
    forked((*JOB, "out.csv"), dying(2))
    note = json.loads((tmp_path / ".out.csv.scores.json").read_text("utf-8"))
    assert (note["rows"], note["windows"]) == (320, 2)
