"""Every error a user can meet, what it says and the exit code it ends with.

    TextclfError
    ├── RecipeError        2   the recipe, an override or an argument is wrong; carries every Problem at once
    ├── DataError          3   the data cannot be read or does not say what it should
    ├── DownloadError      4   network, download, integrity
    ├── PluginError        5   a plugin is missing, broken or breaks its contract
    ├── ArtefactError      6   a checkpoint, model or run folder is not what it claims to be
    ├── ResourceError      7   memory, disk, no CUDA, or another process holds what is asked for
    ├── DivergedError      8   training diverged
    ├── GateError          8   the run is kept, but a gate of the recipe is not met
    └── Stopped           75   interrupted by a signal, can be resumed
        └── Cancelled    130   interrupted by Ctrl-C, can be resumed

Exit code 0 is success and 1 is a fault of textclf itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Location:
    """Where something stands in a text: 1-based line and column, and the line itself for the caret.

    Line 0 is a source without lines, such as a command-line flag, or a file as a whole.
    """

    source: str
    line: int
    column: int
    text: str = ""
    length: int = 1

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    def excerpt(self) -> str:
        """Return the source line with a caret under what is meant, or nothing where the line is unknown."""
        if not self.text:
            return ""
        number = f"{self.line:5d} | "
        # A tab before the caret must stay a tab, or the caret stands in the wrong place.
        before = "".join("\t" if c == "\t" else " " for c in self.text[: self.column - 1])
        length = max(1, min(self.length, len(self.text) - self.column + 1))
        return f"{number}{self.text}\n{' ' * (len(number) - 2)}| {before}{'^' * length}"


# What a Problem may end a command with: nothing, as a warning, or the code of an error that tells of a cause outside.
PROBLEM_CODES = (0, *range(2, 9))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a recipe, and where.

    `path` leads to it from the top of the recipe, or, from `Component.check`, from the component's own options:
    `("batch_size",)`. `location` is filled in by the core. One of exit code 0 is a warning.
    """

    message: str
    path: tuple[str | int, ...] = ()
    location: Location | None = None
    exit_code: int = 2

    def under(self, *prefix: str | int) -> Problem:
        return replace(self, path=(*prefix, *self.path))

    def __str__(self) -> str:
        dotted = ".".join(str(part) for part in self.path)
        words = [str(self.location)] if self.location else []
        words += [dotted] if dotted else []
        first = ": ".join([*words, self.message])
        excerpt = self.location.excerpt() if self.location else ""
        return f"{first}\n{excerpt}" if excerpt else first


class TextclfError(Exception):
    """The root of all errors that have a cause outside textclf."""

    exit_code = 1


class RecipeError(TextclfError):
    """Everything that is wrong with a recipe, all at once; its text ends with their count."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = (Problem(problems),) if isinstance(problems, str) else tuple(problems)
        # A missing library or broken plugin (5) is only reported where the recipe itself is valid.
        self.exit_code = min((p.exit_code for p in self.problems), default=2)
        lines = [str(p) for p in self.problems]
        if not isinstance(problems, str):
            lines.append(f"{len(lines)} {'problem' if len(lines) == 1 else 'problems'}; nothing was run")
        super().__init__("\n".join(lines))


class DataError(TextclfError):
    """The data cannot be read, or does not say what it should."""

    exit_code = 3


class DownloadError(TextclfError):
    """A file could not be fetched whole."""

    exit_code = 4


class PluginError(TextclfError):
    """A plugin is missing, broken or breaks its contract; the message names it."""

    exit_code = 5


class ArtefactError(TextclfError):
    """A checkpoint, a model or a run folder is not what it claims to be."""

    exit_code = 6


class ResourceError(TextclfError):
    """The machine has not enough of something: memory, disk, a GPU; or another process holds what is asked for."""

    exit_code = 7


class DivergedError(TextclfError):
    """Training produced numbers that are no numbers."""

    exit_code = 8


class GateError(TextclfError):
    """A finished run whose interval does not clear a gate of its recipe."""

    exit_code = 8


class Stopped(TextclfError):  # noqa: N818 - it is an outcome, not a fault
    """A run was asked to stop, saved its state and can be resumed."""

    exit_code = 75

    def __init__(self, message: str = "stopped before the end") -> None:
        super().__init__(message)


class Cancelled(Stopped):
    """As `Stopped`, by Ctrl-C."""

    exit_code = 130


def closest(word: str, known: Iterable[str], *, nearness: float = 0.6) -> str | None:
    """Return the known word that was most likely meant, or None where none is near; nearness: from 0 to 1, the same."""
    candidates = list(known)
    by_case = {k.casefold(): k for k in candidates}
    near = difflib.get_close_matches(word.casefold(), by_case, n=1, cutoff=nearness)
    return by_case[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?", or an empty string where nothing is near."""
    near = closest(word, known)
    return f"; did you mean '{near}'?" if near else ""


def listing(words: Sequence[str], limit: int = 12) -> str:
    """Return words joined by commas, cut with a count where there are many."""
    rest = len(words) - limit
    return ", ".join(words[:limit]) + (f" and {rest} more" if rest > 0 else "")


def counted(number: int, noun: str) -> str:
    """Return "1 text", "1,204 texts"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def with_article(noun: str) -> str:
    """Return "a recipe", "an encoder"."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def type_name(value: object) -> str:
    """Say in words what a value is: "nothing", "a dict", "an int"."""
    return "nothing" if value is None else with_article(type(value).__name__)


def error_text(error: BaseException) -> str:
    """Return "ValueError: no", also of an exception that cannot say what it is."""
    try:
        words = _of_values(error) or str(error)
    except Exception:  # noqa: BLE001 - whoever raises it may have written its `__str__`
        words = ""
    return f"{type(error).__name__}: {words}".rstrip(": ")


def _of_values(error: Any) -> str:
    """Return in one line what pydantic says in several and with an address, or nothing of any other exception."""
    if not type(error).__module__.startswith("pydantic"):
        return ""
    if not hasattr(error, "errors"):
        return str(getattr(error, "message", ""))
    found = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors(include_url=False)]
    return f"{error.title}: " + "; ".join(f"{place}: {words}" if place else words for place, words in found)


KeyPath: TypeAlias = "tuple[str | int, ...]"
