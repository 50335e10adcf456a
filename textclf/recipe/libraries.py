"""Owns the libraries that components need: which of them are absent, and what to do where one cannot be imported."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from ..hooks import loose
from ..hooks.components import Component, Kind
from ..hooks.registry import Offer


def lacking_libraries(component: Component[Any, Any]) -> list[str]:
    """Return those of the modules a component needs that cannot be found; nothing is imported to see."""
    return [name for name in component.needs if not _is_there(name)]


def absence(kind: Kind, component: Component[Any, Any], lacking: list[str]) -> str:
    """Say of a component which libraries it lacks, and what to type."""
    verb = "which is" if len(lacking) == 1 else "which are"
    what = f"{kind} '{component.name}' needs {' and '.join(lacking)}, {verb} not installed"
    return f"{what}: {pip_command(component, lacking)}"


def pip_command(component: Component[Any, Any], lacking: list[str]) -> str:
    wanted = component.install.split() or [name.partition(".")[0] for name in lacking]
    return "pip install " + " ".join(shlex.quote(word) for word in wanted)


def _is_there(name: str) -> bool:
    top, *inner = name.split(".")
    if name in sys.modules:
        return sys.modules[name] is not None
    try:
        spec = importlib.util.find_spec(top)
        # `find_spec` of a dotted name would import its parents.
        for depth, _ in enumerate(inner, start=2):
            if spec is None or spec.submodule_search_locations is None:
                return False
            spec = PathFinder.find_spec(".".join(name.split(".")[:depth]), list(spec.submodule_search_locations))
    except (ImportError, ValueError):
        return False
    return spec is not None


def other_version(offer: Offer, error: BaseException) -> str:
    """Say of what is not in a library, though that is there, where it may be; nothing of the plugin or of Python."""
    top = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    own = offer.plugin.module.partition(".")[0]
    return f"; another version of {top} may have it" if top and top not in (own, *sys.stdlib_module_names) else ""


def way_out(offer: Offer, error: ImportError) -> str:
    """Say what to do where a component's import fails; nothing where that is its own fault, as a misspelt name is."""
    if offer.plugin.file and (neighbour := loose.neighbour(error, Path(offer.plugin.file))):
        return neighbour
    component, lacking = offer.component, lacking_libraries(offer.component)
    wanted = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    absent = "" if not wanted or _is_there(wanted) else wanted
    # The name of an import is not always that of what brings it.
    brings = f"install the library that brings '{absent}'"
    # Python names the module of whatever it cannot import; a library that lacks another one says so in its own words.
    if lacking or (component.install and (absent or not error.name)):
        other = f", or {brings}" if absent and not lacking else ""
        return f"; {pip_command(component, lacking)}{other}"
    if not absent:
        return ""
    named = "where the component's `needs` named it, that would be said before a run"
    return f"; {brings}, most often by `pip install {absent}`; {named}"
