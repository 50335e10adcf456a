"""Owns the question whether a plugin's requirement on textclf-engine allows the version that is running."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import zip_longest

DISTRIBUTION = "textclf-engine"
_REQUIREMENT = re.compile(r"^\s*textclf[-_.]engine\s*(?:\[[^]]*])?\s*\(?([^;)]*)", re.IGNORECASE)
_BOUND = re.compile(r"^\s*(~=|==|!=|<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?")
_COMPARE: dict[str, Callable[[int], bool]] = {
    ">=": lambda order: order >= 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    "<": lambda order: order < 0,
    "==": lambda order: order == 0,
    "!=": lambda order: order != 0,
}


def refused(requirements: Iterable[str], version: str) -> str:
    """Return the bounds on textclf-engine that the version does not keep, or an empty string."""
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        # A requirement of an extra says nothing about the plugin itself.
        if match and "extra" not in requirement.partition(";")[2]:
            bounds = match[1].strip()
            if not all(_keeps(version, bound) for bound in bounds.split(",")):
                return bounds
    return ""


def _keeps(version: str, bound: str) -> bool:
    """Tell whether the version keeps one bound; one that cannot be read is kept."""
    match = _BOUND.match(bound)
    if match is None:
        return True
    sign, limit = match[1], _numbers(match[2])
    mine = _numbers(version)
    if sign == "~=":
        return _order(mine, limit) >= 0 and mine[: len(limit) - 1] == limit[:-1]
    if match[3]:
        mine = mine[: len(limit)]
    return _COMPARE[sign](_order(mine, limit))


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"[0-9.]*", version)
    return tuple(int(part) for part in (leading[0] if leading else "").split(".") if part)


def _order(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Compare versions: negative, zero or positive; missing parts count as 0."""
    for mine, theirs in zip_longest(one, other, fillvalue=0):
        if mine != theirs:
            return mine - theirs
    return 0
