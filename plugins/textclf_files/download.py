"""Owns files from the web: fetched once over https, within bounds, into a cache that processes share."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import filelock

from textclf import Context, DownloadError, Progress, ResourceError, Stopped, TextclfError

from .transport import Passing, open_url

_CHUNK = 2**16
_TICK = 0.05
_PROGRESS_EVERY = 0.25
_SUFFIX = re.compile(r"(\.[a-z]{2,8})?(\.gz)?$")
_PAGE = re.compile(rb"\s*(<!doctype\s+html|<html)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """timeout: seconds of silence in one try. deadline: seconds for everything. size: bytes."""

    timeout: float
    deadline: float
    tries: int
    size: int


@dataclass(slots=True)
class _Transfer:
    """A file on its way to `part`; the thread that fetches it stops soon after `cancel` is set."""

    url: str
    part: Path
    limits: Limits
    cancel: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    total: int = 0
    failure: BaseException | None = None


def fetch(url: str, limits: Limits, context: Context) -> Path:
    """Return the file behind a URL: the cached copy, or a fresh one; a DownloadError says why there is none."""
    folder = (context.cache or context.work) / "files"
    target = folder / (hashlib.sha256(url.encode()).hexdigest()[:20] + _suffix(url))
    if not (target.is_file() and _is_whole(target)):
        if context.offline:
            torn = "the cached copy is damaged" if target.is_file() else "there is no cached copy yet"
            raise DownloadError(
                f"{url}: nothing is fetched offline, and {torn}; run once without --offline, after which the copy in "
                f"{folder} is used, or fetch it by hand and give its path"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _lock(target, url, limits, context):
                _fetch_locked(url, target, limits, context)
        except OSError as error:
            raise _disk_error(error, folder) from None
    return target


def _fetch_locked(url: str, target: Path, limits: Limits, context: Context) -> None:
    if target.is_file():
        if _is_whole(target):
            return  # another process fetched it while this one waited
        context.warn(f"{url}: the cached copy {target} has changed since it was fetched; fetching it again")
    for old in target.parent.glob(f"{target.name}.*.part"):
        old.unlink(missing_ok=True)  # left by a process that was killed: whoever holds the lock is the only one
    part = target.with_name(f"{target.name}.{time.monotonic_ns()}.part")
    try:
        _run(_Transfer(url, part, limits), context)
        _record(target).write_text(json.dumps({"url": url, "sha256": _digest(part)}), encoding="utf-8")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _run(transfer: _Transfer, context: Context) -> None:
    """Fetch in a thread, which is left behind when a look-up or a silent server holds it past the deadline."""
    thread = threading.Thread(target=_try_often, args=(transfer,), daemon=True)
    began = shown = time.monotonic()
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_TICK)
            now = time.monotonic()
            if context.stopping():
                raise Stopped(f"stopped while {transfer.url} was fetched")
            if now - began > transfer.limits.deadline:
                raise _give_up(transfer, f"is not complete after {transfer.limits.deadline:g} seconds")
            if now - shown > _PROGRESS_EVERY:
                shown = now
                context.emit(Progress(stage="download", done=transfer.done, total=transfer.total, unit="bytes"))
    finally:
        transfer.cancel.set()
    if isinstance(transfer.failure, OSError):
        raise _disk_error(transfer.failure, transfer.part.parent)
    if transfer.failure is not None:
        raise transfer.failure


def _try_often(transfer: _Transfer) -> None:
    """Try with pauses that double; what went wrong in the end is left in `failure`."""
    tries = transfer.limits.tries
    try:
        for attempt in range(tries):
            try:
                return _fetch_once(transfer)
            except Passing as failure:
                reason = str(failure)
            if attempt + 1 < tries and transfer.cancel.wait(2**attempt):
                return
        again = "" if tries == 1 else f" ({tries} tries)"
        raise _give_up(transfer, f"{reason}{again}")
    except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits for it
        transfer.failure = error


def _fetch_once(transfer: _Transfer) -> None:
    transfer.done = transfer.total = 0
    with open_url(transfer.url, transfer.limits.timeout) as answer, transfer.part.open("wb") as file:
        transfer.total = answer.length or 0
        _check_size(transfer, transfer.total)
        while not transfer.cancel.is_set() and (data := answer.read(_CHUNK)):
            if transfer.done == 0 and _PAGE.match(data):
                raise DownloadError(f"{transfer.url}: is a web page, not a table; does it ask for a log-in?")
            file.write(data)
            transfer.done += len(data)
            _check_size(transfer, transfer.done)
        if answer.length is not None and transfer.done < answer.length and not transfer.cancel.is_set():
            raise Passing(f"was cut off after {transfer.done:,} of {answer.length:,} bytes")


def _check_size(transfer: _Transfer, size: int) -> None:
    if size > transfer.limits.size:
        limit = transfer.limits.size // 2**20
        raise DownloadError(f"{transfer.url}: brings more than {limit:,} MiB; raise `size_limit` if it is meant so")


def _give_up(transfer: _Transfer, reason: str) -> TextclfError:
    return DownloadError(f"{transfer.url}: {reason}; try later, or fetch it by hand and give its path")


@contextmanager
def _lock(target: Path, url: str, limits: Limits, context: Context) -> Iterator[None]:
    """Hold the lock that only one process holds for this file, once another one's download is over."""
    lock = filelock.FileLock(f"{target}.lock")
    began = time.monotonic()
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.2)
        except filelock.Timeout:
            if context.stopping():
                raise Stopped(f"stopped while another process fetched {url}") from None
            if time.monotonic() - began > limits.deadline:
                raise DownloadError(
                    f"{url}: another process holds {lock.lock_file} for more than {limits.deadline:g} seconds; end it"
                ) from None
    try:
        yield
    finally:
        lock.release()


def _suffix(url: str) -> str:
    """Return the part of the name that tells the format; no other word of the URL gets into a path."""
    found = _SUFFIX.search(urlsplit(url).path.lower())
    return found.group() if found else ""


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _is_whole(target: Path) -> bool:
    try:
        listed = json.loads(_record(target).read_text(encoding="utf-8"))
        return bool(listed["sha256"] == _digest(target))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _disk_error(error: OSError, folder: Path) -> TextclfError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    way = "free some space" if full else "choose another folder by TEXTCLF_CACHE"
    return ResourceError(f"cannot write to {folder}: {error.strerror or error}; {way}")
