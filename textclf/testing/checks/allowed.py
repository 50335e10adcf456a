"""Owns what a component does with options at the ends of their bounds: they are refused in words, or work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from ...errors import Problem, TextclfError, did_you_mean, kind_of, listing
from ...plugin.component import Options
from ...plugin.step import flaw_of_codes
from ..clauses import Broken, Check, Clause, NotApplicable, line_of, raised
from .alternatives import difference, forbids
from .extremes import at_ends
from .subject import Subject, read_options

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


def check_sound_options(subject: Subject) -> None:
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
    line = line_of(asked, subject.component)
    if not isinstance(given, Iterable):
        raise Broken(f"{at}check() returns {kind_of(given)}, not a list of textclf.Problem{line}")
    problems = list(given)
    strange = [p for p in problems if not isinstance(p, Problem)]
    if strange:
        raise Broken(f"{at}check() returns {kind_of(strange[0])} in its list, not a textclf.Problem{line}")
    wrong = [p for p in problems if not (isinstance(p.message, str) and isinstance(p.path, tuple))]
    if wrong:
        raise Broken(f"{at}check() returns {wrong[0]!r}; a Problem has a str as message and a tuple as path{line}")
    if flaw := flaw_of_codes(problems):
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
