"""The scoring of rows: as they arrive, or from file to file so that a killed job can resume.

Scores are appended to one file, and a second says how many of its rows are on the disk, and what they are scores of.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import itertools
import json
import os
import re
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from ..data.batching import WINDOW, characters_of
from ..errors import Cancelled, DataError, RecipeError, ResourceError, Stopped
from ..files import disk_errors, sync, write_text
from ..tables.writer import checked_target
from .progress import Pace
from .rows import Rows, Wanted, Write, rows_of_table, sink
from .terminal import thousands

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import WriteableBuffer
    from numpy.typing import NDArray

    from ..model.classifier import Classifier
    from ..plugin.context import RunContext
    from .session import Session


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
        with disk_errors(self.target):
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
        with disk_errors(self.target):
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
        with disk_errors(self.target):
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
        with disk_errors(target):
            file.close()


def discard(opened: Spool) -> None:
    """Remove a spool, and what a killed process left of the file it is for; only who holds it may."""
    place = opened.target
    name = re.escape(place.name[:100])
    halves = re.compile(rf"\.{name}\.\d+\.part|\.\.{name}\.scores\.json\.\d+\.part")
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
        with disk_errors(target):
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


_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Work:
    """What scores rows, and who is told of it."""

    session: Session
    classifier: Classifier
    context: RunContext
    pace: Pace


class Straight:
    """Scores rows as they come: a window is full, or the input has no more for now."""

    def __init__(self, work: Work, write: Write) -> None:
        self._work, self._write = work, write
        self._rows: list[tuple[tuple[Any, ...], Any]] = []
        self._characters = self._windows = self._done = 0

    def add(self, values: tuple[Any, ...], text: Any) -> None:
        self._rows.append((values, text))
        self._characters += characters_of(values)
        if WINDOW.full(self._windows, len(self._rows), self._characters):
            self._windows += 1
            self.flush()

    def flush(self) -> None:
        """Score and write what is there."""
        rows, self._rows, self._characters = self._rows, [], 0
        if not rows:
            return
        work = self._work
        texts = work.classifier.texts_of([text for _, text in rows], self._done)
        scores = work.classifier.raw_scores(texts, work.context)
        for (values, _), prediction in zip(rows, work.classifier.predictions(scores), strict=True):
            self._write(values, prediction)
        work.session.terminal.out.flush()
        self._done += len(rows)
        work.pace.at(self._done)


class Trickle(io.RawIOBase):
    """The bytes of a pipe; before it waits for more, `waiting` is called, since nobody knows how long that takes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.waiting: Callable[[], None] = lambda: None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not select.select([self._descriptor], [], [], 0)[0]:
            self.waiting()
        return os.readv(self._descriptor, [buffer])


def trickling(stream: BinaryIO) -> tuple[BinaryIO, Trickle | None]:
    """Return a stream that tells when it has to wait, where the system can tell that."""
    try:
        pipe = Trickle(stream.fileno())
    except (OSError, AttributeError):
        return stream, None
    return io.BufferedReader(pipe, 1 << 16), pipe


def straight(work: Work, rows: Rows, target: str | None, wanted: Wanted, pipe: Trickle | None) -> None:
    """Score rows from wherever they come to wherever they go."""
    with sink(work.session.terminal, target, rows.columns, work.classifier, wanted) as write:
        scoring = Straight(work, write)
        if pipe is not None:
            pipe.waiting = scoring.flush
        for values, text in rows.items:
            scoring.add(values, text)
        scoring.flush()


def is_resumable(source: str, target: str | None) -> bool:
    """Tell whether a job reads one regular file and writes another."""
    if target in (None, "-") or not Path(source).is_file():
        return False
    return Path(str(target)).is_file() or not Path(str(target)).exists()


def from_file_to_file(
    work: Work, model: Path, source: str, target: str, wanted: Wanted, options: Mapping[str, Any]
) -> None:
    """Score a table such that the same job, when it was killed, goes on behind the rows that are on the disk.

    The scores are kept beside the target; when all are there, the table is read again and written with them.
    """
    checked_target(Path(target), wanted.format)  # type: ignore[arg-type]
    about = _about(work, model, Path(source), wanted, options)
    with spool(Path(target), about, len(work.classifier.labels)) as kept:
        if kept.anew:
            work.session.terminal.note(f"beginning anew: {kept.anew}")
        elif kept.rows:
            work.session.terminal.note(f"going on behind row {thousands(kept.rows)}")
        with _kept(work, kept, source):
            if not kept.whole:
                _score(work, kept, source, wanted, options)
            if _input(Path(source)) != about["the input"]:
                raise DataError(f"{source}: changed while it was read; run again when nothing writes to it")
            _write(work, kept, source, target, wanted, options)
            discard(kept)


def _score(work: Work, kept: Spool, source: str, wanted: Wanted, options: Mapping[str, Any]) -> None:
    with rows_of_table(source, wanted, work.classifier.pairs, options) as rows:
        texts = (text for _, text in rows.items)
        for _ in itertools.islice(texts, kept.rows):
            pass
        work.pace.begin(kept.rows)
        for window in WINDOW.cut(texts, kept.windows):
            given = work.classifier.texts_of(window, kept.rows)
            kept.append(work.classifier.raw_scores(given, work.context))
            work.pace.at(kept.rows, rows.total(), rows.share())
    kept.save(whole=True)


def _write(
    work: Work, kept: Spool, source: str, target: str, wanted: Wanted, options: Mapping[str, Any]
) -> None:
    with (
        rows_of_table(source, wanted, work.classifier.pairs, options) as rows,
        sink(work.session.terminal, target, rows.columns, work.classifier, wanted) as write,
    ):
        scores = kept.read(WINDOW.texts)
        predictions = itertools.chain.from_iterable(map(work.classifier.predictions, scores))
        for (values, _), prediction in zip(rows.items, predictions, strict=True):
            write(values, prediction)


@contextmanager
def _kept(work: Work, kept: Spool, source: str) -> Iterator[None]:
    """Keep what was scored where the same job can go on with it, and only there."""
    try:
        yield
    except (RecipeError, DataError):
        discard(kept)
        raise
    except KeyboardInterrupt:
        kept.save(whole=kept.whole)
        kind = Stopped if work.session.interrupts.exit_code == Stopped.exit_code else Cancelled
        behind = f"stopped behind row {thousands(kept.rows)} of {source}"
        raise kind(f"{behind}; the same command goes on from there") from None


def _about(
    work: Work, model: Path, source: Path, wanted: Wanted, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all that the scores of a job depend on, by the name under which a change of it is told."""
    from ..run.folder import versions

    columns = wanted.columns
    return {
        "the model": hashlib.sha256((model / "textclf.json").read_bytes()).hexdigest(),
        "the input": _input(source),
        "the options": [list(columns.text), list(columns.pair), wanted.encoding, repr(sorted(options.items()))],
        "--fast": work.context.fast,
        "the libraries": versions(),
        "the number of threads": [os.cpu_count(), os.environ.get("OMP_NUM_THREADS", "")],
    }


def _input(source: Path) -> list[Any]:
    """Return what tells a file from an other one, and from itself when it was changed."""
    with suppress(OSError), source.open("rb") as file:
        told = os.fstat(file.fileno())
        return [told.st_size, told.st_mtime_ns, hashlib.sha256(file.read(_HEAD)).hexdigest()]
    return []
