"""Owns writing so that a file or folder is whole or absent: temporary name, fsync, rename, fsync the parent."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ResourceError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into a ResourceError that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceError(f"the disk is full: cannot write {path}; free some space, or use another folder") from error
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise ResourceError(f"cannot write {path}: {error.strerror}; choose a folder that can be written") from error
        raise


def write_text(path: Path, text: str) -> None:
    write_file(path, lambda part: part.write_bytes(text.encode("utf-8", "replace")))


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, and rename it there once it is on the disk."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with disk_errors(path):
        try:
            write(part)
            sync(part)
            part.replace(path)
            sync(path.parent)
        finally:
            part.unlink(missing_ok=True)


def write_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder beside `folder`, and rename it there once all of it is on the disk."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    with disk_errors(folder):
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            write(part)
            for inner in sorted(part.rglob("*"), reverse=True):
                sync(inner)
            sync(part)
            part.replace(folder)
            sync(folder.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path) -> str:
    """Return the sha256 of a file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below the folder, by its path relative to it, in order."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): digest(p) for p in files}
