"""The store of checkpoints: whatever dies when, the newest whole one is found."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.killing import deaths
from textclf import ArtefactError
from textclf.run.checkpoints import CheckpointStore


class Heard:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.saved: list[int] = []

    def store(self, folder: Path) -> CheckpointStore:
        return CheckpointStore(folder / "checkpoints", self.warnings.append, lambda step, path: self.saved.append(step))


def state(step: int, text: str = "") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / "weights").write_text(f"weights of {step}{text}")
        (folder / "sub" / "step").write_text(str(step))

    return write


def stand(store: CheckpointStore) -> str | None:
    latest = store.latest()
    return None if latest is None else (latest / "weights").read_text()


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    heard = Heard()
    store = heard.store(tmp_path)
    assert store.latest() is None
    for step in (100, 200, 300):
        store.save(step, state(step))
    assert sorted(p.name for p in store.folder.iterdir()) == ["ck-000200", "ck-000300"]
    assert (stand(store), heard.saved, heard.warnings) == ("weights of 300", [100, 200, 300], [])


def test_steps_are_ordered_as_numbers_beyond_six_digits(tmp_path: Path) -> None:
    store = Heard().store(tmp_path)
    for step in (999_998, 999_999, 1_000_000, 1_000_001):
        store.save(step, state(step))
    assert stand(store) == "weights of 1000001"


def test_a_store_that_is_killed_at_any_change_of_the_disk_has_a_whole_checkpoint(tmp_path: Path) -> None:
    """C01: killed at any write, fsync, rename: what `latest` returns is whole, and is the old or the new one."""
    heard = Heard()
    store = heard.store(tmp_path)
    store.save(1, state(1))
    store.save(2, state(2))
    seen = []
    for _ in deaths(lambda: store.save(3, state(3))):
        seen.append(stand(store))
        if seen[-1] == "weights of 3":
            store.save(1, state(1))  # prunes nothing newer; the next death begins from two older ones again
            for step in ("000003", "000001"):
                subprocess.run(["rm", "-rf", store.folder / f"ck-{step}"], check=True)
            store.save(2, state(2))
    assert set(seen) == {"weights of 2", "weights of 3"}
    assert stand(store) == "weights of 3"
    assert heard.warnings == []
    store.save(4, state(4))
    assert sorted(p.name for p in store.folder.iterdir()) == ["ck-000003", "ck-000004"]


def test_saving_the_same_step_again_never_leaves_none(tmp_path: Path) -> None:
    """C01: a resumed run may save the step again that it began from."""
    store = Heard().store(tmp_path)
    store.save(1, state(1))
    store.save(2, state(2))
    for _ in deaths(lambda: store.save(2, state(2, " again"))):
        assert stand(store) in ("weights of 2", "weights of 2 again")
        store.save(2, state(2))
    assert stand(store) == "weights of 2 again"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda p: flip(p / "weights"), "'weights' has changed since it was written"),
        (lambda p: (p / "weights").write_text("weig"), "'weights' has changed since it was written"),
        (lambda p: (p / "sub" / "step").write_text(""), "'sub/step' has changed since it was written"),
        (lambda p: (p / "weights").unlink(), "'weights' is missing"),
        (lambda p: (p / "sub" / "more").write_text(""), "'sub/more' is not in its manifest.json"),
        (lambda p: (p / "more").symlink_to("nowhere"), "'more' is not in its manifest.json"),
        (lambda p: (p / "manifest.json").unlink(), "its manifest.json is missing"),
        (lambda p: (p / "manifest.json").write_text(""), "its manifest.json cannot be read"),
        (lambda p: (p / "manifest.json").write_text('{"../x": ""}'), "its list of files leaves the folder: '../x'"),
    ],
)
def test_a_harmed_checkpoint_is_named_and_the_one_before_is_used(tmp_path: Path, harm: object, reason: str) -> None:
    """C02: newest checkpoint torn, truncated, bit-flipped, emptied: warn with the reason, the one before is used."""
    heard = Heard()
    store = heard.store(tmp_path)
    store.save(1, state(1))
    store.save(2, state(2))
    harm(store.folder / "ck-000002")  # type: ignore[operator]
    assert stand(store) == "weights of 1"
    assert heard.warnings == [f"checkpoint ck-000002 is not used: {reason}"]
    store.save(3, state(3))
    assert sorted(p.name for p in store.folder.iterdir()) == ["ck-000001", "ck-000003"]


def test_where_no_checkpoint_is_whole_the_run_cannot_go_on(tmp_path: Path) -> None:
    """C02: none left: an error, and nothing is deleted."""
    store = Heard().store(tmp_path)
    for step in (1, 2):
        store.save(step, state(step))
        flip(store.folder / f"ck-00000{step}" / "weights")
    with pytest.raises(ArtefactError) as raised:
        store.latest()
    assert str(raised.value) == (
        f"none of the 2 checkpoints in {store.folder} is whole; start the run again from its recipe"
    )
    assert len(list(store.folder.iterdir())) == 2


_FILL = """
import numpy, sys
from pathlib import Path
from textclf.run.checkpoints import CheckpointStore
store = CheckpointStore(Path("checkpoints"), print, lambda *_: None)
try:
    store.save(int(sys.argv[1]), lambda p: numpy.save(p / "w.npy", numpy.zeros(100_000)))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("step", [2, 3])
def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path, step: int) -> None:
    """C04: disk full while saving, a new step or the same again: last good one kept."""
    store = Heard().store(tmp_path)
    store.save(2, state(2))
    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(step)], capture_output=True, text=True, cwd=tmp_path, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    place = f"checkpoints/ck-{step:06d}"
    assert done.stdout == f"ResourceError the disk is full: cannot write {place}; free space or use another folder\n"
    assert [p.name for p in store.folder.iterdir()] == ["ck-000002"]
    assert stand(store) == "weights of 2"
