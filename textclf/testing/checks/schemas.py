"""Owns what the schema of options tells the clauses, also where some of it, or all, cannot be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from ...plugin.component import Component, Options
from ..clauses import Broken, raised


class _Lenient(GenerateJsonSchema):
    """Says nothing of a type that has no schema, and all of the others."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as it is defined there

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


def schema_of(options: type[Options]) -> Mapping[str, Any]:
    """Return the schema of options; of what has none, or fails to make it, the names alone."""
    try:
        return options.model_json_schema(schema_generator=_Lenient)
    except Exception:  # noqa: BLE001 - a plugin's own part of it may raise anything; `demand_schema` tells
        return {"properties": {field.alias or name: {} for name, field in options.model_fields.items()}}


def demand_schema(component: Component[Any, Any]) -> None:
    """Raise Broken where the making of the schema fails, and not since a type has none."""
    options = component.options
    if not options.__pydantic_complete__:  # nothing can be read by it, which is said
        return
    try:
        options.model_json_schema(schema_generator=_Lenient)
    except PydanticInvalidForJsonSchema:
        return
    except Exception as error:
        raise Broken(f"their JSON schema cannot be made: {raised(error, component)}") from error
