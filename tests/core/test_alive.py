"""Whether a run is still going on is told by who holds it, never by its record, which a killed process leaves."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.core.toys import engine, recipe
from textclf import ArtefactError, StageStarted
from textclf.run import folder as folders
from textclf.run.folder import locate


@contextmanager
def running() -> Iterator[Path]:
    """Yield the folder of a run that another process is in the middle of; at the end that is killed."""
    told = os.pipe()
    child = os.fork()
    if child == 0:

        def observe(event: object) -> None:
            if isinstance(event, StageStarted) and event.stage == "encode":
                os.write(told[1], event.run.encode())
                signal.pause()

        engine(observers=[observe]).run(recipe())
        os._exit(1)
    try:
        yield Path(os.read(told[0], 4096).decode())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def state() -> list[str]:
    return [info.state for info in engine().runs_list()]


def files(run: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in (run, *sorted(run.rglob("*")))}


def test_a_run_is_called_running_for_as_long_as_its_process_lives_and_then_interrupted() -> None:
    with running() as run:
        assert state() == ["running"]
        with pytest.raises(ArtefactError) as raised:
            engine().load("toy")
        assert str(raised.value) == f"'toy' has no finished run; the newest is {run} (running): wait for it"
        before = files(run)
        assert state() == ["running"]
    assert json.loads((run / "record.json").read_text())["state"] == "running"
    assert state() == ["interrupted"]
    assert files(run) == before, "who lists the runs changes nothing"
    with pytest.raises(ArtefactError) as raised:
        engine().load("toy")
    found = f"'toy' has no finished run; the newest is {run} (interrupted): `textclf resume {run}`"
    assert str(raised.value) == found
    assert locate(Path("runs"), "toy") == run
    assert engine().resume("toy").folder == run
    assert state() == ["finished"]


def test_a_run_in_another_thread_of_this_process_is_running_too() -> None:
    seen: list[str] = []
    engine(observers=[lambda event: seen.extend(state())]).run(recipe())
    assert set(seen[:-1]) == {"running"}
    assert seen[-1] == "finished"


def test_a_study_whose_process_is_gone_is_interrupted() -> None:
    made = folders.create(Path("runs"), "toy", recipe(), kind=folders.STUDY)
    with made.locked():
        assert state() == ["running"]
    assert state() == ["interrupted"]
    with pytest.raises(ArtefactError) as raised:
        engine().find(made.path)
    assert str(raised.value) == (
        f"{made.path} is a study, and none of its 0 runs is finished: `textclf resume {made.path}`"
    )


def test_who_looks_at_a_run_keeps_nobody_from_holding_it() -> None:
    made = folders.create(Path("runs"), "toy", recipe())
    with made.locked():
        pass
    with (made.path / ".lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert state() == ["interrupted"], "two may look at once"
        threading.Timer(0.02, looking.close).start()
        with made.locked():
            assert state() == ["running"]
