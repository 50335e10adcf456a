"""The output `html`: one page in the run folder, complete or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textclf import Finished, ResourceError

from .page import render

_RECORD = "record.json"


class HtmlReport:
    def __init__(self, file: str, mistakes: int) -> None:
        self.file, self.mistakes = file, mistakes

    def write(self, finished: Finished, folder: Path) -> None:
        """Write the page; a ResourceError names the file where that cannot be done."""
        page = render(finished, _record(folder), self.mistakes)
        path = folder / self.file
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_text(page, encoding="utf-8", newline="\n")
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ResourceError(f"{path} cannot be written: {error.strerror or error}") from error


def _record(folder: Path) -> Mapping[str, Any]:
    """Return the record of the run: its time, machine and versions; {} where there is none."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
