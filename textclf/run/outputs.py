"""Outputs of a run, written into its folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from ..errors import TextclfError, said
from ..evaluation.report import FILE, SUMMARY_FILE
from ..files import disk_errors
from ..plugin.protocols import Finished, Output
from ..plugin.step import Step
from .folder import CHECKPOINTS, EVENTS, MODEL, RECIPE, RECORD, TRAINED_ON, WORK, RunFolder
from .predictions_file import PREDICTIONS, SCORES
from .resume import PLUGINS

# What else stands in a run folder, or is looked for there; a study's summary would be taken for this run's.
RESERVED = (
    CHECKPOINTS, EVENTS, FILE, MODEL, PLUGINS, PREDICTIONS, RECIPE, RECORD, SCORES, SUMMARY_FILE, TRAINED_ON, WORK,
)  # fmt: skip
_ANEW = (MODEL, PREDICTIONS, SCORES)
OURS, _FOLDER = -1, "folder"
_UNKEPT = (
    "no copy{} can be made in the folder for temporary files, so what an output takes of others is lost; free space "
    "there, or name another in TMPDIR"
)


def is_reserved(name: str) -> bool:
    """Tell whether the first part of a path in a run folder is textclf's own, on disks that ignore case too."""
    return name.casefold() in RESERVED


def write_outputs(
    steps: Sequence[Step[Output]], finished: Finished, folder: RunFolder, warn: Callable[[str], None],
    *anew: Callable[[], object],
) -> None:  # fmt: skip
    """Let each output write; one that fails, or takes a name that is not its own, is a warning: the result is there.

    anew: what writes the larger of the run's own files again, those of which no copy is kept.
    """
    try:
        # Outside of the run folder, which an output may clear.
        copies = tempfile.TemporaryDirectory(prefix="textclf-", ignore_cleanup_errors=True)
    except OSError as error:  # a run that is trained does not fail for want of room for copies
        if steps:
            warn(_UNKEPT.format(f": {error.strerror or error}"))
        for step in steps:
            _write(step, finished, folder.path, warn)
        return
    with copies as place:
        keeping = Keeping(folder.path, Path(place), anew)
        for number, step in enumerate(steps):
            uncopied = keeping.copy()
            if uncopied:
                warn(_UNKEPT.format(f" of '{uncopied[0]}'{' and more' if len(uncopied) > 1 else ''}"))
            try:
                _write(step, finished, folder.path, warn)
            finally:
                taken = keeping.mend(number)
            for owner, names in taken.items():
                whose = "textclf keeps for itself" if owner == OURS else f"{steps[owner]} has written before"
                gone = f"{named(names)}, which {whose}; what it wrote there is gone, name it otherwise"
                warn(f"{step}: write takes {gone}{step.plugin.hint(step.name)}")


def _write(step: Step[Output], finished: Finished, folder: Path, warn: Callable[[str], None]) -> None:
    try:
        step.build().write(finished, folder)
    except KeyboardInterrupt:
        raise
    except TextclfError as error:
        warn(f"{step}: write fails, the run goes on: {error}")
    except BaseException as error:  # noqa: BLE001 - whatever an output raises must not cost the run
        remedy = step.plugin.hint(step.name)
        warn(f"{step}: write fails, the run goes on: {said(error)}{step.place(error)}{remedy}")


