"""Owns the plain form of events: what they hold as JSON has it, whatever numbers a plugin reckons with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set
from datetime import date
from enum import Enum
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any

from ..errors import kind_of
from .events import Event

_PLAIN = (str, int, float, bool, type(None))
_DEEPEST, _LONGEST = 20, 200


def plain(event: Event) -> tuple[Event, str]:
    """Return the event with what JSON knows in place of what it does not, and what became mere text, in words."""
    changed: dict[str, Any] = {}
    odd: list[str] = []
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if type(value) not in _PLAIN:
            before = len(odd)
            changed[field.name] = _plain(value, odd, 0)
            odd[before:] = [f"the event {type(event).__name__} holds {what} in '{field.name}'" for what in odd[before:]]
    return (dataclasses.replace(event, **changed) if changed else event), (odd[0] if odd else "")


def _plain(value: Any, odd: list[str], depth: int) -> Any:
    """Return a value as JSON has it; the kind of what is none, and becomes text, goes into `odd`."""
    if type(value) in _PLAIN:
        return value
    try:
        if depth <= _DEEPEST:
            return _taken_apart(value, odd, depth + 1)
    except Exception:  # noqa: BLE001 - a plugin's own class may raise anything, and this is no more than a note
        pass
    odd.append(kind_of(value))
    try:
        return str(value)[:_LONGEST]
    except Exception:  # noqa: BLE001 - as above
        return kind_of(value)


def _taken_apart(value: Any, odd: list[str], depth: int) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, odd, depth)
    if isinstance(value, Mapping):
        return {str(key): _plain(one, odd, depth) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, odd, depth) for one in value]
    if isinstance(value, Set):
        return sorted((_plain(one, odd, depth) for one in value), key=str)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name), odd, depth) for field in dataclasses.fields(value)}
    if isinstance(value, (str, PurePath, date)):
        return str(value)
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    # Arrays and tensors, and the numbers of theirs that are no `Real`.
    return _plain(value.tolist(), odd, depth)
