"""The scoring of rows: as they arrive, or from file to file so that a killed job can resume."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock, Timeout

from ..data.batching import WINDOW, characters_of
from ..errors import DataError, RecipeError, ResourceError
from ..files import disk_errors, sync, write_text
from ..tables.writer import checked_target
from .format import thousands
from .progress import PredictProgress
from .rows import ReadOptions, Rows, WriteRow, prediction_writer, rows_of_table

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import WriteableBuffer
    from numpy.typing import NDArray

    from ..model.classifier import Classifier
    from ..plugin.context import RunContext
    from .session import Session

FORMAT = 1
SAVE_EVERY = 5.0  # seconds of scoring that a killed job loses, besides its last window
_CHUNK = 1 << 20  # bytes that are read at once when scores are verified
_HEAD = 1 << 16  # bytes of an input that identify it, with its size and time


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """A classifier with what it needs to score the rows of one call."""

    session: Session
    classifier: Classifier
    context: RunContext
    progress: PredictProgress
    options: ReadOptions

    def score(self, texts: Sequence[Any], done: int) -> NDArray[np.float32]:
        """Return the scores of a window; done: the number of rows before it, for error messages."""
        return self.classifier.raw_scores(self.classifier.texts_of(texts, done), self.context)


def score_stream(job: ScoringJob, rows: Rows, target: str | None, pipe: PipeReader | None) -> None:
    """Score rows from anywhere to anywhere, each soon after it arrives."""
    with prediction_writer(job.session.terminal, target, rows.columns, job.classifier, job.options) as write:
        scorer = StreamScorer(job, write)
        if pipe is not None:
            pipe.before_waiting = scorer.flush
        for values, text in rows.items:
            scorer.add(values, text)
        scorer.flush()


class StreamScorer:
    """Scores rows when a window is full, or when the input has no more for now."""

    def __init__(self, job: ScoringJob, write: WriteRow) -> None:
        self._job, self._write = job, write
        self._rows: list[tuple[tuple[Any, ...], Any]] = []
        self._characters = self._windows = self._done = 0

    def add(self, values: tuple[Any, ...], text: Any) -> None:
        self._rows.append((values, text))
        self._characters += characters_of(values)
        if WINDOW.full(self._windows, len(self._rows), self._characters):
            self._windows += 1
            self.flush()

    def flush(self) -> None:
        """Score and write the rows that wait."""
        rows, self._rows, self._characters = self._rows, [], 0
        if not rows:
            return
        job = self._job
        scores = job.score([text for _, text in rows], self._done)
        for (values, _), prediction in zip(rows, job.classifier.predictions(scores), strict=True):
            self._write(values, prediction)
        job.session.terminal.out.flush()
        self._done += len(rows)
        job.progress.update(self._done)


class PipeReader(io.FileIO):
    """The bytes of a pipe. `before_waiting` is called before a read that may wait for more."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, closefd=False)
        self.before_waiting: Callable[[], None] = lambda: None

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        # Windows can select sockets only, so that there every read may wait.
        if sys.platform == "win32" or not select.select([self], [], [], 0)[0]:
            self.before_waiting()
        return super().readinto(buffer)


def open_pipe(stream: BinaryIO) -> tuple[BinaryIO, PipeReader | None]:
    """Return a stream to read instead of `stream`, and its reader where `stream` is a file of the system."""
    try:
        pipe = PipeReader(stream.fileno())
    except (OSError, AttributeError):
        return stream, None
    return io.BufferedReader(pipe, 1 << 16), pipe


def is_resumable(source: str, target: str | None) -> bool:
    """Tell whether a job reads one regular file and writes another."""
    if target is None or target == "-" or not Path(source).is_file():
        return False
    return Path(target).is_file() or not Path(target).exists()


