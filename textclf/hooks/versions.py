"""Owns the question whether a plugin's requirement on textclf-engine allows the version that is running."""

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
