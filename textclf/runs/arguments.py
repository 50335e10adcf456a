"""Owns what a program makes an engine with, and asks of it, beside data: refused here where it makes no sense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import RecipeError, kind_of
from ..hooks.flaws import has_hooks


def plugins_of(plugins: Iterable[object]) -> tuple[object, ...]:
    """Return what was given as plugins: modules, objects with hooks, and paths of Python files."""
    given = _several("plugins", plugins)
    for i, one in enumerate(given):
        if not isinstance(one, str | Path | ModuleType) and not has_hooks(one):
            raise RecipeError(
                f"plugins[{i}] is {_what(one)}, which has no hook; give a module, an object with hooks such as "
                f"textclf_encoders(), or the path of a Python file"
            )
    return given


def _several(name: str, values: Iterable[Any], example: str = "...") -> tuple[Any, ...]:
    """Return the entries of an argument; one alone is no list of them."""
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Path | Mapping):
        return tuple(values)
    alone = repr(str(values)) if isinstance(values, str | Path) else getattr(values, "__name__", example)
    raise RecipeError(f"{name} is {_what(values)}, not a list; give {name}=[{alone}]")


def _what(value: object) -> str:
    """Say what a value is; modules, classes and functions by their names."""
    if isinstance(value, str | Path):
        return f"'{value}'"
    if isinstance(value, ModuleType):
        return f"the module '{value.__name__}'"
    if isinstance(value, type):
        return f"the class '{value.__name__}'"
    called = callable(value) and getattr(value, "__name__", "")
    return f"the function '{called}'" if called else kind_of(value)
