"""Owns what may be wrong with what a plugin defines and offers, hooks and components, and where its own code failed."""

from __future__ import annotations

import gc
import inspect
import re
import traceback
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ..errors import closest, did_you_mean, kind_of, said
from . import hookspecs
from .components import Component, Options, Traits, flaw_of_traits

PREFIX = "textclf_"
MARK = "textclf_impl"  # what pluggy's marker leaves on a function that is a hook by another name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
# What a plugin is made with is not its own code.
_OTHERS = {"", "textclf", "builtins", "functools"}


def flaw_of_hook(name: str, today: str, found: Any, hooks: Sequence[str]) -> str:
    """Say what is wrong with a name of a plugin that looks like a hook, or nothing where it is one, or is none.

    today: the hook's name, where `name` is an old one.
    """
    if not inspect.isroutine(found):
        return f"'{name}' is {kind_of(found)}, not a function" if today in hooks else ""
    if today not in hooks:
        # Without the prefix, which makes any two names look alike.
        near = closest(name.removeprefix(PREFIX), [hook.removeprefix(PREFIX) for hook in hooks])
        meant = f"; did you mean '{PREFIX}{near}'?" if near else f" (hooks: {', '.join(hooks)})"
        return f"defines '{name}', which is no hook{meant}"
    given = list(inspect.signature(getattr(hookspecs, today)).parameters)
    taken = inspect.signature(found).parameters
    for argument, parameter in taken.items():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if argument not in given and parameter.default is parameter.empty and not variadic:
            gives = did_you_mean(argument, given) or f" (it gives {', '.join(given) or 'none'})"
            return f"{name}() takes the argument '{argument}', which the hook does not give{gives}"
    if any(argument not in taken for argument in given):
        return f"{name}() does not take the argument '{given[0]}', which the hook gives"
    return ""


def is_named_as_hook(name: str, found: object) -> bool:
    """Tell whether something looks like a hook: by its name, or by pluggy's marker."""
    return name.startswith(PREFIX) or hasattr(found, MARK)


def has_hooks(thing: object) -> bool:
    """Tell whether an object defines anything that is a hook or looks like one, or does not let itself be looked at."""
    try:
        return any(is_named_as_hook(name, getattr(thing, name, None)) for name in dir(thing))
    except Exception:  # noqa: BLE001 - a property of the object's own may raise anything; discovery says what
        return True


def flaw_of_component(component: Any) -> str:
    """Say what is wrong with a component as it is offered, or nothing."""
    if not isinstance(component, Component):
        return f"returns {kind_of(component)} in its list, not a Component"
    if not isinstance(component.name, str) or not _NAME.fullmatch(component.name):
        return f"offers a component with the unusable name {component.name!r}: letters, digits, '_' and '-' are allowed"
    named = f"offers '{component.name}'"
    if not (isinstance(component.options, type) and issubclass(component.options, Options)):
        return f"{named} with options that are not a subclass of textclf.Options"
    if reason := _unfinished(component.options):
        return f"{named} with options that are not fully defined: {reason}"
    if any("use" in (name, field.alias) for name, field in component.options.model_fields.items()):
        return f"{named} with an option called 'use', which in a recipe names the component"
    for field in ("build", "restore", "check"):
        value = getattr(component, field)
        if not callable(value) and (value is not None or field == "build"):
            return f"{named} with {kind_of(value)} as {field}, not a function"
    if not callable(component.traits) and not isinstance(component.traits, Traits):
        return f"{named} with {kind_of(component.traits)} as traits, not textclf.Traits"
    if isinstance(component.traits, Traits) and (flaw := flaw_of_traits(component.traits)):
        return f"{named} with {flaw}"
    for field in ("summary", "install"):
        if not isinstance(getattr(component, field), str):
            return f"{named} with {kind_of(getattr(component, field))} as {field}, not a str"
    if not isinstance(component.needs, tuple) or not all(isinstance(need, str) for need in component.needs):
        return f"{named} with {kind_of(component.needs)} as needs, not a tuple of module names"
    for need in component.needs:
        if not all(part.isidentifier() for part in need.split(".")):
            way = "name what is imported, such as 'sklearn', and what pip installs, 'scikit-learn', as `install`"
            return f"{named}, which needs '{need}', and no module can be called so; {way}"
    return ""


