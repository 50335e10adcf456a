"""Owns how the rows of `predict` are scored: as they come, or from file to file such that a killed job goes on."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..data.batching import WINDOW, characters_of
from ..errors import Cancelled, DataError, RecipeError, Stopped
from ..tables.writer import checked_target
from .pace import Pace
from .predicting import Rows, Wanted, Write, rows_of_table, sink
from .spool import Spool, discard, spool
from .words import thousands

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from ..model.classifier import Classifier
    from ..plugin.context import RunContext
    from .session import Session

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
