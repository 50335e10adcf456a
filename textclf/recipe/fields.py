"""Owns which value an error of pydantic's speaks of, and which model and field stand at a path of values."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .nodes import KeyPath


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
