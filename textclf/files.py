"""Files and folders that are whole or absent, and manifests that prove it.

They are written under a temporary name, synced and renamed, and the parent folder is synced: a process that is killed
leaves the old one or the new one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import ArtefactError, ResourceError

MANIFEST = "manifest.json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FAILING = {errno.EIO, errno.ESTALE}
# numpy's message, which has no error number, when only a part of an array could be written.
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the system refuses, such as a full or read-only disk, into a ResourceError that names the place."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _refused(path, error) from error


@contextmanager
def disk_failures(folder: Path) -> Iterator[None]:
    """Translate only what the disk does to the folder, where a plugin writes: the plugin's own errors pass."""
    try:
        yield
    except OSError as error:
        nearest = folder if folder.exists() else folder.parent
        if is_full(error) or is_failing(error) or not os.access(nearest, os.W_OK):
            raise _refused(folder, error) from error
        raise


def _refused(path: Path, error: OSError) -> ResourceError:
    if is_full(error):
        return ResourceError(f"the disk is full: cannot write {path}; free space or use another folder")
    return ResourceError(f"cannot write {path}: {error.strerror or error}; use a folder that can be written")


def is_full(error: OSError) -> bool:
    """Tell whether the disk has no room."""
    return error.errno in _FULL or bool(_SHORT_WRITE.search(str(error)))


def is_failing(error: OSError) -> bool:
    """Tell whether a disk or a file server fails."""
    return error.errno in _FAILING


def part_of(path: Path) -> Path:
    """Return the temporary name beside `path` under which it is written; `clear_parts` finds it."""
    return path.with_name(f".{path.name[:100]}.{os.getpid()}.part")


def put_in_place(part: Path, path: Path) -> None:
    """Rename a file or folder to its name, durably; it must be on the disk already."""
    part.replace(path)
    sync(path.parent)


def write_text(path: Path, text: str) -> None:
    write_file(path, lambda part: part.write_bytes(text.encode("utf-8", "replace")))


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, and rename it there once it is on the disk."""
    part = part_of(path)
    with disk_errors(path):
        try:
            write(part)
            sync(part)
            put_in_place(part, path)
        finally:
            part.unlink(missing_ok=True)


def write_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder beside `folder`, and rename it there once all of it is on the disk.

    A folder that stands there already stays until then. An error of `write` itself is raised as it is.
    """
    part = part_of(folder)
    old = part.with_suffix(".old.part")
    try:
        with disk_errors(folder):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        with disk_failures(folder):
            write(part)
        with disk_errors(folder):
            for inner in sorted(part.rglob("*"), reverse=True):
                sync(inner)
            sync(part)
            if folder.exists():
                folder.replace(old)
            put_in_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def clear_parts(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder that no other process writes to."""
    for part in folder.glob(".*.part"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; Windows syncs files that can be written only."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
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


def special_file_in(folder: Path) -> str:
    """Return in words what below a folder is neither a file nor a folder: "'latest', a link"; nothing else is kept."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            return f"'{path.relative_to(folder).as_posix()}', a link"
        if not path.is_file() and not path.is_dir():
            return f"'{path.relative_to(folder).as_posix()}', neither a file nor a folder"
    return ""


def manifest_error(folder: Path, name: str = MANIFEST) -> str | None:
    """Say why a folder is not what its manifest says, or return None."""
    try:
        listed = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"its {name} is missing"
    except (OSError, ValueError):
        return f"its {name} cannot be read"
    return digest_error(folder, listed)


def digest_error(folder: Path, listed: object) -> str | None:
    """Say which of the files listed by sha256 is missing, changed, or outside the folder, or return None."""
    if not isinstance(listed, dict):
        return "its list of files is no mapping"
    if not listed:
        return "its list of files is empty"
    for relative, expected in listed.items():
        reason = _file_differs(folder, relative, expected)
        if reason:
            return reason
    return None


def unlisted_file(folder: Path, name: str = MANIFEST) -> str | None:
    """Say which file or link in a folder is in no line of its valid manifest, or return None."""
    listed = json.loads((folder / name).read_text(encoding="utf-8"))
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir() or p.is_symlink())
    more = [path for path in found if path != name and path not in listed]
    return f"'{more[0]}' is not in its {name}" if more else None


def _file_differs(folder: Path, relative: str, expected: object) -> str | None:
    parts = Path(relative).parts
    if Path(relative).is_absolute() or ".." in parts:
        return f"its list of files leaves the folder: '{relative}'"
    if any(folder.joinpath(*parts[:depth]).is_symlink() for depth in range(1, len(parts) + 1)):
        return f"'{relative}' is a link"
    path = folder / relative
    if not path.is_file():
        return f"'{relative}' is missing"
    try:
        return None if digest(path) == expected else f"'{relative}' has changed since it was written"
    except OSError as error:
        return f"'{relative}' cannot be read: {error.strerror}"


def read_json(path: Path) -> Any:
    """Read a JSON file that textclf wrote; an ArtefactError names what is wrong with it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}") from None
