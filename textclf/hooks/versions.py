"""Owns comparing versions: textclf-engine's with what a plugin requires, a plugin's with what a model needs."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable

DISTRIBUTION = "textclf-engine"
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
_BOUND = re.compile(r"\s*(>=|<=|<|>)\s*(\d+(?:\.\d+)*)\s*")
_HOLDS: dict[str, Callable[[list[int], list[int]], bool]] = {
    ">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


def refused(requirements: Iterable[str], version: str) -> str:
    """Return the bounds on textclf-engine that the version does not keep, or an empty string.

    A requirement of an extra says nothing about the plugin itself; one that cannot be read is kept.
    """
    ours = [text for text in requirements if text.strip().lower().replace("_", "-").startswith(DISTRIBUTION)]
    # The bounds that nearly all have are read here: importing packaging takes as long as ten plugins do.
    ours = [text for text in ours if not _plainly_kept(text, version)]
    if not ours:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in ours:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        other = requirement.name.lower().replace("_", "-") != DISTRIBUTION
        if other or (requirement.marker is not None and "extra" in str(requirement.marker)):
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            return str(requirement.specifier)
    return ""


def _plainly_kept(requirement: str, version: str) -> bool:
    """Tell whether a requirement is nothing but bounds of plain numbers, as ">=0.1,<1", and the version keeps them."""
    bounds = requirement.strip()[len(DISTRIBUTION) :]
    found = [_BOUND.fullmatch(bound) for bound in bounds.split(",")]
    if not _NUMBERS.fullmatch(version):
        return False
    return all(match and _HOLDS[match[1]](*_padded(version, match[2])) for match in found)


def _padded(one: str, other: str) -> tuple[list[int], list[int]]:
    """Return the parts of two plain versions, equally many: 1 is 1.0."""
    parts = [[int(part) for part in version.split(".")] for version in (one, other)]
    longest = max(map(len, parts))
    first, second = (part + [0] * (longest - len(part)) for part in parts)
    return first, second


def older(installed: str, saved: str) -> bool:
    """Tell whether the installed version is certainly older than the one that saved a model."""
    if installed == saved or not installed or not saved:
        return False
    from packaging.version import InvalidVersion, Version

    try:
        return Version(installed) < Version(saved)
    except InvalidVersion:
        return False


def to_install(distribution: str, version: str, how: str = ">=") -> str:
    """Return the command that installs a distribution in a version, or a newer one; how: "==" for that one alone."""
    from packaging.version import InvalidVersion, Version

    try:
        # A specifier takes no local part, such as 1.2+cpu.
        bound = f"{how}{Version(version).public}"
    except InvalidVersion:
        return f"pip install {distribution}"
    return f"pip install '{distribution}{bound}'"
