"""The crash-safe store behind `context.checkpoints`.

A checkpoint is a folder `ck-000400` with a manifest of digests, which is written last. The folder is filled under a
temporary name, synced to the disk and renamed; older checkpoints are removed only afterwards. So a kill between any two
writes leaves the last good checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ArtefactError
from ..files import (
    MANIFEST,
    clear_parts,
    disk_errors,
    manifest,
    manifest_error,
    special_file_in,
    unlisted_file,
    write_folder,
)


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """The checkpoints of one run. keep: how many there are at most; two, in case the newest is damaged."""

    folder: Path
    warn: Callable[[str], None]
    saved: Callable[[int, Path], None]
    keep: int = 2

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._mend()
        target = self.folder / f"ck-{step:06d}"

        def fill(part: Path) -> None:
            write(part)
            other = special_file_in(part)
            if other:
                # A digest says nothing about a link: what it points to may change.
                raise ValueError(f"the checkpoint holds {other}; write plain files")
            (part / MANIFEST).write_text(json.dumps(manifest(part), indent=1), encoding="utf-8")

        write_folder(target, fill)
        self.saved(step, target)
        for old in self._newest_first()[self.keep :]:
            shutil.rmtree(old, ignore_errors=True)

    def latest(self) -> Path | None:
        self._mend()
        found = self._newest_first()
        damaged: list[Path] = []
        for folder in found:
            reason = manifest_error(folder) or unlisted_file(folder)
            if reason is None:
                # A damaged checkpoint would count among the `keep` newest, and a valid one be removed instead.
                for each in damaged:
                    shutil.rmtree(each, ignore_errors=True)
                return folder
            damaged.append(folder)
            self.warn(f"checkpoint {folder.name} is not used: {reason}")
        if found:
            raise ArtefactError(
                f"none of the {len(found)} checkpoints in {self.folder} is whole; start the run again from its recipe"
            )
        return None

    def _mend(self) -> None:
        """Restore the checkpoint of a step that was being saved again, and remove what was half-written.

        `write_folder` moves an existing folder aside before it renames the new one, and a kill may come in between.
        """
        for aside in self.folder.glob(".ck-*.old.part"):
            place = self.folder / aside.name[1:].partition(".")[0]
            if not place.exists():
                aside.replace(place)
        clear_parts(self.folder)

    def _newest_first(self) -> list[Path]:
        found = [p for p in self.folder.glob("ck-*") if p.is_dir() and p.name[3:].isdecimal()]
        return sorted(found, key=lambda p: int(p.name[3:]), reverse=True)
