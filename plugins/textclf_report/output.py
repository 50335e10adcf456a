"""The output `html`: one page in the run folder."""

from __future__ import annotations

from pathlib import Path

from textclf import Finished

from .page import render


class HtmlReport:
    def __init__(self, file: str, mistakes: int) -> None:
        self.file, self.mistakes = file, mistakes

    def write(self, finished: Finished, folder: Path) -> None:
        """Write the page into the folder."""
        page = render(finished, finished.record, self.mistakes)
        (folder / self.file).write_text(page, encoding="utf-8", newline="\n")
