"""Owns encoders fitted with other options than those given: made once, and looked at by several clauses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import TextclfError
from ...hooks.components import Options
from .alternatives import other_values
from .subject import Subject


@dataclass(frozen=True, slots=True)
class Other:
    """An encoder fitted with one option changed; `changed` says which, and from what to what."""

    values: Options
    changed: str
    encoder: Any


def fitted_otherwise(subject: Subject) -> list[Other]:
    """Return an encoder for each option that can be changed without changing what the traits say."""
    if "otherwise" not in subject.memory:
        subject.memory["otherwise"] = [other for values in other_values(subject) for other in _fitted(subject, values)]
    others: list[Other] = subject.memory["otherwise"]
    return others


def _fitted(subject: Subject, values: Options) -> list[Other]:
    encoder = subject.component.build(values)
    if subject.component.traits_of(values) != subject.traits:
        return []
    try:
        encoder.fit(subject.dataset().train, subject.context())
    except TextclfError:
        return []  # it cannot be had here, as more layers than a network has
    now, then = values.model_dump(), subject.options.model_dump()
    changed = ", ".join(f"{name} {then[name]!r} and {now[name]!r}" for name in now if now[name] != then[name])
    return [Other(values, changed, encoder)]
