"""The clauses of every component: options, traits, build, migration."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from itertools import chain, islice, permutations
from typing import Any

from pydantic import ValidationError

from ...errors import Problem, TextclfError, did_you_mean, error_text, listing, type_name
from ...plugin.component import Kind, Options, Traits, validate_traits
from ...plugin.discovery import GROUP
from ...plugin.options import options_as_json, wrong_defaults
from ...plugin.step import validate_problems
from ..contract import Broken, Check, Clause, NotApplicable, line_of, raised
from .subject import Subject, demand_schema, read_options, schema_of


def parts(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give a field's schema and all that it is made of."""
    if "$ref" in field:
        field = definitions[field["$ref"].rsplit("/", 1)[-1]]
    yield field
    inner = [*field.get("anyOf", ()), *field.get("oneOf", ()), *field.get("prefixItems", ())]
    inner += [field["items"]] if isinstance(field.get("items"), dict) else []
    for part in inner:
        yield from parts(part, definitions)


def alternatives(field: Mapping[str, Any], definitions: Mapping[str, Any], given: Any) -> Iterator[Any]:
    """Give values that a field may have instead of the given one: another choice, a number beside it, the opposite."""
    if isinstance(given, bool):
        yield not given
        return
    for part in parts(field, definitions):
        yield from (choice for choice in part.get("enum", ()) if choice != given)
    if isinstance(given, int):
        yield from (given + 1, given - 1)
    if isinstance(given, float):
        yield from (given / 2, given * 1.5)


def other_values(subject: Subject) -> Iterator[Options]:
    """Give the options with one of them changed, for each that can be, where the result is valid and has no problem."""
    schema = schema_of(subject.component.options)
    given = options_as_json(subject.options)
    for name, field in schema.get("properties", {}).items():
        for value in alternatives(field, schema.get("$defs", {}), given.get(name)):
            try:
                options = read_options(subject.component, {**subject.values, name: value})
            except Exception:  # noqa: BLE001 - what a validator raises is for the clauses of options to tell
                continue
            if not forbids(subject, options):
                yield options
                break


def alike(subject: Subject, options: Options) -> bool:
    """Tell whether the component has the same traits with other options, and takes them."""
    try:
        return subject.component.traits_of(options) == subject.traits and not forbids(subject, options)
    except Exception:  # noqa: BLE001 - a plugin may raise anything
        return False


def forbids(subject: Subject, options: Options) -> bool:
    """Tell whether the component's own check has something against the options; what it raises is no answer."""
    check = subject.component.check
    try:
        return check is not None and any(problem.exit_code for problem in check(options))
    except Exception:  # noqa: BLE001 - a plugin may raise anything
        return False


def difference(subject: Subject, options: Options) -> str:
    """Say in what options differ from those given, as in "low 4 in place of 3"."""
    now, then = options_as_json(options), options_as_json(subject.options)
    return ", ".join(f"{name} {now[name]!r} in place of {then[name]!r}" for name in now if now[name] != then[name])


def beyond_bounds(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Any]:
    """Give values that a field refuses by its own schema: no choice of its, and numbers beyond its bounds."""
    several = list(parts(field, definitions))
    choices = [choice for part in several for choice in part.get("enum", ())]
    free = any(part.get("type") == "string" and "enum" not in part for part in several)
    if choices and all(isinstance(choice, str) for choice in choices) and not free:
        yield "no such choice"
    numbers = [part for part in several if part.get("type") in ("integer", "number") and "enum" not in part]
    # Of several kinds of numbers one may take what the other refuses.
    if len(numbers) == 1 and not free and field.get("type") in ("integer", "number"):
        yield from _beyond(numbers[0])


def _beyond(number: Mapping[str, Any]) -> Iterator[Any]:
    if "minimum" in number:
        yield number["minimum"] - 1
    if "exclusiveMinimum" in number:
        yield number["exclusiveMinimum"]
    if "maximum" in number:
        yield number["maximum"] + 1
    if "exclusiveMaximum" in number:
        yield number["exclusiveMaximum"]


# How far an end is from nothing where no bound says so.
_OPEN = 64
# Of more than a dozen numbers not all pairs are tried.
_MOST = 300


@dataclass(frozen=True, slots=True)
class Number:
    """An option that is one number: its type, the least and the greatest it may be, and what it is."""

    name: str
    type: str
    low: Any
    high: Any
    given: Any

    def within(self, reach: int) -> Number:
        """Return it with ends no farther from nothing than `reach`, or than what is given."""
        far = max(reach, abs(self.given or 0))
        return Number(self.name, self.type, max(self.low, -far), max(self.low, min(self.high, far)), self.given)


def numbers(subject: Subject) -> list[Number]:
    """Return the options that are one number each, none of them a choice."""
    schema = schema_of(subject.component.options)
    given = options_as_json(subject.options)
    found = ((name, _number(field, schema.get("$defs", {}))) for name, field in schema.get("properties", {}).items())
    return [_ends(name, part, given.get(name)) for name, part in found if part is not None]