@dataclass(frozen=True, slots=True)
class Keeping:
    """The files of a run folder before an output writes, with a copy of each that cannot be written anew.

    owners: the number of the output that wrote a file. stamps: what there was before the last one wrote. without: those
    of which no copy could be made.
    """

    folder: Path
    copies: Path
    anew: Sequence[Callable[[], object]]
    owners: dict[str, int] = field(default_factory=dict)
    stamps: dict[str, Any] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)

    def copy(self) -> list[str]:
        """Copy what there is by now, but for what has a copy already; return those of which none could be made."""
        now, refused = self._seen(), []
        for name, stamp in now.items():
            file, copy = self.folder / name, self.copies / name
            if stamp == _FOLDER and (copy.is_symlink() or copy.is_file()):
                _remove(copy)
            if stamp in (_FOLDER, self.stamps.get(name)) or _first(name) in (*_ANEW, CHECKPOINTS, WORK):
                continue
            self.without.add(name)
            try:
                if not file.is_symlink() and not file.is_file():
                    continue  # of a pipe or a socket nothing could be kept
                _copy(file, copy)
                self.without.remove(name)
            except OSError:
                refused.append(name)
        self.stamps.clear()
        self.stamps.update(now)
        return refused

    def mend(self, number: int) -> dict[int, list[str]]:
        """Put back what an output took of others, and return the names by whose they are; the rest is its own."""
        now = self._seen()
        taken: dict[int, list[str]] = {}
        lost: list[str] = []
        for name in sorted({**self.stamps, **now}):  # a folder before what is in it
            if now.get(name) == self.stamps.get(name) or (name == EVENTS and self._only_longer()):
                continue
            owner = OURS if is_reserved(_first(name)) else self.owners.setdefault(name, number)
            if owner != number:
                taken.setdefault(owner, []).append(_first(name) if owner == OURS else name)
                lost.append(name)
        try:
            with disk_errors(self.folder):
                self._put_back([name for name in lost if name not in self.without])
        finally:
            if set(taken.get(OURS, ())) & set(_ANEW):
                for write in self.anew:
                    write()
        return {owner: sorted(set(names)) for owner, names in taken.items()}

    def _only_longer(self) -> bool:
        """Tell whether the run's journal only went on: an output may use the classifier, and that may be told of."""
        journal, copy = self.folder / EVENTS, self.copies / EVENTS
        return journal.is_file() and copy.is_file() and journal.read_bytes().startswith(copy.read_bytes())

    def _put_back(self, lost: Sequence[str]) -> None:
        """Put back each of these; one that cannot be is told of when the others are there."""
        failure: OSError | None = None
        if lost and not self.folder.is_dir():
            _remove(self.folder)
        for act, names in ((self._clear, lost[::-1]), (self._restore, lost)):
            for name in names:
                try:
                    act(name)
                except OSError as error:
                    failure = failure or error
        if failure:
            raise failure

    def _clear(self, name: str) -> None:
        _remove(self.folder / name)

    def _restore(self, name: str) -> None:
        place, copy = self.folder / name, self.copies / name
        if self.stamps.get(name) == _FOLDER:
            place.mkdir(parents=True, exist_ok=True)
        elif copy.is_file() or copy.is_symlink():
            _copy(copy, place)

    def _seen(self) -> dict[str, Any]:
        """Return what tells whether a file was written since, for each below the folder."""
        found: dict[str, Any] = {}
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):
                about = path.lstat()
                whole = (about.st_ino, about.st_size, about.st_mtime_ns)
                found[path.relative_to(self.folder).as_posix()] = _FOLDER if S_ISDIR(about.st_mode) else whole
        return found


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):  # the folder that it was in may be gone, or a file
            place.unlink()


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    _remove(to)  # no link can be written over
    try:
        shutil.copy2(file, to, follow_symlinks=False)
    except OSError:
        _remove(to)  # a part of it is none
        raise


def named(names: Sequence[str]) -> str:
    """Return the first of some files' names, in quotes."""
    return ", ".join(f"'{name}'" for name in names[:3]) + (" and more" if len(names) > 3 else "")


def _first(name: str) -> str:
    return Path(name).parts[0]


Around = Callable[[str], AbstractContextManager[object]]
_ANYONE = 0  # what is not the run's own, observers may share


@contextmanager
def kept(folder: Path, warn: Callable[[str, str], None], *anew: Callable[[], object]) -> Iterator[Around]:
    """Yield what to call each observer in, by its name, while the run's own files must stay as they are.

    warn: told the name of one that takes some, and what is said of that. anew: as in `write_outputs`.
    """
    try:
        copies = tempfile.TemporaryDirectory(prefix="textclf-", ignore_cleanup_errors=True)
    except OSError:  # a run that is whole does not fail for want of room for copies
        yield nullcontext
        return
    with copies as place:
        keeping = Keeping(folder, Path(place), anew)

        @contextmanager
        def around(name: str) -> Iterator[None]:
            keeping.copy()
            try:
                yield
            finally:
                taken = keeping.mend(_ANYONE).get(OURS, [])
                if taken:
                    gone = "what it did there is undone; write under other names"
                    warn(name, f"observer {name} takes {named(taken)}, which textclf keeps for itself; {gone}")

        yield around
