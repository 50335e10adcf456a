"""Owns the plain words for what pydantic finds wrong: one Problem a value, with its path in the recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..errors import PluginError, Problem, did_you_mean, listing
from .fields import by_path, is_left_out, model_at, names_of
from .kept import is_lost
from .nodes import KeyPath

_EXPECTED = {
    "int_type": "a whole number", "int_from_float": "a whole number", "int_parsing": "a whole number",
    "float_type": "a number", "float_parsing": "a number", "finite_number": "a finite number",
    "bool_type": "true or false", "bool_parsing": "true or false",
    "string_type": "text", "path_type": "a path", "none_required": "null",
    "list_type": "a list", "tuple_type": "a list", "set_type": "a list", "frozen_set_type": "a list",
    "dict_type": "a mapping", "mapping_type": "a mapping", "model_type": "a mapping", "dataclass_type": "a mapping",
}  # fmt: skip
_BOUNDS = {
    "greater_than": ("greater than", "gt"), "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"), "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}  # fmt: skip
_NO_DEFAULTS = ("missing", "extra_forbidden", "value_error", "assertion_error")
_LOST = "JSON, in which recipes and models keep it, cannot hold it"
_NUMBERS = ("a whole number", "a number", "a finite number")
_YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false", "true": "true", "false": "false"}


class UnknownKey(Problem):
    """A problem with a key itself, not with its value: messages point at the key."""

    __slots__ = ()


def explain(
    error: ValidationError, model: type[BaseModel], values: Any, owner: str = "", remedy: str = ""
) -> list[Problem]:
    """Return one problem for each value that is wrong; `owner` names the component whose options these are.

    remedy: what can be done about a fault of the component's own, such as a default that it refuses.
    """
    found = by_path(error, model, values)
    # Of a union's branches the one that looked deeper into the value says more.
    outer = {path for path in found for longer in found if len(longer) > len(path) and longer[: len(path)] == path}
    kept = {path: group for path, group in found.items() if path not in outer or _is_own(group)}
    faults = wrong_defaults(error, model, values) if owner else {}
    return [
        Problem(f"its default in {owner} is not what it takes: {faults[path]}; give it another value{remedy}", path,
                exit_code=PluginError.exit_code)
        if path in faults else _problem(path, group, model, owner)
        for path, group in kept.items()
    ]  # fmt: skip


def wrong_defaults(error: ValidationError, model: type[BaseModel], values: Any) -> dict[KeyPath, str]:
    """Return what is wrong with each default that its own option does not take, by its path.

    What a plugin's own validator says of a default may be its way to ask for another value.
    """
    found = by_path(error, model, values).items()
    return {
        path: _LOST if is_lost(model, path) and not _is_json(group[0]["input"]) else _message(group, typed=False)
        for path, group in found
        if is_left_out(path, values) and not any(details["type"] in _NO_DEFAULTS for details in group)
    }


def _is_own(group: list[ErrorDetails]) -> bool:
    return any(details["type"] not in _EXPECTED for details in group)


def _problem(path: KeyPath, group: list[ErrorDetails], model: type[BaseModel], owner: str) -> Problem:
    kinds = {details["type"] for details in group}
    if "extra_forbidden" in kinds:
        return UnknownKey(_unknown(path, model, owner), path)
    if "missing" in kinds:
        return Problem("is missing" + (f"; {owner} needs it" if owner else ""), path)
    return Problem(_message(group), path)


def _message(group: list[ErrorDetails], *, typed: bool = True) -> str:
    """Say what is wrong with a value; typed: by the user, who may have meant another."""
    value = group[0]["input"]
    bounds = [_bound(details) for details in group if details["type"] not in (*_EXPECTED, "literal_error", "enum")]
    if bounds:
        return bounds[0]
    expected = list(dict.fromkeys(_expected(details) for details in group))
    choices = [word.strip("'") for details in group for word in _choices(details) if word.startswith("'")]
    meant = did_you_mean(value, choices) if isinstance(value, str) else ""
    # 3.0 is a whole number to everybody but its reader.
    shown = str(value) if isinstance(value, float) and "a whole number" in expected else _shown(value)
    return f"must be {' or '.join(expected)}, not {shown}" + ((meant or _quoted(value, expected)) if typed else "")


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | list | dict)


def _unknown(path: KeyPath, model: type[BaseModel], owner: str) -> str:
    known = sorted(names_of(model_at(model, path[:-1])))
    near = did_you_mean(str(path[-1]), known)
    words = "option" if owner else "key"
    of = owner if owner and len(path) == 1 else ("'" + ".".join(map(str, path[:-1])) + "'" if path[:-1] else "a recipe")
    if owner and len(path) > 1:
        of += f" of {owner}"
    rest = "" if near else f" (known: {listing(known, 20)})" if known else "; it has none"
    return f"unknown {words} of {of}{near}{rest}"


def _bound(details: ErrorDetails) -> str:
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"must be {words} {_number(context[key])}, not {_shown(value)}"
    if kind in ("too_short", "too_long"):
        length = context.get("min_length", context.get("max_length"))
        word = "at least" if kind == "too_short" else "at most"
        return f"must have {word} {length} {'entry' if length == 1 else 'entries'}, not {context['actual_length']}"
    if kind == "string_too_short":
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} characters, not {len(value)}"
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters, not {len(value)}"
    if kind == "string_pattern_mismatch":
        return f"must match the pattern {context['pattern']}, not {_shown(value)}"
    return _own_words(details["msg"])


def _own_words(message: str) -> str:
    """Return the message of a plugin's own validator, or pydantic's, in the house's form."""
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    return message.replace("Input should be", "must be", 1)


def _expected(details: ErrorDetails) -> str:
    choices = _choices(details)
    if not choices:
        return _EXPECTED.get(details["type"], "something else")
    return str(details["ctx"]["expected"])


def _choices(details: ErrorDetails) -> list[str]:
    if details["type"] not in ("literal_error", "enum"):
        return []
    text = str(details.get("ctx", {}).get("expected", ""))
    return [word for part in text.split(" or ") for word in part.split(", ")]


def _quoted(value: Any, expected: list[str]) -> str:
    """Say how to write a value that only its quotes, or YAML 1.1, made text."""
    if not isinstance(value, str):
        return ""
    if value in expected:
        return f"; write {value} without quotes"
    if any(word in _NUMBERS for word in expected):
        try:
            # "nan" and "inf" are numbers to Python alone.
            written = math.isfinite(float(value))
        except ValueError:
            return ""
        return f"; write {value} without quotes" if written else ""
    if "true or false" in expected and value.casefold() in _YES_NO:
        return f"; write {_YES_NO[value.casefold()]}"
    return ""


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text '{value if len(value) <= 60 else value[:60] + '...'}'"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return _number(value)


def _number(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