def at_ends(subject: Subject, reach: int | None = None) -> Iterator[dict[str, Any]]:
    """Give changes of the options: each number at either end, and every two of a type at opposite ends.

    reach: no number is farther from nothing, unless it is given or its bounds begin there: what is built may be large.
    """
    known = [number if reach is None else number.within(reach) for number in numbers(subject)]
    alone = ({number.name: end} for number in known for end in (number.low, number.high))
    pairs = ((one, other) for one, other in permutations(known, 2) if one.type == other.type)
    opposite = ({one.name: one.high, other.name: other.low} for one, other in pairs)
    yield from islice(chain(alone, opposite), _MOST)


def crossed(subject: Subject) -> Iterator[dict[str, Any]]:
    """Give changes that put a number just above another one that has the same bounds and is not below it."""
    for one, other in permutations(numbers(subject), 2):
        bounds = [(number.type, number.low, number.high) for number in (one, other)]
        if bounds[0] != bounds[1] or None in (one.given, other.given) or one.given > other.given:
            continue
        above = other.given + 1 if one.type == "integer" else (other.given + one.high) / 2
        if other.given < above <= min(one.high, _OPEN):
            yield {one.name: above}


def _number(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of the one number that a field is, if it is one; null may stand in its place."""
    if "$ref" in field:
        field = definitions[field["$ref"].rsplit("/", 1)[-1]]
    branches = [*field.get("anyOf", ()), *field.get("oneOf", ())]
    if branches:
        rest = [branch for branch in branches if branch.get("type") != "null"]
        return _number(rest[0], definitions) if len(rest) == 1 else None
    return field if field.get("type") in ("integer", "number") and "enum" not in field else None


def _ends(name: str, part: Mapping[str, Any], given: Any) -> Number:
    return Number(name, part["type"], _end(part, given, lowest=True), _end(part, given), given)


def _end(part: Mapping[str, Any], given: Any, *, lowest: bool = False) -> Any:
    """Return the least or the greatest number a schema allows, and near its bound where that is left out."""
    bound, away = ("minimum", 1) if lowest else ("maximum", -1)
    beyond = f"exclusive{bound.capitalize()}"
    if bound in part:
        return int(part[bound]) if part["type"] == "integer" else part[bound]
    if beyond in part:
        near = part[beyond] + away
        return int(near) if part["type"] == "integer" else (part[beyond] + (near if given is None else given)) / 2
    return (given or 0) - away * _OPEN


WAY = "; if options do not go together, refuse them: in Component(check=...), or by a pydantic model_validator"
# No object is built with numbers that are farther from nothing: it might take long, or all memory.
_REACH = 64


def demand_refusals(subject: Subject) -> None:
    """Raise Broken where a validator breaks down over values that its bounds allow."""
    for changes in at_ends(subject):
        try:
            read_options(subject.component, {**subject.values, **changes})
        except ValidationError:
            continue
        except Exception as error:  # noqa: BLE001 - whatever else a validator raises would be a traceback for the user
            way = "; a validator raises a ValueError, which becomes a sentence about the options"
            raise Broken(f"'{_written(changes)}' raises {raised(error, subject.component)}{way}") from None


def check_valid_options(subject: Subject) -> None:
    """Demand that the component's check has nothing against the given options, and tells of others in Problems."""
    if subject.component.check is None:
        raise NotApplicable("it has no check of its own")
    subject.installed()
    if refusals := [str(problem) for problem in _problems(subject, subject.options, "") if problem.exit_code]:
        raise Broken("; ".join(refusals))
    for options in _readable(subject, None):
        at = f"with {difference(subject, options)}, "
        try:
            _problems(subject, options, at)
        except TextclfError:
            continue
        except Broken:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            raise Broken(f"{at}check() raises {raised(error, subject.component)}") from None


def _problems(subject: Subject, options: Options, at: str) -> list[Problem]:
    """Return what the component's check says of options; Broken where that is not what textclf can tell a user."""
    asked = subject.component.check
    given = None if asked is None else asked(options)
    line = line_of(asked)
    if not isinstance(given, Iterable):
        raise Broken(f"{at}check() returns {type_name(given)}, not a list of textclf.Problem{line}")
    problems = list(given)
    strange = [p for p in problems if not isinstance(p, Problem)]
    if strange:
        raise Broken(f"{at}check() returns {type_name(strange[0])} in its list, not a textclf.Problem{line}")
    wrong = [p for p in problems if not (isinstance(p.message, str) and isinstance(p.path, tuple))]
    if wrong:
        raise Broken(f"{at}check() returns {wrong[0]!r}; a Problem has a str as message and a tuple as path{line}")
    if flaw := validate_problems(problems):
        raise Broken(f"{at}check() returns {flaw}{line}")
    for problem in problems:
        if fault := _untold(problem, type(options)):
            raise Broken(f"{at}check() returns a Problem {fault}{line}")
    return problems


def _untold(problem: Problem, options: type[Options]) -> str:
    """Say why a user cannot find what a Problem is about, or nothing."""
    if not problem.message.strip():
        return "without a message"
    fields = options.model_fields
    known = [field.alias or name for name, field in fields.items()]
    if not problem.path or problem.path[0] in {*known, *fields, "use"}:
        return ""
    near = did_you_mean(str(problem.path[0]), known) or f" (options: {listing(known) or 'none'})"
    return f"of the option '{problem.path[0]}', which there is not{near}"


def _builds_at_ends(subject: Subject) -> None:
    subject.installed()
    tried = 0
    for options in _readable(subject, _REACH):
        if forbids(subject, options):
            continue
        tried += 1
        try:
            subject.component.traits_of(options)
            subject.component.build(options)
        except (TextclfError, MemoryError):
            continue  # it cannot be had here
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            found = raised(error, subject.component)
            raise Broken(f"tried with {difference(subject, options)}: {found}{WAY}") from None
    if not tried:
        raise NotApplicable("it has no number among its options that can be changed")


def _readable(subject: Subject, reach: int | None) -> Iterator[Options]:
    """Give the options at the ends of their bounds that no validator refuses, and that are not the given ones."""
    for changes in at_ends(subject, reach):
        try:
            options = read_options(subject.component, {**subject.values, **changes})
        except Exception:  # noqa: BLE001 - what a validator raises is for the clauses of options to tell
            continue
        if options != subject.options:
            yield options


def _written(changes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value!r}" for name, value in changes.items())


ALLOWED: Check[Subject] = Check(
    Clause("component.allowed", "what its options and its check allow can be built", "a recipe may say it"),
    _builds_at_ends,
    after=("component.traits", "component.check", "component.build"),
)


def _leaves_its_own_alone(subject: Subject) -> None:
    options = subject.component.options
    own = inspect.getattr_static(options, "migrate")
    if own is inspect.getattr_static(Options, "migrate"):
        raise NotApplicable("it has no migrate of its own")
    if not isinstance(own, (classmethod, staticmethod)):
        raise Broken(f"migrate is no class method; write @classmethod above it{line_of(own)}")
    version = _version(options)
    asked = f"asked about options of its own version, '{version}'," if version else "asked with '' for no version,"
    line = line_of(own.__func__)
    try:
        values = options.migrate(version, options_as_json(subject.options))
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        raise Broken(f"{asked} migrate() raises {raised(error, subject.component)}") from None
    if not isinstance(values, dict):
        raise Broken(f"migrate() returns {type_name(values)}, not a dict of the values{line}")
    try:
        read = read_options(subject.component, values)
    except Exception as error:  # noqa: BLE001 - as above
        raise Broken(f"{asked} migrate() returns what the options refuse: {error_text(error)}{line}") from None
    if read != subject.options:
        raise Broken(f"{asked} migrate() changes them: {difference(subject, read)}{line}")


def _version(options: type[Options]) -> str:
    """Return the version of the distribution whose plugin the options are of; "" where it is no installed package."""
    package = options.__module__.partition(".")[0]
    entries = metadata.entry_points(group=GROUP)
    found = (entry.dist for entry in entries if entry.module.partition(".")[0] == package)
    return next((dist.version for dist in found if dist is not None), "")


MIGRATE: Check[Subject] = Check(
    Clause(
        "options.migrate",
        "what its own version saved, a migrate of its own leaves as it is",
        "every model is loaded through it",
    ),
    _leaves_its_own_alone,
    after=("options.json",),
)


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


def _defaults_are_valid(subject: Subject) -> None:
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
            details = (f"{'.'.join(map(str, path))}: {words}" for path, words in wrong.items())
            raise Broken("; ".join(details)) from None
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
            reason = error_text(error)
            raise Broken(f"'{name}: {values[name]!r}' is refused without naming '{name}': {reason}") from None
        return
    except Exception as error:  # noqa: BLE001 - whatever else a validator raises would be a traceback for the user
        raise Broken(f"'{name}: {values[name]!r}' raises {error_text(error)}") from None
    raise Broken(f"'{name}: {values[name]!r}' is taken")


def _traits_are_declared(subject: Subject) -> None:
    traits = subject.traits
    if not isinstance(traits, Traits):
        raise Broken(f"its traits are {type_name(traits)}, not textclf.Traits")
    if flaw := validate_traits(traits):
        asked = subject.component.traits
        raise Broken(f"traits() returns Traits with {flaw}{line_of(asked)}")
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
        raise Broken(f"it returns {type_name(built)}, which has no {', '.join(missing)}")


def _builds_again(subject: Subject) -> None:
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
        Clause("options.defaults", "every default is one that its option takes", "else users get errors of it"),
        _defaults_are_valid,
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
        check_valid_options,
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
        _builds_again,
        after=("component.build",),
    ),
    ALLOWED,
)