def score_file(job: ScoringJob, model: Path, source: str, target: str) -> None:
    """Score a table into a file such that the same job, when it was killed, resumes after the rows on the disk.

    The scores are stored beside the target; when all are there, the table is read again and written with them.
    """
    checked_target(Path(target), job.options.format)  # type: ignore[arg-type]
    inputs = _inputs(job, model, Path(source))
    with partial_scores(Path(target), inputs, len(job.classifier.labels)) as partial:
        if partial.invalid:
            job.session.terminal.note(f"starting over: {partial.invalid}")
        elif partial.rows:
            job.session.terminal.note(f"resuming after row {thousands(partial.rows)}")
        try:
            _score_rest(job, partial, source)
            if _identity(Path(source)) != inputs["the input"]:
                raise DataError(f"{source}: changed while it was read; run again when nothing writes to it")
            _write_table(job, partial, source, target)
        except (RecipeError, DataError):
            # The next job with these arguments would fail at the same row: there is nothing to resume.
            partial.discard()
            raise
        except KeyboardInterrupt:
            partial.save()
            stopped = f"stopped after row {thousands(partial.rows)} of {source}; the same command resumes from there"
            raise job.session.interrupts.stopped(stopped) from None
        partial.discard()


def _score_rest(job: ScoringJob, partial: PartialScores, source: str) -> None:
    with rows_of_table(source, job.options, job.classifier.pairs) as rows:
        texts = itertools.islice((text for _, text in rows.items), partial.rows, None)
        job.progress.begin(partial.rows)
        for window in WINDOW.cut(texts, partial.windows):
            partial.append(job.score(window, partial.rows))
            job.progress.update(partial.rows, rows.total(), rows.share())
    partial.save()


def _write_table(job: ScoringJob, partial: PartialScores, source: str, target: str) -> None:
    with (
        rows_of_table(source, job.options, job.classifier.pairs) as rows,
        prediction_writer(job.session.terminal, target, rows.columns, job.classifier, job.options) as write,
    ):
        predictions = itertools.chain.from_iterable(map(job.classifier.predictions, partial.read(WINDOW.texts)))
        for (values, _), prediction in zip(rows.items, predictions, strict=True):
            write(values, prediction)


def _inputs(job: ScoringJob, model: Path, source: Path) -> dict[str, Any]:
    """Return all that the scores of a job depend on, by the name under which a change of it is reported."""
    from ..run.folder import versions

    options = job.options
    columns = [list(options.columns.text), list(options.columns.pair)]
    return {
        "the model": hashlib.sha256((model / "textclf.json").read_bytes()).hexdigest(),
        "the input": _identity(source),
        "the options": [*columns, options.encoding, repr(sorted(options.dataset.items()))],
        "--fast": job.context.fast,
        "the libraries": versions(),
        "the number of threads": [os.cpu_count(), os.environ.get("OMP_NUM_THREADS", "")],
    }


def _identity(source: Path) -> list[Any]:
    """Return what distinguishes a file from others, and from itself after a change."""
    with suppress(OSError), source.open("rb") as file:
        about = os.fstat(file.fileno())
        return [about.st_size, about.st_mtime_ns, hashlib.sha256(file.read(_HEAD)).hexdigest()]
    return []


