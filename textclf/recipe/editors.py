"""Owns the schema file beside recipes: its name, the comment by which a recipe names it, and how it is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..errors import RecipeError
from ..files import disk_errors, write_text
from ..plugin.registry import Registry
from .schema import TITLE, json_schema

FILE = "textclf.schema.json"
_MODELINE = re.compile(r"#\s+(?:yaml-language-server\s*:.*)?\$schema[:=]\s*(?P<schema>\S+)")  # as the server reads it


def modeline(schema: str) -> str:
    """Return the comment by which a recipe names its schema, a path relative to the recipe."""
    return f"# yaml-language-server: $schema={schema}"


def is_modeline(line: str) -> bool:
    """Tell whether a line speaks to the editor, and not to the reader."""
    return _MODELINE.match(line) is not None


def names_schema(recipe: str) -> bool:
    """Tell whether a recipe names the schema file beside it."""
    found = map(_MODELINE.match, recipe.splitlines())
    return any(each["schema"] in (FILE, f"./{FILE}") for each in found if each)


def is_schema(path: Path) -> bool:
    """Tell whether a file is a schema that textclf wrote, so that it may be written anew."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return TITLE.encode() in file.read(1000)
    except OSError:
        return False


def write_schema(target: Path, registry: Registry) -> None:
    """Write the schema, or replace an older one; a RecipeError where something else stands there."""
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        taken = target.exists() or target.is_symlink()
    if taken and not is_schema(target):
        raise RecipeError(f"{target} exists and is no schema of textclf; move it away or name another file")
    write_text(target, _text(registry))


def stale_schema(recipe: Path, registry: Registry) -> Path | None:
    """Return the schema beside a recipe where it is not that of the plugins installed now, and an editor goes wrong."""
    beside = recipe.parent / FILE
    if not recipe.is_file() or not is_schema(beside):
        return None
    try:
        return None if beside.read_bytes() == _text(registry).encode("utf-8", "replace") else beside
    except OSError:
        return None


def _text(registry: Registry) -> str:
    return json.dumps(json_schema(registry), indent=2, ensure_ascii=False) + "\n"
