"""Owns the clauses that every component keeps, of whatever kind: its name, options, traits and build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ...errors import kind_of, said
from ...plugin.component import Kind, Traits, flaw_of_traits
from ...plugin.options import options_as_json, wrong_defaults
from ..clauses import Broken, Check, Clause, NotApplicable, line_of
from .allowed import ALLOWED, check_sound_options, demand_refusals
from .alternatives import beyond_bounds, parts
from .migrating import MIGRATE
from .schemas import demand_schema, schema_of
from .subject import Subject, read_options

_METHODS: Mapping[Kind, tuple[str, ...]] = {
    "dataset": ("load",),
    "encoder": ("fit", "encode", "fingerprint", "save"),
    "trainer": ("train", "restore"),
    "metric": ("__call__",),
    "output": ("write",),
}
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const"}


def _is_summarised(subject: Subject) -> None:
    if not subject.component.summary.strip():
        raise Broken("its summary is empty")


def _options_are_strict(subject: Subject) -> None:
    config = subject.component.options.model_config
    missing = [f"{key}={value!r}" for key, value in _STRICT.items() if config.get(key) != value]
    if missing:
        raise Broken(f"its options lack {', '.join(missing)}")


_STRICT = {"strict": True, "frozen": True, "extra": "forbid"}


def _options_are_described(subject: Subject) -> None:
    fields = subject.component.options.model_fields
    silent = [name for name, field in fields.items() if not (field.description or "").strip()]
    if silent:
        raise Broken(f"no description: {', '.join(silent)}")
    demand_schema(subject.component)


def _options_are_bounded(subject: Subject) -> None:
    schema = schema_of(subject.component.options)
    loose = [
        name
        for name, field in schema.get("properties", {}).items()
        for part in parts(field, schema.get("$defs", {}))
        if part.get("type") in ("integer", "number") and not _BOUNDS & part.keys()
    ]
    if loose:
        raise Broken(f"a number without a bound: {', '.join(dict.fromkeys(loose))}")


def _defaults_are_taken(subject: Subject) -> None:
    options = subject.component.options
    fields = {field.alias or name: field for name, field in options.model_fields.items()}
    needed = {name: value for name, value in subject.values.items() if name in fields and fields[name].is_required()}
    if all(field.is_required() for field in fields.values()):
        raise NotApplicable("it has no option with a default")
    try:
        read_options(subject.component, needed)
    except ValidationError as error:
        wrong = wrong_defaults(error, options, needed)
        if wrong:
            told = (f"{'.'.join(map(str, path))}: {words}" for path, words in wrong.items())
            raise Broken("; ".join(told)) from None
    except Exception:  # noqa: BLE001 - that a validator fails is for `options.read` to find
        return


def _options_are_read(subject: Subject) -> None:
    try:
        read_options(subject.component, subject.values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Broken(f"{place}: {first['msg']}" if place else first["msg"]) from None


def _options_survive_json(subject: Subject) -> None:
    options = subject.options
    again = read_options(subject.component, options_as_json(options))
    # Not the objects: they may hold what is private to each.
    if options_as_json(again) != options_as_json(options):
        raise Broken(f"{options!r} is read back as {again!r}")


def _unknown_options_are_named(subject: Subject) -> None:
    _refuse(subject, {**subject.values, "no_such_option": 1}, "no_such_option")


def _wrong_types_are_named(subject: Subject) -> None:
    schema = schema_of(subject.component.options)
    properties = schema.get("properties", {})
    if not properties:
        raise NotApplicable("it has no options")
    for name, field in properties.items():
        several = list(parts(field, schema.get("$defs", {})))
        types = {part.get("type") for part in several}
        if types & {"integer", "number"} and "string" not in types:
            _refuse(subject, {**subject.values, name: "1"}, name)
        # Of choices, pydantic takes `true` for the one that is 1.
        chosen = any({"enum", "const"} & part.keys() for part in several)
        if types & {"integer", "number"} and "boolean" not in types and not chosen:
            _refuse(subject, {**subject.values, name: True}, name)
        if None not in types and "object" not in types:
            _refuse(subject, {**subject.values, name: {"a": 1}}, name)


def _values_out_of_bounds_are_named(subject: Subject) -> None:
    schema, tried = schema_of(subject.component.options), 0
    for name, field in schema.get("properties", {}).items():
        for value in beyond_bounds(field, schema.get("$defs", {})):
            _refuse(subject, {**subject.values, name: value}, name)
            tried += 1
    demand_refusals(subject)
    if not tried:
        raise NotApplicable("it has no option with bounds or choices")


def _refuse(subject: Subject, values: Mapping[str, Any], name: str) -> None:
    """Demand that the options are refused, by name."""
    try:
        read_options(subject.component, values)
    except ValidationError as error:
        if name not in {str(part) for problem in error.errors() for part in problem["loc"]}:
            raise Broken(f"'{name}: {values[name]!r}' is refused without naming '{name}': {said(error)}") from None
        return
    except Exception as error:  # noqa: BLE001 - whatever else a validator raises would be a traceback for the user
        raise Broken(f"'{name}: {values[name]!r}' raises {said(error)}") from None
    raise Broken(f"'{name}: {values[name]!r}' is taken")


def _traits_are_declared(subject: Subject) -> None:
    traits = subject.traits
    if not isinstance(traits, Traits):
        raise Broken(f"its traits are {kind_of(traits)}, not textclf.Traits")
    if flaw := flaw_of_traits(traits):
        asked = subject.component.traits
        raise Broken(f"traits() returns Traits with {flaw}{line_of(asked, subject.component)}")
    if traits != subject.traits:
        raise Broken("asked twice, its traits differ")
    if subject.kind == "encoder" and not traits.makes:
        raise Broken("it does not say which layout it makes: Traits(makes='matrix')")
    if subject.kind == "trainer" and not traits.reads:
        raise Broken("it does not say which layouts it reads: Traits(reads=frozenset({'matrix'}))")


def _a_library_comes_with_its_requirement(subject: Subject) -> None:
    if not subject.component.needs:
        raise NotApplicable("it needs no library")
    if not subject.component.install.strip():
        raise Broken(f"it needs {', '.join(subject.component.needs)}, and does not say what to install")


def _builds(subject: Subject) -> None:
    built = subject.build()
    missing = [name for name in _METHODS[subject.kind] if not callable(getattr(built, name, None))]
    if missing:
        raise Broken(f"it returns {kind_of(built)}, which has no {', '.join(missing)}")


def _builds_anew(subject: Subject) -> None:
    if subject.build() is subject.build():
        raise Broken("built twice, it gives one and the same object")


COMPONENT: tuple[Check[Subject], ...] = (
    Check(
        Clause("component.summary", "a component says in a few words what it is", "lists and editors show it"),
        _is_summarised,
    ),
    Check(
        Clause("options.strict", "options are strict, frozen and closed", "what is misspelt or mistyped must be found"),
        _options_are_strict,
    ),
    Check(
        Clause("options.described", "every option has a description", "editors and `textclf plugins` show it"),
        _options_are_described,
    ),
    Check(
        Clause("options.bounded", "every number has a bound", "a senseless value must be refused before the run"),
        _options_are_bounded,
    ),
    Check(
        Clause("options.defaults", "every default is one that its option takes", "else a user is told of it, unasked"),
        _defaults_are_taken,
    ),
    Check(
        Clause("options.read", "the options it is tried with are read", "a failing validator tells the user nothing"),
        _options_are_read,
        after=("options.defaults",),
    ),
    Check(
        Clause("options.json", "options read back from JSON are the same", "recipes and models store them as JSON"),
        _options_survive_json,
        after=("options.read",),
    ),
    MIGRATE,
    Check(
        Clause("options.unknown", "an unknown option is refused by name", "else a misspelt one does nothing"),
        _unknown_options_are_named,
        after=("options.strict", "options.read"),
    ),
    Check(
        Clause("options.types", "a value of a wrong type is refused by name", "a traceback tells the user nothing"),
        _wrong_types_are_named,
        after=("options.strict", "options.read"),
    ),
    Check(
        Clause(
            "options.values",
            "a value out of bounds, or no choice, is refused by name, and none breaks a validator",
            "the user must find it",
        ),
        _values_out_of_bounds_are_named,
        after=("options.read",),
    ),
    Check(
        Clause("component.traits", "traits are there and always the same", "the plan refuses by them what cannot work"),
        _traits_are_declared,
        after=("options.read",),
    ),
    Check(
        Clause(
            "component.check",
            "sound options have no problems, and each Problem names an option that is there",
            "a false alarm keeps a good recipe from running, and users look for what is named",
        ),
        check_sound_options,
        after=("options.read",),
    ),
    Check(
        Clause("component.install", "what is needed can be installed", "an absent library is answered with a command"),
        _a_library_comes_with_its_requirement,
    ),
    Check(
        Clause("component.build", "build gives an object with its kind's methods", "a run calls them"),
        _builds,
        after=("options.read",),
    ),
    Check(
        Clause("component.fresh", "each build gives an object of its own", "runs must not share state"),
        _builds_anew,
        after=("component.build",),
    ),
    ALLOWED,
)
