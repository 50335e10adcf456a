"""Whole runs of the trainer `torch` that are stopped or changed, or whose disk is full, and resumed."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.plugins.torch.tiny_runs import NAME, RECIPE, of_run, prepare, textclf, unlike
from tests.toys import Stopping
from textclf import Engine, Stopped
from textclf.cli.main import main

SECOND, NEWEST = "ck-000004", "ck-000005"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was left alone in `whole`, and one in `runs` that was stopped after five steps."""
    folder, before = tmp_path_factory.mktemp("tiny"), Path.cwd()
    torch.set_num_threads(1)
    prepare(folder, epochs=3)
    os.chdir(folder)
    try:
        Engine(runs="whole", cache="cache").run(RECIPE)
        # Two questions before training, one before each step, one in the first epoch's validation.
        with pytest.raises(Stopped, match=r"^training was stopped after step 5 of 12; its state is saved$"):
            Engine(runs="runs", cache="cache", stopping=Stopping(2 + 5 + 1)).run(RECIPE)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def stopped(prepared: Path, tmp_path: Path) -> Path:
    """The folder of the run that was stopped, in the current folder."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    [folder] = Path("runs", NAME).iterdir()
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == [SECOND, NEWEST]
    return folder


def ends_as_the_other(folder: Path) -> None:
    [whole] = Path("whole", NAME).iterdir()
    assert unlike(of_run(folder), of_run(whole)) == []


def change(folder: Path, name: str, how: Callable[[bytes], bytes]) -> None:
    (folder / name).write_bytes(how((folder / name).read_bytes()))


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "torn": (lambda p: change(p, "network.safetensors", lambda d: d[:-1]), "'network.safetensors' has changed"),
    "truncated": (lambda p: change(p, "state.json", lambda d: d[: len(d) // 2]), "'state.json' has changed"),
    "bit-flipped": (lambda p: change(p, "optimizer.safetensors", flipped), "'optimizer.safetensors' has changed"),
    "emptied": (lambda p: change(p, "best.safetensors", lambda d: b""), "'best.safetensors' has changed"),
    "lacking": (lambda p: (p / "best.safetensors").unlink(), "'best.safetensors' is missing"),
    "with more": (lambda p: (p / "x").touch(), "'x' is not in its manifest.json"),
    "without a manifest": (lambda p: (p / "manifest.json").unlink(), "its manifest.json is missing"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_checkpoint_is_named_and_the_run_goes_on_from_the_one_before(harm: str, stopped: Path) -> None:
    """C02: the newest torn, truncated, bit-flipped, emptied: a warning with the reason, and the same end."""
    act, reason = HARMS[harm]
    act(stopped / "checkpoints" / NEWEST)
    done = Engine(cache="cache").resume(stopped)
    [warning] = done.report.warnings  # type: ignore[union-attr]
    assert warning.startswith(f"checkpoint {NEWEST} is not used: {reason}")
    for name in ("record.json", "metrics.json"):
        told = json.loads((stopped / name).read_text())
        told["warnings"].remove(warning)
        (stopped / name).write_text(json.dumps(told))
    ends_as_the_other(stopped)


def test_a_run_without_a_whole_checkpoint_is_refused_and_left_as_it_is(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """C02: none left: 6."""
    for name in (SECOND, NEWEST):
        change(stopped / "checkpoints" / name, "network.safetensors", flipped)
    assert main(["resume", NAME]) == 6
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"textclf: none of the 2 checkpoints in {(stopped / 'checkpoints').absolute()} is whole; "
        "start the run again from its recipe"
    )
    assert sorted(p.name for p in (stopped / "checkpoints").iterdir()) == [SECOND, NEWEST]


def test_a_run_of_another_version_of_torch_or_of_the_trainer_is_not_resumed_unless_told_to(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """C05: resume after a plugin or library changed: 6 with the differences, `--allow-changed` goes on."""
    told = json.loads((stopped / "record.json").read_text())
    told["versions"]["torch"], told["plugins"]["textclf_torch"] = "2.10.0", "0.0.9"
    (stopped / "record.json").write_text(json.dumps(told))
    assert main(["resume", NAME]) == 6
    message = capsys.readouterr().err.splitlines()[-1]
    refused = f"textclf: {stopped} cannot be resumed to the same result: textclf_torch was 0.0.9 and is "
    assert message.startswith(refused)
    assert f"; torch was 2.10.0 and is {torch.__version__}; run the recipe again, or" in message
    assert main(["resume", NAME, "--allow-changed"]) == 0


def test_a_checkpoint_of_another_network_is_refused_with_the_tensor(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """C05, C06: a checkpoint folder that was exchanged for another network's: 6, and the tensor is named."""
    shutil.rmtree("checkpoint")
    prepare(Path.cwd(), epochs=3, layers=3)
    assert main(["resume", NAME, "--allow-changed"]) == 6
    message = capsys.readouterr().err.splitlines()[-1]
    place = stopped / "checkpoints" / NEWEST
    assert message.startswith(f"textclf: the checkpoint '{place.absolute()}' does not fit this training: ")
    assert "Missing key(s) in state_dict: \"bert.encoder.layer.2.attention.self.query.weight\"" in message


