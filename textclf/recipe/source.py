"""Owns the way from what a person calls a recipe to its bytes: a file, or the recipe of that stem in a plugin."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from ..errors import RecipeError, closest, listing
from ..plugin.registry import Registry, check_recipes
from .yaml12 import MAX_BYTES

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
        return Source(f"recipes/{stem}.yaml", check_recipes(registry.recipes, stem).read_bytes())
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
    return f"{meant} (bundled recipes: {listing(bundled) or 'none'}){registry.kept_out()}"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def _refusal(name: str, message: str) -> RecipeError:
    return RecipeError(f"{name}: {message}")
