"""Owns what the options of a component are, in words: type, default, bounds and description of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from ..plugin.component import Component, Kind
from .writing import write

_TYPES = {
    "integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "object": "mapping",
    "null": "null",
}  # fmt: skip
_MANY = {"whole number": "whole numbers", "number": "numbers", "text": "texts", "mapping": "mappings"}
_SEVERAL: Mapping[Kind, str] = {"metric": "metrics", "output": "outputs"}
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Option:
    """One option. name: dotted where it is inside of another. default: as a recipe writes it; "" where required."""

    name: str
    type: str
    default: str
    bounds: str
    description: str
    required: bool


def options_of(component: Component[Any, Any]) -> list[Option]:
    """Return every option in the order of the plugin; those inside of an option follow it."""
    try:
        schema = component.options.model_json_schema()
        return list(_walk(schema, schema.get("$defs", {}), ""))
    except Exception:  # noqa: BLE001 - types of a plugin's own may have no schema, or a strange one
        return [_plain(name, field) for name, field in component.options.model_fields.items()]


def fragment(kind: Kind, component: Component[Any, Any]) -> str:
    """Return a piece of a recipe that names the component: what must be said, and the rest as comments."""
    lines = [f"use: {component.name}"]
    for option in options_of(component):
        if option.required:
            lines.append(f"{option.name}: ...  # {option.type}: {option.description}")
        elif "." not in option.name:
            lines.append(f"# {option.name}: {option.default}")
    if kind in _SEVERAL:
        return "\n".join([f"{_SEVERAL[kind]}:", f"  - {lines[0]}", *(f"    {line}" for line in lines[1:])])
    return "\n".join([f"{kind}:", *(f"  {line}" for line in lines)])


def _plain(name: str, field: FieldInfo) -> Option:
    """Return an option whose type has no schema, from what its field says."""
    default = "" if field.is_required() else repr(field.get_default(call_default_factory=False))
    return Option(field.alias or name, "see the plugin", default, "", field.description or "", field.is_required())


def _walk(schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[Option]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        whole = f"{prefix}{name}"
        branches = list(_branches(field, definitions))
        types = list(dict.fromkeys(_type(branch, definitions) for branch in branches))
        bounds = "; ".join(dict.fromkeys(filter(None, map(_bounds, branches))))
        default = "" if name in required else _written(field.get("default"))
        yield Option(whole, " or ".join(types), default, bounds, field.get("description", ""), name in required)
        for branch in branches:
            if branch.get("properties") and whole.count(".") < _DEEPEST:
                yield from _walk(branch, definitions, f"{whole}.")


def _branches(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give what a field may be, without references and unions."""
    if "$ref" in field:
        yield from _branches(definitions[field["$ref"].rsplit("/", 1)[-1]], definitions)
        return
    inner = [*field.get("anyOf", ()), *field.get("oneOf", ())]
    for branch in inner:
        yield from _branches(branch, definitions)
    if not inner:
        yield field


def _type(branch: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "enum" in branch or "const" in branch:
        return ", ".join(_written(choice) for choice in branch.get("enum", [branch.get("const")]))
    kind = branch.get("type", "anything")
    if kind == "array":
        entries = [*branch.get("prefixItems", ()), branch.get("items")]
        inner = [_type(part, definitions) for entry in entries if isinstance(entry, Mapping)
                 for part in _branches(entry, definitions)]  # fmt: skip
        return f"list of {' or '.join(_MANY.get(one, one) for one in dict.fromkeys(inner))}" if inner else "list"
    return "path" if branch.get("format") == "path" else _TYPES.get(str(kind), str(kind))


def _bounds(branch: Mapping[str, Any]) -> str:
    words = {
        "exclusiveMinimum": "above {}", "minimum": "at least {}", "exclusiveMaximum": "below {}",
        "maximum": "at most {}", "multipleOf": "a multiple of {}", "minLength": "{} characters or more",
        "maxLength": "{} characters or fewer", "minItems": "{} entries or more", "maxItems": "{} entries or fewer",
        "pattern": "matching {}",
    }  # fmt: skip
    if "minItems" in branch and branch.get("maxItems") == branch["minItems"]:
        return f"{branch['minItems']} entries"
    return ", ".join(said.format(branch[key]) for key, said in words.items() if key in branch)


def _written(value: Any) -> str:
    """Return a value in a line, as a recipe writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return write({"x": value}).removeprefix("x:").strip()
