"""Owns comparing versions: textclf-engine's with what a plugin requires, a plugin's with what a model needs."""

from __future__ import annotations

from collections.abc import Iterable

DISTRIBUTION = "textclf-engine"


def refused(requirements: Iterable[str], version: str) -> str:
    """Return the bounds on textclf-engine that the version does not keep, or an empty string.

    A requirement of an extra says nothing about the plugin itself; one that cannot be read is kept.
    """
    # Only plugins of other distributions have such a requirement: most commands never pay for the import.
    ours = [text for text in requirements if text.strip().lower().replace("_", "-").startswith(DISTRIBUTION)]
    if not ours:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in ours:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is not None and "extra" in str(requirement.marker):
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            return str(requirement.specifier)
    return ""


def older(installed: str, saved: str) -> bool:
    """Tell whether the installed version is certainly older than the one that saved a model."""
    if installed == saved or not installed or not saved:
        return False
    from packaging.version import InvalidVersion, Version

    try:
        return Version(installed) < Version(saved)
    except InvalidVersion:
        return False


def to_install(distribution: str, version: str) -> str:
    """Return the command that installs a distribution in a version, or a newer one."""
    from packaging.version import InvalidVersion, Version

    try:
        # A specifier takes no local part, such as 1.2+cpu.
        least = f">={Version(version).public}"
    except InvalidVersion:
        return f"pip install {distribution}"
    return f"pip install '{distribution}{least}'"