def _unfinished(options: type[Options]) -> str:
    """Say why options cannot be validated, or nothing; some are whole only when they are first asked for."""
    try:
        if not options.__pydantic_complete__:
            options.model_rebuild()
    except Exception as error:  # noqa: BLE001 - types of a plugin's own may raise anything
        return said(error)
    return ""


def own_line(error: BaseException, *owners: object) -> str | None:
    """Return "shape.py:12": the last line of a plugin's own code that an error came through, or None without any.

    owners: what the plugin is known by, such as its module, the module's name, a component, a hook or an object of its
    own. What stands under the same top packages is its own code.
    """
    own = _packages(owners)
    places = [
        _place(frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _package(frame.f_globals.get("__name__")) in own
    ]
    return places[-1] if places else None


def first_line(function: object, *owners: object) -> str | None:
    """Return "shape.py:12": where a function of a plugin's own code begins, or None where it is none; as `own_line`."""
    code = getattr(function, "__code__", None)
    if code is None or _package(getattr(function, "__module__", None)) not in _packages(owners):
        return None
    return _place(code.co_filename, code.co_firstlineno)


def called_line(error: BaseException, *owners: object) -> str | None:
    """Return where the function, or the class, of a plugin's own begins that a TypeError says was called wrongly.

    Python calls it not at all, so that no frame of it is left; the words begin with its name: "Out.write() takes 2".
    """
    name, call, _ = str(error).partition("() ") if type(error) is TypeError else ("", "", "")
    if not call:
        return None
    own = _packages(owners)
    known = [owner for owner in owners if isinstance(owner, Component)]
    mine = [part for one in known for part in (one.build, one.restore, one.check, one.traits)]
    for candidates in (mine, gc.get_objects()):
        found = {_beginning(each) for each in candidates if _is_called(each, name, own)} - {""}
        if found:
            # Of several without a name of their own nobody can tell which it was.
            return found.pop() if len(found) == 1 else None
    return None


def _is_called(thing: Any, name: str, own: set[str]) -> bool:
    # By its own type: a proxy would make what it stands for.
    return type(thing) in (FunctionType, type) and thing.__qualname__ == name and _package(thing.__module__) in own


def _beginning(thing: Any) -> str:
    if isinstance(thing, FunctionType):
        return _place(thing.__code__.co_filename, thing.__code__.co_firstlineno)
    try:
        return _place(inspect.getfile(thing), inspect.getsourcelines(thing)[1])
    except (OSError, TypeError):
        return ""


def _packages(owners: Iterable[object]) -> set[str]:
    return {_package(name) for owner in owners for name in _modules(owner)} - _OTHERS


def _package(module: object) -> str:
    return str(module or "").partition(".")[0]


def _modules(owner: object) -> Iterator[str]:
    """Give the names of the modules that an owner is, or is defined in."""
    if isinstance(owner, str):
        yield owner.partition(":")[0]
    elif isinstance(owner, ModuleType):
        yield owner.__name__
    elif isinstance(owner, Component):
        for part in (owner.build, owner.restore, owner.check, owner.options, owner.traits):
            yield from _modules(part)
    elif isinstance(owner, partial):
        yield from _modules(owner.func)
    else:
        yield str(getattr(owner, "__module__", None) or type(owner).__module__)


def _place(file: str, line: int | None) -> str:
    path = Path(file)
    return f"{path.parent.name}/{path.name}:{line}" if path.name == "__init__.py" else f"{path.name}:{line}"
