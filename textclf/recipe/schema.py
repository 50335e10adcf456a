"""Owns the JSON Schema of recipes with all installed plugins, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema

from ..errors import PluginError
from ..hooks.components import Component, Kind
from ..hooks.registry import Registry
from .settings import Settings

_SINGLE: tuple[Kind, ...] = ("dataset", "encoder", "trainer")
_SEVERAL: dict[str, Kind] = {"metrics": "metric", "outputs": "output"}


def json_schema(registry: Registry) -> dict[str, Any]:
    """Return a schema of draft 2020-12: the core's settings, and each step by the options of the component it names."""
    schema = Settings.model_json_schema()
    definitions = schema["$defs"]
    definitions.pop("StepSettings")
    properties = schema["properties"]
    for kind in (*_SINGLE, *_SEVERAL.values()):
        definitions[kind] = _step(kind, registry, definitions)
    for kind in _SINGLE:
        properties[kind] = {"description": properties[kind]["description"], "$ref": f"#/$defs/{kind}"}
    for key, kind in _SEVERAL.items():
        properties[key]["items"] = {"$ref": f"#/$defs/{kind}"}
    properties["gates"]["propertyNames"] = {"enum": registry.names("metric")}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "A recipe of textclf"}


def _step(kind: Kind, registry: Registry, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a step: a bare name, or a mapping whose `use` decides which options it may have."""
    bare: list[str] = []
    branches: list[dict[str, Any]] = []
    for name in registry.names(kind):
        try:
            component = registry.find(kind, name).component
        except PluginError:
            continue  # offered twice: a recipe cannot use it
        options = _options(kind, component, definitions)
        if not options.get("required"):
            bare.append(name)
        definitions[f"{kind}.{name}"] = _with_use(name, component.summary, options)
        chosen = {"properties": {"use": {"const": name}}, "required": ["use"]}
        branches.append({"if": chosen, "then": {"$ref": f"#/$defs/{kind}.{name}"}})
    names = [branch["if"]["properties"]["use"]["const"] for branch in branches]
    mapping = {"type": "object", "properties": {"use": {"enum": names}}, "required": ["use"], "allOf": branches}
    return {"oneOf": [{"type": "string", "enum": bare}, mapping]}


def _with_use(name: str, summary: str, options: dict[str, Any]) -> dict[str, Any]:
    described = {"description": summary} if summary else {}
    properties = {"use": {"const": name}, **options.get("properties", {})}
    return {**options, "title": name, **described, "properties": properties}


def _options(kind: Kind, component: Component[Any, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a component's options; the models inside them move to the recipe's definitions."""
    prefix = f"{kind}.{component.name}."
    try:
        schema: dict[str, Any] = component.options.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
    except PydanticInvalidForJsonSchema:
        return {"type": "object"}  # types of a plugin's own that have no schema are checked when the recipe is
    for model, definition in schema.pop("$defs", {}).items():
        definitions[prefix + model] = definition
    if "$ref" in schema:  # options that hold themselves
        schema = dict(definitions[schema["$ref"].removeprefix("#/$defs/")])
    return schema