class PartialScores:
    """Rows of float32 scores in a file beside the target, and a note that says how many of them are on the disk.

    rows: how many there are. windows: in how many pieces they came. invalid: why those of an earlier job were not used.
    """

    def __init__(self, target: Path, file: IO[bytes], inputs: Mapping[str, Any], width: int) -> None:
        self.target, self._file, self._inputs, self._width = target, file, inputs, width
        self.rows, self.windows, self.invalid = 0, 0, ""
        self._digest = hashlib.sha256()
        self._saved = time.monotonic()
        self._resume()

    def append(self, scores: NDArray[np.float32]) -> None:
        """Add the scores of the next window; make all durable from time to time."""
        data = scores.astype("<f4", copy=False).tobytes()
        with disk_errors(self.target):
            self._file.write(data)
        digest = self._digest.copy()
        digest.update(data)
        # In one statement: a signal sees the window as a whole, or not at all.
        self.rows, self.windows, self._digest = self.rows + len(scores), self.windows + 1, digest
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Make all rows durable."""
        with disk_errors(self.target):
            self._file.flush()
            os.fsync(self._file.fileno())
        note = {"format": FORMAT, "about": self._inputs, "rows": self.rows, "windows": self.windows}
        write_text(_beside(self.target, ".json"), json.dumps({**note, "sha256": self._digest.hexdigest()}))
        self._saved = time.monotonic()

    def read(self, rows: int) -> Iterator[NDArray[np.float32]]:
        """Yield all scores in order, so many rows at a time."""
        import numpy as np

        self._file.flush()
        self._file.seek(0)
        for start in range(0, self.rows, rows):
            data = self._file.read(min(rows, self.rows - start) * self._width * 4)
            yield np.frombuffer(data, "<f4").reshape(-1, self._width).astype(np.float32, copy=False)

    def discard(self) -> None:
        """Remove the scores, and what a killed process left of the target."""
        name = re.escape(self.target.name[:100])
        parts = re.compile(rf"\.{name}\.\d+\.part|\.\.{name}\.scores\.json\.\d+\.part")
        for path in self.target.parent.iterdir():
            if parts.fullmatch(path.name):
                path.unlink(missing_ok=True)
        # The note first: scores without one are never used. Windows removes no open file.
        _beside(self.target, ".json").unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()
        _beside(self.target).unlink(missing_ok=True)
        with suppress(OSError):
            sync(self.target.parent)

    def _resume(self) -> None:
        """Use what an earlier job of the same kind made durable, and cut off the rest."""
        try:
            note = json.loads(_beside(self.target, ".json").read_text("utf-8"))
            changed = [name for name, value in self._inputs.items() if note["about"].get(name) != value]
            if changed or note["format"] != FORMAT:
                self.invalid = f"{' and '.join(changed) or 'textclf'} changed since"
            elif self._verified(note["rows"] * self._width * 4, note["sha256"]):
                self.rows, self.windows = note["rows"], note["windows"]
            else:
                self.invalid = "the scores of the earlier job are damaged"
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.invalid = "the note of the earlier job is damaged"
        with disk_errors(self.target):
            self._file.truncate(self.rows * self._width * 4)
            self._file.seek(0, os.SEEK_END)

    def _verified(self, size: int, sha256: object) -> bool:
        """Tell whether the file begins with the scores that the note describes; their digest is continued."""
        digest = hashlib.sha256()
        self._file.seek(0)
        while size and (data := self._file.read(min(_CHUNK, size))):
            digest.update(data)
            size -= len(data)
        if size or digest.hexdigest() != sha256:
            return False
        self._digest = digest
        return True


@contextmanager
def partial_scores(target: Path, inputs: Mapping[str, Any], width: int) -> Iterator[PartialScores]:
    """Yield the scores of an unfinished job, locked against other processes; they stay unless they are discarded."""
    place = Path(os.path.realpath(target))
    lock = FileLock(_beside(place, ".lock"), timeout=0)
    with disk_errors(target):
        place.parent.stat()  # filelock would make a missing folder
        try:
            lock.acquire()
        except Timeout:
            message = f"{target} is being written by another process; wait for it, or name another file"
            raise ResourceError(message) from None
    try:
        with disk_errors(target):
            file = _beside(place).open("a+b")
        try:
            yield PartialScores(place, file, inputs, width)
        finally:
            with disk_errors(target):
                file.close()
    finally:
        # While it is held: filelock gives nobody the lock of a file that was removed. Windows does so at the release.
        with suppress(OSError):
            _beside(place, ".lock").unlink()
        lock.release()


def _beside(target: Path, suffix: str = "") -> Path:
    """Return a hidden file beside the target: its scores, and with a suffix their note or lock."""
    return target.with_name(f".{target.name[:100]}.scores{suffix}")
