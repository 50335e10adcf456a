"""Overrides `--set KEY=VALUE`: their grammar, and what setting a value does to a recipe's other values."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import KeyPath, Location, Problem, RecipeError
from .settings import SINGLE_STEPS, STEP_LISTS
from .yaml12 import load_value, nowhere

_EXAMPLE = "write KEY=VALUE, such as trainer.epochs=1"
# What cannot begin a text in YAML, unless the text is in quotes.
_MARKS = frozenset("!*#&%@`,]}")


@dataclass(frozen=True, slots=True)
class Override:
    """One value to set, and the flag it came with, as messages show it."""

    path: KeyPath
    value: Any
    place: Location


class _Nowhere(Exception):  # noqa: N818 - caught where it becomes a Problem
    pass


def read(flags: Sequence[str]) -> tuple[list[Override], list[Problem]]:
    """Return what the flags set, the general before the special, so that their order does not matter."""
    overrides: list[Override] = []
    problems: list[Problem] = []
    for flag in flags:
        place = nowhere(f"--set {flag}")
        key, equals, text = flag.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            problems.append(Problem(_EXAMPLE, (), place))
            continue
        path = tuple(parts)
        try:
            document = load_value(text, place.source)
        except RecipeError as error:
            found = [replace(problem, path=()) for problem in error.problems]
        else:
            found = list(document.problems)
        problems += [replace(_quoting(problem, key, text).under(*path), location=place) for problem in found]
        if not found:
            overrides.append(Override(path, document.values, place))
    return sorted(overrides, key=_generality), problems


def _quoting(problem: Problem, key: str, text: str) -> Problem:
    """Add what to type for a text that begins with a mark of YAML, in quotes of the shell around those of YAML."""
    if text.strip()[:1] not in _MARKS:
        return problem
    hint = ", as in" if "quote" in problem.message else "; put text in quotes, as in"
    written = f"{key.strip()}={json.dumps(text.strip(), ensure_ascii=False)}"
    return replace(problem, message=f"{problem.message}{hint} {shlex.quote(written)}")


def _generality(override: Override) -> int:
    # Naming the component comes before its options.
    return len(override.path) * 2 - (override.path[-1] == "use")


def apply(
    values: dict[str, Any], overrides: Sequence[Override]
) -> tuple[dict[str, Any], list[Override], list[Problem]]:
    """Return a copy of `values` with overrides set, the overrides that were set, and a problem for each other one."""
    values = copy.deepcopy(values)
    done: list[Override] = []
    problems: list[Problem] = []
    for override in overrides:
        try:
            done.append(replace(override, path=_set(values, override.path, override.value)))
        except _Nowhere as reason:
            problems.append(Problem(str(reason), override.path, override.place))
    return values, done, problems


def _set(values: dict[str, Any], wanted: KeyPath, value: Any) -> KeyPath:
    """Set one value and return the path of what was replaced."""
    holder: Any = values
    path: KeyPath = ()
    for part in wanted[:-1]:
        step = _step(holder, part, path)
        path = (*path, step)
        child = holder.get(step) if isinstance(holder, dict) else holder[step]
        if isinstance(child, str) and _is_step(path):
            child = {"use": child}
        holder[step] = {} if child is None else child
        holder = holder[step]
    last = _step(holder, wanted[-1], path)
    if last == "use" and _is_step(path) and holder.get("use") != value:
        # The options of one component mean nothing to another.
        holder.clear()
        holder["use"] = value
        return path
    holder[last] = copy.deepcopy(value)
    return (*path, last)


def _step(holder: Any, part: str | int, path: KeyPath) -> str | int:
    """Return the key or the index that `part` is in `holder`."""
    dotted = ".".join(str(part) for part in path)
    if isinstance(holder, dict):
        return part
    if not isinstance(holder, list):
        raise _Nowhere(f"'{dotted}' is a single value, which has nothing below it")
    if not (str(part).isdecimal() and int(part) < len(holder)):
        raise _Nowhere(f"'{dotted}' is a list of {len(holder)}, which has no entry '{part}'")
    return int(part)


def _is_step(path: KeyPath) -> bool:
    return (len(path) == 1 and path[0] in SINGLE_STEPS) or (len(path) == 2 and path[0] in STEP_LISTS.values())
