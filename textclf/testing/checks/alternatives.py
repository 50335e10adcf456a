"""Owns other options than those given, as far as their schema tells which there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...plugin.component import Options
from ...plugin.options import options_as_json
from .schemas import schema_of
from .subject import Subject, read_options


def parts(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give a field's schema and all that it is made of."""
    if "$ref" in field:
        field = definitions[field["$ref"].rsplit("/", 1)[-1]]
    yield field
    inner = [*field.get("anyOf", ()), *field.get("oneOf", ()), *field.get("prefixItems", ())]
    inner += [field["items"]] if isinstance(field.get("items"), dict) else []
    for part in inner:
        yield from parts(part, definitions)


def alternatives(field: Mapping[str, Any], definitions: Mapping[str, Any], given: Any) -> Iterator[Any]:
    """Give values that a field may have instead of the given one: another choice, a number beside it, the opposite."""
    if isinstance(given, bool):
        yield not given
        return
    for part in parts(field, definitions):
        yield from (choice for choice in part.get("enum", ()) if choice != given)
    if isinstance(given, int):
        yield from (given + 1, given - 1)
    if isinstance(given, float):
        yield from (given / 2, given * 1.5)


def other_values(subject: Subject) -> Iterator[Options]:
    """Give the options with one of them changed, for each that can be, where the result is valid and has no problem."""
    schema = schema_of(subject.component.options)
    given = options_as_json(subject.options)
    for name, field in schema.get("properties", {}).items():
        for value in alternatives(field, schema.get("$defs", {}), given.get(name)):
            try:
                options = read_options(subject.component, {**subject.values, name: value})
            except Exception:  # noqa: BLE001 - what a validator raises is for the clauses of options to tell
                continue
            if not forbids(subject, options):
                yield options
                break


def alike(subject: Subject, options: Options) -> bool:
    """Tell whether the component has the same traits with other options, and takes them."""
    try:
        return subject.component.traits_of(options) == subject.traits and not forbids(subject, options)
    except Exception:  # noqa: BLE001 - a plugin may raise anything
        return False


def forbids(subject: Subject, options: Options) -> bool:
    """Tell whether the component's own check has something against the options; what it raises is no answer."""
    check = subject.component.check
    try:
        return check is not None and any(problem.exit_code for problem in check(options))
    except Exception:  # noqa: BLE001 - a plugin may raise anything
        return False


def difference(subject: Subject, options: Options) -> str:
    """Say in what options differ from those given, as in "low 4 in place of 3"."""
    now, then = options_as_json(options), options_as_json(subject.options)
    return ", ".join(f"{name} {now[name]!r} in place of {then[name]!r}" for name in now if now[name] != then[name])


def beyond_bounds(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Any]:
    """Give values that a field refuses by its own schema: no choice of its, and numbers beyond its bounds."""
    several = list(parts(field, definitions))
    choices = [choice for part in several for choice in part.get("enum", ())]
    free = any(part.get("type") == "string" and "enum" not in part for part in several)
    if choices and all(isinstance(choice, str) for choice in choices) and not free:
        yield "no such choice"
    numbers = [part for part in several if part.get("type") in ("integer", "number") and "enum" not in part]
    # Of several kinds of numbers one may take what the other refuses.
    if len(numbers) == 1 and not free and field.get("type") in ("integer", "number"):
        yield from _beyond(numbers[0])


def _beyond(number: Mapping[str, Any]) -> Iterator[Any]:
    if "minimum" in number:
        yield number["minimum"] - 1
    if "exclusiveMinimum" in number:
        yield number["exclusiveMinimum"]
    if "maximum" in number:
        yield number["maximum"] + 1
    if "exclusiveMaximum" in number:
        yield number["exclusiveMaximum"]
