"""Owns the JSON Schema of recipes with all installed plugins, for editors that complete and check while one types.

Its shape is what the YAML language server completes and complains best by: no alternatives of mappings, of which it
would guess the one meant, but one mapping of a step to which the options of the component it names are added.
"""

from __future__ import annotations

import json
from typing import Any

from ..errors import PluginError
from ..plugin.component import Component, Kind
from ..plugin.registry import Registry
from .settings import DEFAULT_METRICS, Settings

TITLE = "A recipe of textclf"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SINGLE: tuple[Kind, ...] = ("dataset", "encoder", "trainer")
_SEVERAL: dict[str, Kind] = {"metrics": "metric", "outputs": "output"}


def json_schema(registry: Registry) -> dict[str, Any]:
    """Return a schema of draft 2020-12: the core's settings, and each step by the options of the component it names."""
    schema = Settings.model_json_schema()
    definitions = schema["$defs"]
    definitions.pop("StepSettings")
    for name, definition in definitions.items():
        definition["title"] = name.removesuffix("Settings").lower()
    properties = schema["properties"]
    for kind in (*_SINGLE, *_SEVERAL.values()):
        definitions[kind] = _step(kind, registry, definitions)
    for kind in _SINGLE:
        properties[kind] = {"description": properties[kind]["description"], "$ref": f"#/$defs/{kind}"}
    for key, kind in _SEVERAL.items():
        properties[key]["items"] = {"$ref": f"#/$defs/{kind}"}
    properties["metrics"]["default"] = list(DEFAULT_METRICS)
    metrics = _found("metric", registry)
    properties["select"]["anyOf"][0] = {"type": "string", **_one_of(metrics)}
    properties["gates"]["propertyNames"] = {"enum": registry.names("metric")}
    schema.pop("title")
    return {"$schema": _DRAFT, "title": TITLE, **schema}


def _step(kind: Kind, registry: Registry, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a step: a bare name, or a mapping whose `use` decides which options it may have."""
    found = _found(kind, registry)
    bare: list[Component[Any, Any]] = []
    branches: list[dict[str, Any]] = []
    for component in found:
        options = _options(kind, component, definitions)
        if not options.get("required"):
            bare.append(component)
        reference = f"{kind}.{component.name}"
        definitions[reference] = _with_use(kind, component, options)
        # Not `const`: while one types, the server takes any beginning of a constant for the whole of it.
        named = {"type": "string", "pattern": f"^{component.name}$"}
        chosen = {"type": "object", "properties": {"use": named}, "required": ["use"]}
        branches.append({"if": chosen, "then": {"$ref": f"#/$defs/{reference}"}})
    said = f"which {kind}; everything beside it is an option of that {kind}"
    return {
        "title": kind,
        "properties": {"use": {"title": kind, "description": said, "type": "string", **_one_of(found)}},
        "required": ["use"],
        # The mapping first: of two that fail alike, the server complains of the first, unless that is of another type.
        "oneOf": [{"type": "object"}, {"type": "string", **_one_of(bare)}],
        "allOf": branches,
    }


def _found(kind: Kind, registry: Registry) -> list[Component[Any, Any]]:
    """Return the components that a recipe can use, which are those whose name is offered once."""
    found = []
    for name in registry.names(kind):
        try:
            found.append(registry.find(kind, name).component)
        except PluginError:
            continue
    return found


def _one_of(components: list[Component[Any, Any]]) -> dict[str, Any]:
    """Return an enumeration of names, each with what editors show beside it."""
    return {"enum": [each.name for each in components], "enumDescriptions": [each.summary for each in components]}


def _with_use(kind: Kind, component: Component[Any, Any], options: dict[str, Any]) -> dict[str, Any]:
    described = {"description": component.summary} if component.summary else {}
    properties = {"use": {"const": component.name}, **options.get("properties", {})}
    return {**options, "title": f"{kind} {component.name}", **described, "properties": properties}


def _options(kind: Kind, component: Component[Any, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a component's options; the models inside them move to the recipe's definitions."""
    prefix = f"{kind}.{component.name}."
    try:
        schema: dict[str, Any] = component.options.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
        json.dumps(schema, allow_nan=False)
    except Exception:  # noqa: BLE001 - types of a plugin's own may have no schema; they are checked when the recipe is
        return {"type": "object"}
    for model, definition in schema.pop("$defs", {}).items():
        definitions[prefix + model] = definition
    if "$ref" in schema:  # options that hold themselves
        schema = dict(definitions[schema["$ref"].removeprefix("#/$defs/")])
    return schema
