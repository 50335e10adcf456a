"""Owns the copy in the cache: whole or absent, known by its digest, fetched by one process while others wait."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from textclf import Context, DataError, DownloadError, ResourceError, Stopped

from .reviews import Reviews, read
from .transfer import Limits, Transfer, run

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file comes from: its name in messages and in the cache, and what to do when it cannot be fetched."""

    title: str
    key: str
    fetch: Callable[[Transfer], None]
    way_out: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the file must be: its number of rows (0: any), its sha256 where that is known."""

    rows: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """What stands beside the copy, so that the next run can tell whether it is still the same."""

    sha256: str
    size: int
    rows: int
    source: str


class _Unfit(Exception):  # noqa: N818 - it is caught one screen below
    """There is no copy that can be used; the message says why, and is empty where there is none at all."""


def obtain(source: Source, wanted: Wanted, limits: Limits, context: Context) -> tuple[Reviews, str]:
    """Return the reviews and the file's sha256, from the cache, or fetched into it."""
    folder = (context.cache or context.work) / "imdb"
    with _disk_of(folder):
        file = folder / f"{source.key}.csv"
        try:
            return _look(file, wanted)
        except _Unfit as unfit:
            if context.offline:
                why = f"the copy in the cache {unfit}" if str(unfit) else f"there is no copy in the cache ({folder})"
                raise DownloadError(
                    f"cannot fetch the IMDB reviews offline, and {why}; run once without --offline, or {source.way_out}"
                ) from None
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(file.with_suffix(".lock"), limits, context):
            try:
                return _look(file, wanted)  # another process may have fetched it meanwhile
            except _Unfit as unfit:
                if str(unfit):
                    context.warn(f"the copy of the IMDB reviews in the cache ({file}) {unfit}; it is fetched again")
            return _fetch(source, file, wanted, limits, context)


def digest(path: Path) -> str:
    """Return the sha256 of a file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _look(file: Path, wanted: Wanted) -> tuple[Reviews, str]:
    if not file.exists():
        raise _Unfit
    note = _note(file)
    if note is None:
        raise _Unfit("has no readable note of its digest")
    found = digest(file)
    if found != note.sha256:
        raise _Unfit("has changed since it was fetched")
    if wanted.sha256 and found != wanted.sha256:
        raise _Unfit("does not have the sha256 that the recipe asks for")
    return read(file, wanted.rows), found


def _note(file: Path) -> Note | None:
    try:
        return Note(**json.loads(file.with_suffix(".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _fetch(source: Source, file: Path, wanted: Wanted, limits: Limits, context: Context) -> tuple[Reviews, str]:
    part = file.with_suffix(".part")
    # What a killed process left; nobody else is at work, the lock is ours.
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        transfer = Transfer(part / "reviews.csv", limits)
        run(source.fetch, transfer, context)
        reviews, found = _checked(transfer.target, file, wanted)
        _keep(transfer.target, file, Note(found, transfer.target.stat().st_size, len(reviews.texts), source.title))
        return reviews, found
    except DownloadError as error:
        raise DownloadError(f"cannot fetch the IMDB reviews from {source.title}: {error}; {source.way_out}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _checked(target: Path, file: Path, wanted: Wanted) -> tuple[Reviews, str]:
    found = digest(target)
    if wanted.sha256 and found != wanted.sha256:
        raise DownloadError(f"what came has the sha256 {found}, not {wanted.sha256}, and was removed")
    note = _note(file)
    if note and not wanted.sha256 and found != note.sha256:
        raise DownloadError(
            f"what came is not the file that came before (sha256 {note.sha256}) and was removed; "
            f"if it was replaced on purpose, set dataset.sha256 to {found}"
        )
    try:
        return read(target, wanted.rows, name="what came"), found
    except DataError as error:
        raise DownloadError(f"{error}") from error


def _keep(target: Path, file: Path, note: Note) -> None:
    """Put the note first: a copy without one would be fetched again, a note without a copy harms nothing."""
    beside = target.with_suffix(".json")
    beside.write_text(json.dumps(asdict(note), indent=2) + "\n", encoding="utf-8")
    for path in (target, beside):
        _sync(path)
    beside.replace(file.with_suffix(".json"))
    target.replace(file)
    _sync(file.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(lock: Path, limits: Limits, context: Context) -> Iterator[None]:
    """Wait until no other process fetches the file; no longer than one download may take."""
    alone = FileLock(str(lock))
    until = time.monotonic() + limits.deadline
    while True:
        try:
            alone.acquire(timeout=0.2)
            break
        except Timeout:
            if context.stopping():
                raise Stopped("stopped while waiting for another process to fetch the reviews") from None
            if time.monotonic() > until:
                raise DownloadError(
                    f"another process has held {lock} for {limits.deadline:g} seconds; end it, or wait and run again"
                ) from None
    try:
        yield
    finally:
        alone.release()


@contextmanager
def _disk_of(folder: Path) -> Iterator[None]:
    """Turn what a disk may refuse into a ResourceError that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceError(
                f"the disk is full: the IMDB reviews do not fit into {folder}; free 200 MB, "
                "or name another folder in TEXTCLF_CACHE"
            ) from error
        reason = error.strerror or str(error)
        raise ResourceError(f"cannot use {folder}: {reason}; name another folder in TEXTCLF_CACHE") from error
