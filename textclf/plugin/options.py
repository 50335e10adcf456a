"""Options of components: validated strictly as JSON, written as JSON, errors in words."""

from __future__ import annotations

import copy
import json
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ..errors import KeyPath, PluginError, Problem, did_you_mean, listing


def by_path(error: ValidationError, model: type[BaseModel], values: Any) -> dict[KeyPath, list[ErrorDetails]]:
    """Return what is wrong, by its path in the values or beside them."""
    found: dict[KeyPath, list[ErrorDetails]] = {}
    for details in map(_of_its_author, error.errors()):
        found.setdefault(_path(details, model, values), []).append(details)
    return found


def _of_its_author(details: ErrorDetails) -> ErrorDetails:
    """Return an error; where a plugin made it, by a name that may be one of pydantic's, as any of a validator's."""
    # Pydantic gives only errors of its own an address.
    return details if "url" in details else {**details, "type": "value_error"}


def is_left_out(path: KeyPath, values: Any) -> bool:
    """Tell whether a path ends beside the values: at an option that they say nothing of."""
    for step in path:
        if isinstance(values, Mapping) and step not in values:
            return True
        values = values[step]
    return False


def _path(details: ErrorDetails, model: type[BaseModel], values: Any) -> KeyPath:
    """Return where in `values`, or beside them, an error stands: pydantic's path without names of union branches."""
    path: list[str | int] = []
    current = values
    *inner, last = details["loc"] or ("",)
    for step in (*inner, last) if details["loc"] else ():
        if isinstance(current, dict) and step in current:
            current = current[cast(str, step)]
        elif isinstance(current, list) and isinstance(step, int) and step < len(current):
            current = current[step]
        elif isinstance(current, dict) and (name := _left_out(step, model_at(model, tuple(path)))):
            step, current = name, None  # what is wrong is in its default
        elif step is not last or details["type"] != "missing":
            continue
        path.append(step)
    return tuple(path)


def _left_out(step: str | int, model: type[BaseModel] | None) -> str:
    """Return what values would call an option that pydantic names by its attribute; nothing where it is none."""
    field = None if model is None else model.model_fields.get(str(step))
    return "" if field is None else field.alias or str(step)


def names_of(model: type[BaseModel] | None) -> Iterable[str]:
    return () if model is None else (field.alias or name for name, field in model.model_fields.items())


def model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """Return the model whose fields stand at `path`, looking into optional values, lists and mappings."""
    current: Any = model
    for step in path:
        current = next((found for branch in _branches(current) if (found := _inside(branch, step)) is not None), None)
    return next((branch for branch in _branches(current) if _is_model(branch)), None)


def _inside(annotation: Any, step: str | int) -> Any:
    """Return the annotation of a model's field, a list's entry or a mapping's value; None where there is none."""
    if _is_model(annotation):
        named = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        return named.get(str(step))
    parts = get_args(annotation)
    if not parts or get_origin(annotation) not in (tuple, list, dict, set, frozenset):
        return None
    if get_origin(annotation) is tuple and isinstance(step, int) and step < len(parts) and parts[-1] is not Ellipsis:
        return parts[step]
    return parts[1] if get_origin(annotation) is dict else parts[0]


def _branches(annotation: Any) -> list[Any]:
    """Return what an annotation may be: the branches of unions, without what only describes them."""
    if get_origin(annotation) is Annotated:
        return _branches(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [branch for part in get_args(annotation) for branch in _branches(part)]
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


M = TypeVar("M", bound=BaseModel)


def read_options(options: type[M], values: Mapping[str, Any]) -> M:
    """Return options with these values; a ValidationError says what is wrong with them, or with a default.

    In pydantic's JSON mode, strictly: Python mode would refuse text for a Path and a list for a tuple. JSON mode
    refuses a default that JSON has otherwise, such as a Path: it is read as a recipe would write it.
    """
    try:
        return options.model_validate_json(json.dumps(dict(values)))
    except ValidationError as error:
        more = _with_defaults(error, options, values)
        if more is None:
            raise
    return read_options(options, more)


def options_as_json(options: BaseModel) -> dict[str, Any]:
    """Return every option as JSON has it, so that it is read back: what is excluded too, and nothing computed."""
    kept = options.model_dump(mode="json", by_alias=True, round_trip=True)
    for name, field in type(options).model_fields.items():
        key = field.serialization_alias or name
        if key not in kept:
            kept[key] = _written(_adapter(field), getattr(options, name))
    return kept


def is_lost(options: type[BaseModel], path: KeyPath) -> bool:
    """Tell whether an option takes its default, but JSON cannot hold it: read from there it is another value."""
    found = _default(options, path)
    return found is not None and not found.is_kept


@dataclass(frozen=True, slots=True)
class _Default:
    """The default of an option. written: as JSON has it. is_kept: read from there it is the same."""

    written: Any
    is_kept: bool


def _with_defaults(error: ValidationError, options: type[BaseModel], values: Mapping[str, Any]) -> Any:
    """Return the values, and with them each default that was refused and that JSON can hold; None where none is."""
    more = copy.deepcopy(dict(values))
    for path in by_path(error, options, values):
        found = _default(options, path) if path and is_left_out(path, values) else None
        if found is None or not found.is_kept or is_left_out(path[:-1], values):
            continue
        place: Any = more
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = found.written
    return None if more == values else more


def _default(options: type[BaseModel], path: KeyPath) -> _Default | None:
    """Return the default of an option; None where it has none, or none of its type."""
    model = model_at(options, path[:-1])
    fields = {} if model is None else {field.alias or name: name for name, field in model.model_fields.items()}
    name = fields.get(str(path[-1]))
    if model is None or name is None or model.model_fields[name].is_required():
        return None
    try:
        # Without the bounds, of which the reading tells.
        adapter = _adapter(model.model_fields[name])
        default = getattr(model.model_construct(), name)
        taken, written = adapter.validate_python(default), _written(adapter, default)
        return _Default(written, _are_same(taken, adapter.validate_json(json.dumps(written))))
    except Exception:  # noqa: BLE001 - types of a plugin's own may raise anything
        return None


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    annotation: Any = field.annotation
    return TypeAdapter(annotation)


def _written(adapter: TypeAdapter[Any], value: Any) -> Any:
    return adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)


def _are_same(one: Any, other: Any) -> bool:
    # In JSON every sequence is a list.
    many = isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str | bytes)
    return bool(list(one) == list(other) if many else one == other)


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
    error: ValidationError, model: type[BaseModel], values: Any, owner: str = "", hint: str = ""
) -> list[Problem]:
    """Return one problem for each value that is wrong; `owner` names the component whose options these are.

    hint: what the user can do about an error of the component, such as a default that it refuses.
    """
    found = by_path(error, model, values)
    # Of a union's branches the one that looked deeper into the value says more.
    outer = {path for path in found for longer in found if len(longer) > len(path) and longer[: len(path)] == path}
    kept = {path: group for path, group in found.items() if path not in outer or _is_own(group)}
    wrong = wrong_defaults(error, model, values) if owner else {}
    return [
        Problem(f"its default in {owner} is not what it takes: {wrong[path]}; give it another value{hint}", path,
                exit_code=PluginError.exit_code)
        if path in wrong else _problem(path, group, model, owner)
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
