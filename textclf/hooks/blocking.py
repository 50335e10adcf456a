"""Owns TEXTCLF_BLOCK: which installed plugins are kept out, and which of its names is of none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from ..errors import did_you_mean
from .registry import BLOCK, Plugin


def asked_for() -> tuple[str, ...]:
    """Return the names in the variable, which are separated by commas."""
    return tuple(name.strip() for name in os.environ.get(BLOCK, "").split(",") if name.strip())


def blocks(name: str, plugin: Plugin) -> bool:
    """Tell whether the name is that of the plugin, of its module or of its distribution."""
    return _canonical(name) in map(_canonical, _names(plugin))


def unused(names: Sequence[str], installed: Iterable[Plugin]) -> list[str]:
    """Say of each name that no installed plugin is called so."""
    plugins = list(installed)
    known = sorted({name for plugin in plugins for name in _names(plugin) if name})
    return [
        f"{BLOCK} names '{name}', and no installed plugin is called so{did_you_mean(name, known)}"
        for name in names
        if not any(blocks(name, plugin) for plugin in plugins)
    ]


def _names(plugin: Plugin) -> tuple[str, ...]:
    return plugin.name, plugin.module.partition(":")[0], plugin.distribution


def _canonical(name: str) -> str:
    """Return a name as pip compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()
