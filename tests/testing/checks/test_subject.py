"""What a check works on: pickles are found by their content, downloads are not tried."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import tracemalloc
import zipfile
import zlib
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from tests.culprits.making import LINEAR, TEXTS, WORDS
from textclf import DownloadError
from textclf.model.folder import pickle_in
from textclf.testing import StandIns, check_component, contract
from textclf.testing.checks.subject import demand_no_pickle
from textclf.testing.contract import Broken
from textclf.testing.toy import ToyTexts, ToyWords

CONTENT = {"good": 1, "bad": 2, "weights": np.arange(5.0), "more": [str(n) for n in range(50)]}
PICKLED = pickle.dumps(CONTENT)


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


OBJECTS = npy(np.array(["a", "bb"], object))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        *((pickle.dumps(CONTENT, version), ", a pickle") for version in range(2, 6)),
        (pickle.dumps(7, 2), ", a pickle"),
        (OBJECTS, ", an array of objects, which is a pickle"),
        (npy(np.array([("a", 1)], [("word", object), ("n", int)])), ", an array of objects, which is a pickle"),
        (zipped(a=b"text", b=OBJECTS), ", which holds 'b', an array of objects, which is a pickle"),
        (zipped(a=PICKLED), ", which holds 'a', a pickle"),
    ],
    ids=lambda given: f"{len(given)} bytes" if isinstance(given, bytes) else given.strip(", "),
)  # fmt: skip
def test_a_pickle_is_found_under_any_name(content, what, tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "weights.dat").write_bytes(content)
    with pytest.raises(Broken) as broken:
        demand_no_pickle(tmp_path)
    assert str(broken.value) == f"it saves 'weights.dat'{what}; save arrays and JSON"


@pytest.mark.parametrize(
    "content",
    [
        b"", b".", b"\n", b"I am\n", b"Very well\nthen.", b"a film.\n", b"not bad\n", b"0000", b"{}", b"[]", b"(a)",
        json.dumps({"a": [1, 2]}).encode(), b"]]]]", b"K", b"\x80", b"\x80\x04", b"\x80\x04 is no opcode, nor is \xff",
        np.arange(1000, dtype=np.float32).tobytes(), np.random.default_rng(0).bytes(5000), b"\x1f\x8b is no gzip",
        b"BZh is no bz2", b"PK\x03\x04 is no zip", b"\x93NUMPY is no array", b"x\x9c is no zlib",
        npy(np.arange(5)), npy(np.array(["a", "bb"])), zipped(a=b"text", b=npy(np.ones(3))), gzip.compress(b"text"),
        zlib.compress(b"text"), "漢字".encode(), b"\xef\xbb\xbfmarked",
    ],
    ids=lambda content: f"{len(content)} bytes",  # archives hold the time
)  # fmt: skip
def test_what_is_no_pickle_is_not_taken_for_one_whatever_it_is_called(content, tmp_path):
    for name in ("weights.bin", "model.pt", "vocab.pkl", "words"):
        (tmp_path / name).write_bytes(content)
    demand_no_pickle(tmp_path)


def safetensors(length):
    """Return the beginning of a file of tensors whose header has that length."""
    return length.to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}'


MANY = [f"word number {n}" for n in range(100_000)]


@pytest.mark.parametrize(
    "content", [*(pickle.dumps(MANY, version) for version in range(2, 6)), pickle.dumps(bytes(10_000_000), 4)],
    ids=lambda content: f"{len(content)} bytes",
)  # fmt: skip
def test_a_pickle_is_found_by_its_beginning_however_long_it_is(content, tmp_path):
    (tmp_path / "words.bin").write_bytes(content)
    assert pickle_in(tmp_path / "words.bin") == ", a pickle"


@pytest.mark.parametrize(
    "content",
    [*map(safetensors, (0x58, 0x80, 0x0480, 0x2858)), b"B\xff\xff\xff\x7f", b"V", b"Iam one long line", b"\x80\x04 no"],
    ids=lambda content: f"begins with {content[:5].hex()}",
)
def test_of_a_large_file_only_the_beginning_is_read(content, tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(content)
        file.truncate(3 << 30)
    tracemalloc.start()
    try:
        assert pickle_in(path) == ""
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_damaged_archive_is_nothing_that_could_be_loaded(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", PICKLED)
    content = bytearray(file.getvalue())
    content[40:60] = bytes(20)
    (tmp_path / "a.npz").write_bytes(content)
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY\x01\x00\x05\x00{'a':")
    assert (pickle_in(tmp_path / "a.npz"), pickle_in(tmp_path / "b.npy")) == ("", "")


def test_what_torch_and_joblib_save_is_found(tmp_path):
    torch = pytest.importorskip("torch")
    joblib = pytest.importorskip("joblib")
    found = {
        "zip": lambda path: torch.save({"w": torch.ones(3)}, path),
        "old": lambda path: torch.save({"w": torch.ones(3)}, path, _use_new_zipfile_serialization=False),
        "plain": lambda path: joblib.dump({"w": np.ones(3000)}, path),
    }
    for name, save in found.items():
        folder = tmp_path / name
        folder.mkdir()
        save(folder / "weights.safetensors")
        with pytest.raises(Broken, match=r"^it saves 'weights\.safetensors', .*pickle"):
            demand_no_pickle(folder)


ABSENT = "'far/away' is not here, and this run is offline"
SAID = f"{ABSENT}; a check fetches nothing: name a copy that is here by an option (--set)"


class Remote(ToyTexts):
    def load(self, context):
        if context.offline:
            raise DownloadError(ABSENT)
        return super().load(context)


class Pretrained(ToyWords):
    def fit(self, train, context):
        if context.offline:
            raise DownloadError(ABSENT)
        super().fit(train, context)


REMOTE, PRETRAINED = replace(TEXTS, build=Remote), replace(WORDS, build=Pretrained)


def of(findings, *kinds):
    return {one.clause.id: (one.state, one.detail) for one in findings if one.clause.id.startswith(kinds)}


def test_a_dataset_that_is_fetched_is_not_tried_and_told_to_have_an_option_for_a_copy():
    findings = check_component(REMOTE, "dataset")
    found = of(findings, "dataset.", "work.")
    assert found.pop("work.offline") == ("passed", "")
    assert set(found.values()) == {("not tried", SAID)}
    assert not [one for one in findings if one.state == "failed"]


def test_an_encoder_that_is_fetched_is_not_tried_nor_is_a_trainer_that_reads_what_it_makes():
    found = of(check_component(PRETRAINED, "encoder"), "encoder.layout", "encoder.order", "encoder.restore")
    assert found == dict.fromkeys(found, ("not tried", SAID))
    findings = check_component(LINEAR, "trainer", stand_ins=StandIns(encoder=PRETRAINED))
    found = of(findings, "trainer.model", "trainer.learns", "trainer.resume")
    assert found == dict.fromkeys(found, ("not tried", SAID))
    assert not [one for one in findings if one.state == "failed"]


def test_pytest_skips_what_would_have_to_be_fetched():
    module = ModuleType("textclf_far")
    module.textclf_datasets = lambda: [REMOTE]
    (case,) = [case for case in contract(module) if case.clause == "dataset.stable"]
    with pytest.raises(pytest.skip.Exception, match=re.escape(SAID)):
        case.check()


def test_what_has_to_be_fetched_to_restore_a_model_is_a_fault():
    def restore(options, folder):
        raise DownloadError(ABSENT)

    findings = check_component(replace(WORDS, restore=restore), "encoder")
    line = restore.__code__.co_firstlineno + 1
    failed = {one.clause.id: one.detail for one in findings if one.state == "failed"}
    assert failed == {"encoder.restore": f"DownloadError: {ABSENT} (test_subject.py:{line})"}
