"""The terminal: answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from typing import Any, TextIO

from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from .format import plain_lines

_WIDEST = 10_000  # columns; a table takes no more than it needs


class Terminal:
    """Where a command writes. `as_json`: stdout carries exactly one JSON document."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json, self.answered = as_json, False
        self.out: TextIO = sys.stdout
        self.answers = console(self.out)
        self.notes = console(sys.stderr)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Keep stdout for answers: whatever plugins and libraries print in this block, also from C, goes to stderr."""
        with ExitStack() as stack:
            if _descriptor(sys.stdout) == 1 and (errors := _descriptor(sys.stderr)) is not None:
                stack.enter_context(self._own_descriptor(errors))
            stack.enter_context(redirect_stdout(sys.stderr))
            yield
            self.out.flush()

    @contextmanager
    def _own_descriptor(self, errors: int) -> Iterator[None]:
        standard = sys.stdout
        standard.flush()
        private = os.dup(1)
        os.dup2(errors, 1)
        self.out = open(private, "w", encoding=standard.encoding, errors="backslashreplace")  # noqa: SIM115, PTH123
        self.answers = console(self.out)
        try:
            yield
        finally:
            os.dup2(private, 1)
            try:
                self.out.close()
            finally:
                self.out = standard

    def answer(self, *parts: RenderableType) -> None:
        """Print renderables to stdout; a string is printed literally, unwrapped."""
        _print(self.answers, parts)

    def note(self, *parts: RenderableType) -> None:
        """Print renderables to stderr."""
        _print(self.notes, parts)

    def piped(self) -> bool:
        """Tell whether answers go to a program or a file, where nothing need be cut to a width."""
        return not self.out.isatty()

    def document(self, value: Any) -> None:
        """Print the one JSON document of `--json`."""
        self.answered = True
        ascii_only = not (self.out.encoding or "utf-8").lower().startswith("utf")
        self.out.write(json.dumps(_encodable(value), indent=2, ensure_ascii=ascii_only, allow_nan=False) + "\n")


def console(stream: TextIO) -> Console:
    """Return a console that neither interprets nor decorates its input."""
    # A pipe has no width; 100 columns hold the report's tables. COLUMNS, where set, decides.
    width = None if stream.isatty() or "COLUMNS" in os.environ else 100
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def new_table(*headings: str, right: int = 0, folded: bool = False) -> Table:
    """Return a table without lines; its last `right` columns are numbers, or its last one is folded to fit."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for left, heading in enumerate(headings, 1):
        justify: JustifyMethod = "right" if left > len(headings) - right else "left"
        # Headings may be labels and metric names: as Text they are not read as markup.
        table.add_column(Text(heading), justify=justify, no_wrap=not folded or left < len(headings))
    return table


def whole(table: RenderableType) -> str:
    """Return a table as lines that are as wide as its content."""
    wide = Console(file=StringIO(), width=_WIDEST, markup=False, emoji=False, highlight=False, color_system=None)
    with wide.capture() as drawn:
        wide.print(table)
    return "\n".join(line.rstrip() for line in drawn.get().splitlines())


def _print(target: Console, parts: tuple[RenderableType, ...]) -> None:
    for part in parts:
        if isinstance(part, str):
            target.print(Text(plain_lines(part)), soft_wrap=True)
            continue
        with target.capture() as drawn:
            target.print(part)
        # Tables fill their last column with spaces, which a file or a narrow window has no use for.
        target.file.write("".join(line.rstrip() + "\n" for line in drawn.get().splitlines()))


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def _encodable(value: Any) -> Any:
    """Return the value with lone surrogates, which UTF-8 cannot carry, replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(str(k)): _encodable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(v) for v in value]
    return value
