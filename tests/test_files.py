"""Files and folders are whole or absent, and a manifest tells what has changed."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.killing import deaths
from textclf.errors import ArtefactError, ResourceError
from textclf.files import (
    clear_parts,
    digest_error,
    disk_errors,
    manifest,
    manifest_error,
    read_json,
    write_folder,
    write_text,
)


def folder_of(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name).write_text(text, "utf-8")
    (path / "manifest.json").write_text(json.dumps(manifest(path)), "utf-8")
    return path


def test_a_file_that_is_killed_while_it_is_written_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "record.json"
    target.write_text("old")
    seen = []
    for _ in deaths(lambda: write_text(target, "new")):
        seen.append(target.read_text())
        clear_parts(tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["record.json"]
        target.write_text("old")
    assert set(seen) == {"old", "new"}
    assert target.read_text() == "new"


def test_a_folder_that_replaces_another_leaves_one_of_both_whole(tmp_path: Path) -> None:
    target = folder_of(tmp_path / "kept", a="old")

    def write(part: Path) -> None:
        (part / "a").write_text("new")
        (part / "manifest.json").write_text(json.dumps(manifest(part)))

    for _ in deaths(lambda: write_folder(target, write)):
        whole = [p for p in (target, *tmp_path.glob(".kept.*.old.part")) if p.exists() and manifest_error(p) is None]
        assert whole
        clear_parts(tmp_path)
        if not target.exists():
            folder_of(target, a="old")
    assert (target / "a").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_what_fails_while_a_folder_is_written_leaves_nothing(tmp_path: Path) -> None:
    def write(part: Path) -> None:
        (part / "half").write_text("half")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_folder(tmp_path / "model", write)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda p: (p / "a").write_text("tampered"), "'a' has changed since it was written"),
        (lambda p: (p / "a").write_text(""), "'a' has changed since it was written"),
        (lambda p: (p / "a").unlink(), "'a' is missing"),
        (lambda p: (p / "manifest.json").unlink(), "its manifest.json is missing"),
        (lambda p: (p / "manifest.json").write_text('{"a": '), "its manifest.json cannot be read"),
        (lambda p: (p / "manifest.json").write_bytes(b"\xff\xfe"), "its manifest.json cannot be read"),
        (lambda p: (p / "manifest.json").write_text("[]"), "its list of files is no mapping"),
        (lambda p: (p / "manifest.json").write_text("{}"), "its list of files is empty"),
    ],
)
def test_a_harmed_folder_says_what_is_wrong_with_it(tmp_path: Path, harm: object, reason: str) -> None:
    """C02: torn, truncated, bit-flipped, emptied: the reason is named."""
    folder = folder_of(tmp_path / "ck", a="text")
    assert manifest_error(folder) is None
    harm(folder)  # type: ignore[operator]
    assert manifest_error(folder) == reason


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../secret"])
def test_a_list_of_files_that_leaves_the_folder_is_refused_unread(tmp_path: Path, path: str) -> None:
    """C11: a manifest with paths that leave the folder."""
    (tmp_path / "secret").write_text("s")
    folder = folder_of(tmp_path / "ck", a="text")
    assert digest_error(folder, {path: "0" * 64}) == f"its list of files leaves the folder: '{path}'"


def test_a_link_leads_out_of_no_folder(tmp_path: Path) -> None:
    """C11: neither a linked file nor a file in a linked folder is read."""
    outside = folder_of(tmp_path / "outside", a="text")
    folder = folder_of(tmp_path / "ck", b="text")
    (folder / "file").symlink_to(outside / "a")
    (folder / "sub").symlink_to(outside)
    listed = manifest(outside)["a"]
    assert digest_error(folder, {"file": listed}) == "'file' is a link"
    assert digest_error(folder, {"sub/a": listed}) == "'sub/a' is a link"


def test_a_json_file_that_is_missing_or_torn_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=rf"^{tmp_path}/record.json is missing$"):
        read_json(tmp_path / "record.json")
    (tmp_path / "record.json").write_text('{"state": "runn')
    with pytest.raises(ArtefactError, match=rf"^{tmp_path}/record.json cannot be read: Unterminated string"):
        read_json(tmp_path / "record.json")


@pytest.mark.parametrize("kind", ["text", "array"])
def test_a_full_disk_keeps_the_old_file_and_says_so(tmp_path: Path, kind: str) -> None:
    """C04: disk full while saving: the last good file is kept."""
    (tmp_path / "out").write_text("old")
    write = "p.write_bytes(b'x' * 100_000)" if kind == "text" else "numpy.save(p.open('wb'), numpy.zeros(100_000))"
    code = (
        "import numpy, sys\nfrom pathlib import Path\nfrom textclf.files import write_file\n"
        f"try: write_file(Path('out'), lambda p: {write})\nexcept Exception as e: print(type(e).__name__, e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    assert done.stdout == "ResourceError the disk is full: cannot write out; free space or use another folder\n"
    assert (tmp_path / "out").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match=r"Not a directory; use a folder that can be written$"):
        write_text(tmp_path / "file" / "x", "text")
    with pytest.raises(BrokenPipeError), disk_errors(tmp_path):
        raise BrokenPipeError
