"""Owns how options are kept: read from JSON, strictly, and written as JSON that is read back the same."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from .fields import by_path, is_left_out, model_at
from .nodes import KeyPath

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
