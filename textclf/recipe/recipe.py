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

    A RecipeError where there is neither, or the file is no recipe; a PluginError where two plugins offer the stem.
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
    """Return a hint at the file beside it, or the bundled recipe, that was most likely meant."""
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


@dataclass(frozen=True, slots=True)
class Recipe:
    """One experiment: plain values, validated settings, and the problems found so far.

    values: with overrides applied and a name. settings: without the options of components, and without wrong values.
    unreadable: paths of values that have a problem already and are read as None.
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
        """Make a recipe of a mapping of plain values; its problems have a path but no position."""
        problems: list[Problem] = []
        plain = _as_json(values, (), problems)
        if not isinstance(plain, dict):
            raise RecipeError("a recipe is a mapping, a file, or the name of a bundled recipe")
        unreadable = frozenset(problem.path for problem in problems)
        return _recipe("recipe", plain, problems, unreadable, None, overrides)

    def locate(self, path: KeyPath, *, key: bool = False) -> Location | None:
        """Return where the value at `path` stands, or its key; for an absent value, where the nearest above it stands.

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
            by_flag = (override.place for override in self.overrides if override.path[:length] == path[:length])
            place = place or next(by_flag, None)
            if place is not None:
                return place
        return nowhere(self.source)

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems with positions, in the order of the file.

        A value that could not be read has one problem already: what follows from it is left out.
        """

        def follows(problem: Problem) -> bool:
            return any(problem.path[: len(unread)] == unread for unread in self.unreadable)

        def order(problem: Problem) -> tuple[bool, int, int]:
            place = problem.location or nowhere("")
            return place.source != self.source, place.line, place.column

        located = [
            p if p.location else replace(p, location=self.locate(p.path, key=isinstance(p, UnknownKey)))
            for p in problems
        ]
        return sorted(dict.fromkeys(p for p in located if p in self.problems or not follows(p)), key=order)


def parse(source: Source, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe's text and apply `--set` overrides; a RecipeError where the text cannot be read to its end.

    All other problems are collected in `problems`: `make_plan` raises them with its own.
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
    values, done, misdirected = flags.apply(values, wanted)
    if values.get("name") is None and ("name",) not in unreadable:
        values["name"] = _name_of(source)
    settings, wrong = read_settings(values)
    unreadable -= {override.path for override in done}
    recipe = Recipe(source, values, settings, (), unreadable, document, tuple(done))
    found = (*problems, *malformed, *misdirected)
    return replace(recipe, problems=tuple(found) + tuple(p for p in recipe.located(wrong) if p not in found))


def _name_of(source: str) -> str:
    """Return the name of a recipe that has none: that of its file, without what a folder cannot be called."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(source).stem)[:100].lstrip(".-")
    return stem or "recipe"


def _as_json(value: Any, path: KeyPath, problems: list[Problem]) -> Any:
    """Return a value as JSON holds it; a problem for what JSON cannot hold."""
    if len(path) > MAX_DEPTH:
        problems.append(Problem(f"nests more than {MAX_DEPTH} levels deep", path[:3]))
        return None
    if isinstance(value, Mapping):
        return {str(key): _as_json(entry, (*path, str(key)), problems) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(entry, (*path, index), problems) for index, entry in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, bool | int):
        return value
    message = _not_json(value)
    if message:
        problems.append(Problem(message, path))
        return None
    if isinstance(value, str):
        return str(value)
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _not_json(value: Any) -> str:
    """Say why a value cannot stand in a recipe; "" where it can."""
    if isinstance(value, str):
        half = any("\ud800" <= character <= "\udfff" for character in value)
        return "contains half of a surrogate pair, which is no character" if half else ""
    if isinstance(value, numbers.Real):
        return "" if math.isfinite(value) else f"must be a finite number, not {float(value)}"
    return f"{with_article(type(value).__name__)} is no value of a recipe"
