"""Recipes: found by name or path, parsed, with overrides applied and a position for each value."""

from __future__ import annotations

import math
import numbers
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import KeyPath, Location, Problem, RecipeError, closest, listing, with_article
from ..plugin.options import UnknownKey
from ..plugin.registry import Registry, find_recipe
from . import overrides as flags
from .overrides import Override
from .settings import Settings, read_settings
from .yaml12 import MAX_BYTES, MAX_DEPTH, Document, load, nowhere

_BUNDLED = re.compile(r"(?:recipes/)?(?P<file>[^/]+)\.yaml|(?P<stem>[^/]+)")


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a recipe, and the name that messages show."""

    name: str
    text: str | bytes


def locate(reference: str | Path, registry: Registry) -> Source:
    """Return an existing file; else, for STEM, STEM.yaml and recipes/STEM.yaml only, the bundled recipe of that stem.

    A RecipeError says what was meant, or why the file is none; a PluginError where two plugins offer the stem.
    """
    name = os.fspath(reference)
    status = _status(name)
    if status is not None:
        return Source(name, _read(name, status))
    match = _BUNDLED.fullmatch(name)
    stem = (match["file"] or match["stem"]) if match else ""
    if stem in registry.recipes:
        return Source(f"recipes/{stem}.yaml", find_recipe(registry.recipes, stem).read_bytes())
    raise _refusal(name, f"no such file{_suggestion(name, registry)}")


def _status(name: str) -> os.stat_result | None:
    try:
        return Path(name).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _refusal(name.replace("\0", "\\0"), f"cannot be read: {_reason(error)}") from None


def _read(name: str, status: os.stat_result) -> bytes:
    """Read a regular file of bounded size; anything else, a FIFO or a device, could block or never end."""
    if stat.S_ISDIR(status.st_mode):
        raise _refusal(name, "is a folder; name the recipe file in it")
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(name, "is not a regular file, but a pipe, a socket or a device")
    if status.st_size > MAX_BYTES:
        raise _refusal(name, f"is {status.st_size:,} bytes large; a recipe has at most {MAX_BYTES:,}")
    try:
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refusal(name, f"cannot be read: {_reason(error)}") from None


def _suggestion(name: str, registry: Registry) -> str:
    """Say which file beside it, or which bundled recipe, was most likely meant."""
    path = Path(name)
    try:
        beside = [p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml")]
    except OSError:
        beside = []
    near = closest(path.name, beside)
    if near:
        return f"; did you mean '{path.with_name(near)}'?"
    bundled = sorted(registry.recipes)
    near = closest(path.stem, bundled)
    meant = f"; did you mean the bundled recipe '{near}'?" if near else ""
    return f"{meant} (bundled recipes: {listing(bundled) or 'none'}){registry.blocked_note()}"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def _refusal(name: str, message: str) -> RecipeError:
    return RecipeError(f"{name}: {message}")


MAPPING = "recipe"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What somebody wants done: plain values, validated settings, and what was wrong with them so far.

    values: with overrides applied and a name. settings: without the options of components, and without what is wrong.
    unreadable: paths of values that already have a problem and mean nothing.
    """

    source: str
    values: dict[str, Any]
    settings: Settings
    problems: tuple[Problem, ...] = ()
    unreadable: frozenset[KeyPath] = frozenset()
    document: Document | None = field(default=None, repr=False)
    overrides: tuple[Override, ...] = ()

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
        """Return the recipe that a mapping of plain values is; its problems have a path but no position."""
        problems: list[Problem] = []
        plain = _plain(values, (), problems)
        if not isinstance(plain, dict):
            raise RecipeError("a recipe is a mapping, a file, or the name of a bundled recipe")
        unreadable = frozenset(problem.path for problem in problems)
        return _recipe(MAPPING, plain, problems, unreadable, None, overrides)

    def locate(self, path: KeyPath, *, key: bool = False) -> Location | None:
        """Return where the value at `path` stands, or its key; of what is absent, where the nearest above it stands.

        A value that came with a flag stands in the flag; None for a recipe that came as a mapping.
        """
        for override in reversed(self.overrides):
            if path[: len(override.path)] == override.path:
                return override.place
        if self.document is None:
            return None
        for length in range(len(path), 0, -1):
            above = length < len(path) and not self.document.is_scalar(path[:length])
            place = self.document.locate(path[:length], key=key or above)
            made = (override.place for override in self.overrides if override.path[:length] == path[:length])
            place = place or next(made, None)
            if place is not None:
                return place
        return nowhere(self.source)

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems with positions, in the file's order, without those of values that could not be read."""
        placed = [p if p.location else replace(p, location=self._place(p)) for p in problems]
        heard = [p for p in placed if p in self.problems or not self._is_unreadable(p.path)]
        return sorted(dict.fromkeys(heard), key=self._order)

    def _place(self, problem: Problem) -> Location | None:
        return self.locate(problem.path, key=isinstance(problem, UnknownKey))

    def _is_unreadable(self, path: KeyPath) -> bool:
        return any(path[: len(unread)] == unread for unread in self.unreadable)

    def _order(self, problem: Problem) -> tuple[bool, int, int]:
        place = problem.location
        return (place is None or place.source != self.source, place.line if place else 0, place.column if place else 0)


def parse(source: Source, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe's text and apply `--set` overrides; a RecipeError where the text cannot be read to its end.

    All else that is wrong is collected in `problems`, for `make_plan` to raise with what it finds.
    """
    document = load(source.text, source.name)
    return _recipe(source.name, document.values, document.problems, document.unreadable, document, overrides)


def _recipe(
    source: str,
    values: dict[str, Any],
    problems: Iterable[Problem],
    unreadable: frozenset[KeyPath],
    document: Document | None,
    overrides: Sequence[str],
) -> Recipe:
    wanted, malformed = flags.read(overrides)
    values, done, nowhere_to = flags.apply(values, wanted)
    if values.get("name") is None and ("name",) not in unreadable:
        values["name"] = _name_of(source)
    settings, wrong = read_settings(values)
    unreadable -= {override.path for override in done}
    recipe = Recipe(source, values, settings, (), unreadable, document, tuple(done))
    found = (*problems, *malformed, *nowhere_to)
    return replace(recipe, problems=tuple(found) + tuple(p for p in recipe.located(wrong) if p not in found))


def _name_of(source: str) -> str:
    """Return the name of a recipe that has none: its file's, as far as a folder can be called so."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(source).stem)[:100].lstrip(".-")
    return stem or "recipe"


def _plain(value: Any, path: KeyPath, problems: list[Problem]) -> Any:
    """Return a value as JSON would hold it; a problem for what it could not."""
    if len(path) > MAX_DEPTH:
        problems.append(Problem(f"nests more than {MAX_DEPTH} levels deep", path[:3]))
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, (*path, str(key)), problems) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, (*path, index), problems) for index, entry in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, bool | int):
        return value
    message = _unfit(value)
    if message:
        problems.append(Problem(message, path))
        return None
    if isinstance(value, str):
        return str(value)
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _unfit(value: Any) -> str:
    """Say why a value cannot stand in a recipe, or nothing."""
    if isinstance(value, str):
        half = any("\ud800" <= character <= "\udfff" for character in value)
        return "contains half of a surrogate pair, which is no character" if half else ""
    if isinstance(value, numbers.Real):
        return "" if math.isfinite(value) else f"must be a finite number, not {float(value)}"
    return f"{with_article(type(value).__name__)} is no value of a recipe"