def test_a_disk_that_fills_while_a_checkpoint_is_written_keeps_the_last_good_one(stopped: Path) -> None:
    """C04, T06: 7, the last good checkpoint is kept, and the run ends the same once there is room."""
    kept = contents(stopped / "checkpoints" / NEWEST)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    process = textclf("resume", NAME, preexec_fn=limit)
    errors = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 7, errors
    place = stopped / "checkpoints" / "ck-000006"
    assert errors.splitlines()[-1] == (
        f"textclf: the disk is full: cannot write {place.absolute()}; free space or use another folder"
    )
    assert contents(stopped / "checkpoints" / NEWEST) == kept
    assert list(stopped.rglob("*.part")) == []
    Engine(cache="cache").resume(stopped)
    ends_as_the_other(stopped)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("numbers", "code"),
    [([signal.SIGINT, signal.SIGINT], 130), ([signal.SIGTERM], 75)],
    ids=["T04 twice", "T05"],
)
def test_a_signal_ends_the_command_with_its_state_saved(numbers: list[int], code: int, prepared: Path) -> None:
    """T04, T05: Ctrl-C twice, and SIGTERM: the code, how to go on, and the same end."""
    shutil.copytree(prepared, Path.cwd(), dirs_exist_ok=True, ignore=lambda *_: ["runs"])
    process = textclf("run", RECIPE)
    assert process.stderr is not None
    seen = b""
    while b"epoch 1 of 3" not in seen:
        seen += process.stderr.readline()
    for number in numbers:
        process.send_signal(number)
        if len(numbers) > 1 and number is numbers[0]:
            process.stderr.readline()
    rest = process.communicate(timeout=120)[1].decode()
    assert process.returncode == code, rest
    assert "Traceback" not in rest
    last = rest.splitlines()[-1]
    if len(numbers) == 1:
        said = r"textclf: training was stopped after step \d+ of 12; its state is saved; resume with: (.+)"
    else:
        said = r"textclf: .+; resume with: (.+)"
    found = re.fullmatch(said, last)
    assert found, last
    folder = Path(found[1].removeprefix("textclf resume "))
    assert json.loads((folder / "record.json").read_text())["state"] == "interrupted"
    Engine(cache="cache").resume(folder)
    ends_as_the_other(folder)


def test_a_model_is_used_without_a_write_into_its_folder(prepared: Path) -> None:
    """C10: nothing is opened for writing there, which also a folder that is read-only to everybody allows."""
    [whole] = (prepared / "whole" / NAME).iterdir()
    model, watching = Path(shutil.copytree(whole / "model", "model")).resolve(), True
    written: list[Any] = []

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if not watching or event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.utime", "os.chmod"):
            return
        writes = event != "open" or bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        named = isinstance(args[0], (str, bytes, os.PathLike))
        if writes and named and Path(os.fsdecode(args[0])).absolute().is_relative_to(model):
            written.append((event, args))

    sys.addaudithook(hear)
    try:
        predictions = Engine().load(model).predict(["the film good", "a plot awful"])
    finally:
        watching = False
    assert written == []
    assert len(predictions) == 2
