"""Options described for people, and the JSON Schema of recipes for editors.

Both read pydantic's schema of a component's options. The schema of recipes has the shape that the YAML language server
handles best: no alternatives of mappings, among which it would guess, but one mapping for a step, to which the options
of the component that it names are added.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from ..errors import PluginError, RecipeError
from ..files import disk_errors, write_text
from ..plugin.component import KINDS, Component, Kind
from ..plugin.registry import Registry
from .settings import DEFAULT_METRICS, SINGLE_STEPS, STEP_LISTS, Settings
from .yaml12 import write

_TYPES = {
    "integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "object": "mapping",
    "null": "null",
}  # fmt: skip
_MANY = {"whole number": "whole numbers", "number": "numbers", "text": "texts", "mapping": "mappings"}
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
    schema = options_schema(component)
    if schema is not None:
        return list(_walk(schema, schema.get("$defs", {}), ""))
    return [_without_schema(name, field) for name, field in component.options.model_fields.items()]


def options_schema(component: Component[Any, Any]) -> dict[str, Any] | None:
    """Return the JSON Schema of a component's options; None where a type of the plugin has none."""
    try:
        schema: dict[str, Any] = component.options.model_json_schema()
        json.dumps(schema, allow_nan=False)
    except Exception:  # noqa: BLE001 - types of a plugin may raise anything; they are checked when a recipe is
        return None
    if "$ref" in schema:  # options that hold themselves
        schema = {**schema["$defs"][_model(schema["$ref"])], "$defs": schema["$defs"]}
    return schema


def _model(reference: str) -> str:
    return reference.removeprefix("#/$defs/")


def fragment(kind: Kind, component: Component[Any, Any]) -> str:
    """Return a piece of a recipe that names the component: required options, and the others as comments."""
    lines = [f"use: {component.name}"]
    for option in options_of(component):
        if option.required:
            lines.append(f"{option.name}: ...  # {option.type}: {option.description}")
        elif "." not in option.name:
            lines.append(f"# {option.name}: {option.default}")
    if kind in STEP_LISTS:
        return "\n".join([f"{STEP_LISTS[kind]}:", f"  - {lines[0]}", *(f"    {line}" for line in lines[1:])])
    return "\n".join([f"{kind}:", *(f"  {line}" for line in lines)])


def _without_schema(name: str, field: FieldInfo) -> Option:
    """Describe an option whose type has no schema, by its field."""
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
    """Yield what a field may be: the branches of unions, with references resolved."""
    if "$ref" in field:
        yield from _branches(definitions[_model(field["$ref"])], definitions)
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
    return ", ".join(phrase.format(branch[key]) for key, phrase in words.items() if key in branch)


def _written(value: Any) -> str:
    """Return a value in a line, as a recipe writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return write({"x": value}).removeprefix("x:").strip()


TITLE = "A recipe of textclf"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(registry: Registry) -> dict[str, Any]:
    """Return a schema of draft 2020-12: the core's settings, and each step by the options of the component it names."""
    schema = Settings.model_json_schema()
    definitions = schema["$defs"]
    definitions.pop("StepSettings")
    for name, definition in definitions.items():
        definition["title"] = name.removesuffix("Settings").lower()
    properties = schema["properties"]
    for kind in KINDS:
        definitions[kind] = _step(kind, registry, definitions)
    for kind in SINGLE_STEPS:
        properties[kind] = {"description": properties[kind]["description"], "$ref": f"#/$defs/{kind}"}
    for kind, key in STEP_LISTS.items():
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
        # Not `const`: the server takes the beginning of a constant, while it is typed, for the whole.
        named = {"type": "string", "pattern": f"^{component.name}$"}
        chosen = {"type": "object", "properties": {"use": named}, "required": ["use"]}
        branches.append({"if": chosen, "then": {"$ref": f"#/$defs/{reference}"}})
    described = f"which {kind}; everything beside it is an option of that {kind}"
    return {
        "title": kind,
        "properties": {"use": {"title": kind, "description": described, "type": "string", **_one_of(found)}},
        "required": ["use"],
        # The mapping first: where both fail, the server reports the first, unless that is of another type.
        "oneOf": [{"type": "object"}, {"type": "string", **_one_of(bare)}],
        "allOf": branches,
    }


def _found(kind: Kind, registry: Registry) -> list[Component[Any, Any]]:
    """Return the components that a recipe can use: those whose name is offered once."""
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
    schema = options_schema(component)
    if schema is None:
        return {"type": "object"}
    prefix = f"{kind}.{component.name}."
    moved: dict[str, Any] = json.loads(json.dumps(schema).replace('"#/$defs/', f'"#/$defs/{prefix}'))
    definitions |= {prefix + model: definition for model, definition in moved.pop("$defs", {}).items()}
    return moved


FILE = "textclf.schema.json"
_MODELINE = re.compile(r"#\s+(?:yaml-language-server\s*:.*)?\$schema[:=]\s*(?P<schema>\S+)")  # as the server reads it


def modeline(schema: str) -> str:
    """Return the comment by which a recipe names its schema, a path relative to the recipe."""
    return f"# yaml-language-server: $schema={schema}"


def is_modeline(line: str) -> bool:
    """Tell whether a line is for the editor, not for the reader."""
    return _MODELINE.match(line) is not None


def names_schema(recipe: str) -> bool:
    """Tell whether a recipe names the schema file beside it."""
    found = map(_MODELINE.match, recipe.splitlines())
    return any(each["schema"] in (FILE, f"./{FILE}") for each in found if each)


def is_schema(path: Path) -> bool:
    """Tell whether a file is a schema that textclf wrote, so that it may be replaced."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return TITLE.encode() in file.read(1000)
    except OSError:
        return False


def write_schema(target: Path, registry: Registry) -> None:
    """Write the schema, or replace an older one; a RecipeError where something else stands there."""
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        taken = target.exists() or target.is_symlink()
    if taken and not is_schema(target):
        raise RecipeError(f"{target} exists and is no schema of textclf; move it away or name another file")
    write_text(target, _text(registry))


def stale_schema(recipe: Path, registry: Registry) -> Path | None:
    """Return the schema file beside a recipe where it is not that of the plugins installed now."""
    beside = recipe.parent / FILE
    if not recipe.is_file() or not is_schema(beside):
        return None
    try:
        return None if beside.read_bytes() == _text(registry).encode("utf-8", "replace") else beside
    except OSError:
        return None


def _text(registry: Registry) -> str:
    return json.dumps(json_schema(registry), indent=2, ensure_ascii=False) + "\n"
