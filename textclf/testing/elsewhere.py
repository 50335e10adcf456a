"""Owns the current folder of a check: one that looks like the user's, in which what a plugin writes is seen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_SMALL = 64 * 1024  # a file of that size is copied, so that writing over it is seen and harms nobody


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Folders that stand for those in which a check was begun, for as long as it lives."""

    _places: dict[Path, TemporaryDirectory[str]] = field(default_factory=dict)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in a folder with links to all that is in the current one, where the system has links."""
        here = Path.cwd()
        if here not in self._places:
            self._places[here] = TemporaryDirectory(prefix="textclf-folder-")
        there = Path(self._places[here].name)
        try:
            _furnish(here, there)
        except OSError:
            there = here
        os.chdir(there)
        try:
            with written_here() as written:
                yield
        finally:
            os.chdir(here)
            # What the next clause finds there is the user's, and not what this one left.
            for name in written if there != here else ():
                _remove(there / name)


def _furnish(here: Path, there: Path) -> None:
    known = {place.name for place in there.iterdir()}
    for entry in os.scandir(here):
        if entry.name in known:
            continue
        with suppress(PermissionError, shutil.SpecialFileError):
            if entry.is_file() and entry.stat().st_size <= _SMALL:
                shutil.copy2(entry.path, there / entry.name)
                continue
        (there / entry.name).symlink_to(entry.path, target_is_directory=entry.is_dir())


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def leads_out(values: Any) -> bool:
    """Tell whether a path among options begins in the folder above, which is another one elsewhere."""
    if isinstance(values, Mapping):
        return any(map(leads_out, values.values()))
    if isinstance(values, (list, tuple)):
        return any(map(leads_out, values))
    return isinstance(values, str) and ".." in Path(values).parts and not Path(values).is_absolute()


@contextmanager
def written_here() -> Iterator[list[str]]:
    """Yield a list that, when the block has ended, names what it has written into the folder that was current."""
    here, written = Path.cwd(), list[str]()
    before = _stamps(here)
    try:
        yield written
    finally:
        after = _stamps(here)
        written += sorted(name for name, stamp in after.items() if stamp != before.get(name))


def _stamps(folder: Path) -> dict[str, object]:
    """Return what tells whether something was written: a file by its time and size, a folder by being there."""
    found: dict[str, object] = {}
    for entry in os.scandir(folder):
        if not entry.is_symlink() and entry.name != "__pycache__":
            about = entry.stat()
            found[entry.name] = "folder" if entry.is_dir() else (about.st_ino, about.st_size, about.st_mtime_ns)
    return found
