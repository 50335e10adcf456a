"""Owns the saving of encoder and model into one folder, where each leaves the other's files as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..data.pickles import pickle_in
from ..errors import counted, listing
from ..files import disk_failures, manifest, no_file_in
from ..plugin.component import Kind
from ..plugin.protocols import Encoder, Model
from ..plugin.step import Step
from .restoring import never_read

FILE = "textclf.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a model folder holds: the sha256 of each file, and what is wrong with them.

    unread: said where nothing reads the encoder's. pickles: said of each part that saves such.
    """

    files: Mapping[str, str]
    unread: str
    pickles: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        return (self.unread, *self.pickles) if self.unread else self.pickles


def save_parts(encoder: Encoder, model: Model, steps: Mapping[Kind, Step[Any]], folder: Path) -> Saved:
    """Let encoder and model, of these steps, save themselves; a PluginError where one takes what is not its own."""
    first = _files_with(steps["encoder"], encoder, folder)
    unread = never_read(steps["encoder"], encoder, folder)
    files = _files_with(steps["trainer"], model, folder)
    for verb, names in {
        "removes": [name for name in first if name not in files],
        "changes": [name for name in first if files.get(name, "") != first[name]],
    }.items():
        if names:
            what = f"save() {verb} {listing([repr(name) for name in names], 3)}, which {steps['encoder']} has saved"
            raise steps["trainer"].fault(f"{what}; a model's own files lie under folder / 'trainer'", model.save)
    mine = [name for name in files if name not in first]
    pickles = _pickles(steps["encoder"], encoder, folder, first), _pickles(steps["trainer"], model, folder, mine)
    return Saved(files, unread, tuple(filter(None, pickles)))


def _files_with(step: Step[Any], part: Encoder | Model, folder: Path) -> dict[str, str]:
    """Return the files of a folder into which a part has saved itself."""
    step.call("save", partial(_save, part, folder))
    odd = no_file_in(folder)
    if odd:
        raise step.fault(f"save() leaves {odd}; write plain files", part.save)
    files = manifest(folder)
    if FILE in files:
        raise step.fault(f"save() writes '{FILE}', which textclf writes itself; name it otherwise", part.save)
    return files


def _pickles(step: Step[Any], part: Encoder | Model, folder: Path, names: Iterable[str]) -> str:
    """Say which of the files that a part has saved is a pickle, and what to do; nothing where none is."""
    found = [f"'{name}'{what}" for name in names if (what := pickle_in(folder / name))]
    if not found:
        return ""
    more = f" (and {counted(len(found) - 1, 'other')})" if len(found) > 1 else ""
    what = f"saves {found[0]}{more}, and loading one runs whatever is in it; save arrays and JSON"
    return f"{step} {what}{step.place(part.save)}{step.offer.plugin.remedy(step.name)}"


def _save(part: Encoder | Model, folder: Path) -> None:
    with disk_failures(folder):
        part.save(folder)
