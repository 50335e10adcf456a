"""Owns options at the ends of their bounds, alone and two by two, where what does not go together shows first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice, permutations
from typing import Any

from ...plugin.options import options_as_json
from .schemas import schema_of
from .subject import Subject

# How far an end is from nothing where no bound says so.
_OPEN = 64
# Of more than a dozen numbers not all pairs are tried.
_MOST = 300


@dataclass(frozen=True, slots=True)
class Number:
    """An option that is one number: its type, the least and the greatest it may be, and what it is."""

    name: str
    type: str
    low: Any
    high: Any
    given: Any

    def within(self, reach: int) -> Number:
        """Return it with ends no farther from nothing than `reach`, or than what is given."""
        far = max(reach, abs(self.given or 0))
        return Number(self.name, self.type, max(self.low, -far), max(self.low, min(self.high, far)), self.given)


def numbers(subject: Subject) -> list[Number]:
    """Return the options that are one number each, none of them a choice."""
    schema = schema_of(subject.component.options)
    given = options_as_json(subject.options)
    found = ((name, _number(field, schema.get("$defs", {}))) for name, field in schema.get("properties", {}).items())
    return [_ends(name, part, given.get(name)) for name, part in found if part is not None]


def at_ends(subject: Subject, reach: int | None = None) -> Iterator[dict[str, Any]]:
    """Give changes of the options: each number at either end, and every two of a type at opposite ends.

    reach: no number is farther from nothing, unless it is given or its bounds begin there: what is built may be large.
    """
    known = [number if reach is None else number.within(reach) for number in numbers(subject)]
    alone = ({number.name: end} for number in known for end in (number.low, number.high))
    pairs = ((one, other) for one, other in permutations(known, 2) if one.type == other.type)
    opposite = ({one.name: one.high, other.name: other.low} for one, other in pairs)
    yield from islice(chain(alone, opposite), _MOST)


def crossed(subject: Subject) -> Iterator[dict[str, Any]]:
    """Give changes that put a number just above another one that has the same bounds and is not below it."""
    for one, other in permutations(numbers(subject), 2):
        bounds = [(number.type, number.low, number.high) for number in (one, other)]
        if bounds[0] != bounds[1] or None in (one.given, other.given) or one.given > other.given:
            continue
        above = other.given + 1 if one.type == "integer" else (other.given + one.high) / 2
        if other.given < above <= min(one.high, _OPEN):
            yield {one.name: above}


def _number(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of the one number that a field is, if it is one; null may stand in its place."""
    if "$ref" in field:
        field = definitions[field["$ref"].rsplit("/", 1)[-1]]
    branches = [*field.get("anyOf", ()), *field.get("oneOf", ())]
    if branches:
        rest = [branch for branch in branches if branch.get("type") != "null"]
        return _number(rest[0], definitions) if len(rest) == 1 else None
    return field if field.get("type") in ("integer", "number") and "enum" not in field else None


def _ends(name: str, part: Mapping[str, Any], given: Any) -> Number:
    return Number(name, part["type"], _end(part, given, lowest=True), _end(part, given), given)


def _end(part: Mapping[str, Any], given: Any, *, lowest: bool = False) -> Any:
    """Return the least or the greatest number a schema allows, and near its bound where that is left out."""
    bound, away = ("minimum", 1) if lowest else ("maximum", -1)
    beyond = f"exclusive{bound.capitalize()}"
    if bound in part:
        return int(part[bound]) if part["type"] == "integer" else part[bound]
    if beyond in part:
        near = part[beyond] + away
        return int(near) if part["type"] == "integer" else (part[beyond] + (near if given is None else given)) / 2
    return (given or 0) - away * _OPEN
