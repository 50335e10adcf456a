"""The cache of features: made once, never trusted blindly, and never the cause of a failure."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from textclf import PluginError, Texts, Tokens
from textclf.run import feature_cache

TEXTS = Texts(["one", "two", "three"])


class Making:
    def __init__(self, made: Any) -> None:
        self.made, self.times = made, 0

    def __call__(self) -> Any:
        self.times += 1
        return self.made


def features(folder: Path | None, making: Callable[[], Any], fingerprint: str = "f", texts: Texts = TEXTS) -> Any:
    return feature_cache.features(folder, fingerprint, texts, making)


def entries(folder: Path) -> list[Path]:
    return [p for p in (folder / "features").iterdir() if p.is_dir()]


@pytest.mark.parametrize(
    "made",
    [
        np.arange(6, dtype=np.float32).reshape(3, 2),
        sparse.csr_matrix(np.eye(3, dtype=np.float32)),
        Tokens(np.arange(4, dtype=np.uint16), np.array([0, 2, 3, 4])),
        Tokens(np.arange(4, dtype=np.uint32), np.array([0, 2, 3, 4]), np.array([1, 0, 1])),
    ],
    ids=["array", "sparse", "tokens", "pairs"],
)
def test_features_are_made_once_and_come_back_as_they_were(tmp_path: Path, made: Any) -> None:
    making = Making(made)
    for _ in range(3):
        back = features(tmp_path, making)
        if isinstance(made, Tokens):
            assert back.ids.dtype == made.ids.dtype
            assert [back.row(i).tolist() for i in range(3)] == [made.row(i).tolist() for i in range(3)]
            assert (back.cuts is None) == (made.cuts is None)
        else:
            assert (back != made).sum() == 0
            assert back.dtype == made.dtype
    assert making.times == 1


def test_other_texts_or_another_fingerprint_are_made_anew(tmp_path: Path) -> None:
    making = Making(np.zeros((3, 1)))
    features(tmp_path, making)
    features(tmp_path, making, "g")
    features(tmp_path, making, "f", Texts(["one", "two", "thre", "e"]))
    features(tmp_path, making, "f", Texts(["one", "two", "three"], ["", "", ""]))
    assert making.times == 4


def test_an_empty_fingerprint_or_no_cache_keeps_nothing(tmp_path: Path) -> None:
    making = Making(np.zeros((3, 1)))
    for _ in range(2):
        features(tmp_path, making, "")
        features(None, making)
    assert making.times == 4
    assert list(tmp_path.iterdir()) == []


def test_features_of_an_unknown_kind_are_not_kept(tmp_path: Path) -> None:
    making = Making(np.array([{}, {}, {}], object))
    for _ in range(2):
        assert features(tmp_path, making) is making.made
    assert making.times == 2


@pytest.mark.parametrize("harm", ["flip", "truncate", "unlist", "unlink", "empty"])
def test_a_corrupted_entry_is_made_again(tmp_path: Path, harm: str) -> None:
    making = Making(np.arange(300, dtype=np.float32).reshape(3, 100))
    features(tmp_path, making)
    [entry] = entries(tmp_path)
    array, listing = entry / "array.npy", entry / "manifest.json"
    data = array.read_bytes()
    {
        "flip": lambda: array.write_bytes(data[:-1] + bytes([data[-1] ^ 1])),
        "truncate": lambda: array.write_bytes(data[:200]),
        "unlist": lambda: listing.write_text("{}"),
        "unlink": listing.unlink,
        "empty": lambda: listing.write_text(""),
    }[harm]()
    assert (features(tmp_path, making) == making.made).all()
    assert (features(tmp_path, making) == making.made).all()
    assert making.times == 2


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null/cache", "file", "file/inside"])
def test_a_cache_that_cannot_be_written_is_harmless(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    making = Making(np.zeros((3, 1)))
    assert features(tmp_path / place, making) is making.made
    assert making.times == 1


def test_a_read_only_cache_is_read_and_not_written(tmp_path: Path) -> None:
    """Without the right to write, features that are there are used, and others are made."""
    making = Making(np.zeros((3, 1)))
    features(tmp_path, making)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for place in (tmp_path, tmp_path / "features"):
                place.chmod(0o555)
            if os.geteuid() == 0:
                os.seteuid(65534)
            other = Making(np.ones((3, 1)))
            status = 0 if features(tmp_path, other, "other") is other.made and other.times == 1 else 2
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for place in (tmp_path, tmp_path / "features"):
        place.chmod(0o755)
    assert status == 0


def test_what_the_encoder_raises_is_not_swallowed_and_not_tried_twice(tmp_path: Path) -> None:
    times = []

    def making() -> Any:
        times.append(1)
        raise PluginError("encode() fails")

    with pytest.raises(PluginError, match="encode"):
        features(tmp_path, making)
    assert times == [1]


def test_of_two_processes_one_makes_and_the_other_waits(tmp_path: Path) -> None:
    def making() -> Any:
        with (tmp_path / "made").open("a") as log:
            log.write("x")
        return np.zeros((3, 1))

    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if features(tmp_path / "cache", making).shape == (3, 1) else 2
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert (tmp_path / "made").read_text() == "x"


def test_the_folder_is_the_named_one_or_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTCLF_CACHE", "/some/where")
    assert feature_cache.default_folder() == Path("/some/where")
    monkeypatch.delenv("TEXTCLF_CACHE")
    assert feature_cache.default_folder().name == "textclf"
