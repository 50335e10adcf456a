"""The scores of a long job while it goes on: kept beside the file they are for, so that a killed job goes on.

Scores are appended to one file, and a second says how many of its rows are on the disk, and what they are scores of.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import ResourceError
from ..files import sync, write_text
from ..tables.writer import saying

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FORMAT = 1
SAVE_EVERY = 5.0  # seconds of work that a killed job loses, beside that of its window
_CHUNK = 1 << 20


class Spool:
    """Rows of float32 scores on the disk. `rows`: how many there are; `windows`: in how many pieces they came.

    `anew`: why those of an earlier job were not used, or nothing.
    """

    def __init__(self, target: Path, file: IO[bytes], about: Mapping[str, Any], width: int) -> None:
        self.target, self._file, self._about, self._width = target, file, dict(about), width
        self.rows = self.windows = 0
        self.whole, self.anew = False, ""
        self._digest = hashlib.sha256()
        self._saved = time.monotonic()
        self._resume()

    def append(self, scores: NDArray[np.float32]) -> None:
        """Add the scores of the next window; from time to time they are made durable."""
        data = scores.astype("<f4", copy=False).tobytes()
        with saying(str(self.target)):
            self._file.write(data)
        digest = self._digest.copy()
        digest.update(data)
        # At once, so that a signal finds either all of it or nothing.
        self.rows, self.windows, self._digest = self.rows + len(scores), self.windows + 1, digest
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self.save()

    def save(self, *, whole: bool = False) -> None:
        """Make all rows durable; `whole`: there will be no more."""
        self.whole = whole
        told = {
            "format": FORMAT, "about": self._about, "rows": self.rows, "windows": self.windows, "whole": whole,
            "sha256": self._digest.hexdigest(),
        }  # fmt: skip
        with saying(str(self.target)):
            self._file.flush()
            os.fsync(self._file.fileno())
        write_text(_note(self.target), json.dumps(told))
        self._saved = time.monotonic()

    def read(self, rows: int) -> Iterator[NDArray[np.float32]]:
        """Yield all scores in order, so many rows at a time."""
        import numpy as np

        self._file.flush()
        self._file.seek(0)
        left = self.rows
        while left:
            size = min(rows, left) * self._width * 4
            yield np.frombuffer(self._file.read(size), "<f4").reshape(-1, self._width).astype(np.float32, copy=False)
            left -= min(rows, left)

    def _resume(self) -> None:
        """Take over what an earlier job of the same kind made durable, and cut off the rest."""
        told = self._told()
        if told is not None:
            self.rows, self.windows, self.whole = told["rows"], told["windows"], told["whole"]
        with saying(str(self.target)):
            self._file.truncate(self.rows * self._width * 4)
            self._file.seek(0, os.SEEK_END)

    def _told(self) -> dict[str, Any] | None:
        try:
            told = json.loads(_note(self.target).read_text("utf-8"))
            changed = [what for what, value in self._about.items() if told["about"].get(what) != value]
            rows, windows, whole = told["rows"], told["windows"], told["whole"]
            sound = isinstance(rows, int) and isinstance(windows, int) and isinstance(whole, bool) and rows >= 0
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.anew = "what is known of the earlier job is damaged"
            return None
        if changed or told.get("format") != FORMAT:
            self.anew = f"{' and '.join(changed) or 'textclf'} changed since"
        elif not sound or not self._matches(rows, told["sha256"]):
            self.anew = "the scores of the earlier job are damaged"
        return None if self.anew else told

    def _matches(self, rows: int, sha256: object) -> bool:
        """Tell whether the rows are those that were made durable; their digest goes on from here."""
        digest, left = hashlib.sha256(), rows * self._width * 4
        self._file.seek(0)
        while left and (data := self._file.read(min(_CHUNK, left))):
            digest.update(data)
            left -= len(data)
        if left or digest.hexdigest() != sha256:
            return False
        self._digest = digest
        return True


@contextmanager
def spool(target: Path, about: Mapping[str, Any], width: int) -> Iterator[Spool]:
    """Yield the spool of a file, held against other processes; it stays until `discard`, or `write` is through."""
    place = Path(os.path.realpath(target))
    file = _held(target, place)
    try:
        yield Spool(place, file, about, width)
    finally:
        with saying(str(target)):
            file.close()


def discard(opened: Spool) -> None:
    """Remove a spool, and what a killed process left of the file it is for; only who holds it may."""
    place = opened.target
    name = re.escape(place.name[:100])
    halves = re.compile(rf"\.{name}\.[0-9a-f]{{8}}\.part|\.\.{name}\.scores\.json\.\d+\.part")
    for part in place.parent.iterdir():
        if halves.fullmatch(part.name):
            part.unlink(missing_ok=True)
    # The note first: scores without one are never used.
    _note(place).unlink(missing_ok=True)
    _scores(place).unlink(missing_ok=True)
    with suppress(OSError):
        sync(place.parent)


def _held(target: Path, place: Path) -> IO[bytes]:
    """Open the file of scores, locked: the lock ends with the process, however that ends."""
    while True:
        with saying(str(target)):
            descriptor = os.open(_scores(place), os.O_RDWR | os.O_CREAT, 0o666)
        file = os.fdopen(descriptor, "r+b")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise ResourceError(
                f"{target} is being written by another process; wait for it, or name another file"
            ) from None
        # Its last holder may have removed it between our opening and our locking it.
        with suppress(FileNotFoundError):
            if os.stat(_scores(place)).st_ino == os.fstat(descriptor).st_ino:  # noqa: PTH116 - as for the descriptor
                return file
        file.close()


def _scores(place: Path) -> Path:
    return place.with_name(f".{place.name[:100]}.scores")


def _note(place: Path) -> Path:
    return place.with_name(f".{place.name[:100]}.scores.json")
