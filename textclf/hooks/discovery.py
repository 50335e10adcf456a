"""Owns the way from installed entry points to a Registry: the only file that drives pluggy.

pluggy isolates nothing, so each entry point is loaded alone and each implementation called alone; what fails is
recorded against its plugin, and the rest works.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from importlib.resources.abc import Traversable
from types import ModuleType
from typing import Any, cast

import pluggy

from ..errors import closest, did_you_mean, kind_of
from ..version import VERSION
from . import hookspecs, versions
from .components import Component, Kind, Options, Traits
from .events import Event
from .registry import Offer, Plugin, Registry, sorted_plugins

GROUP = "textclf"
_HOOKS: dict[str, Kind] = {
    "textclf_datasets": "dataset",
    "textclf_encoders": "encoder",
    "textclf_trainers": "trainer",
    "textclf_metrics": "metric",
    "textclf_outputs": "output",
}
_PREFIX = "textclf_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_ALL_HOOKS = (*_HOOKS, "textclf_recipes", "textclf_event")


class _Manager(pluggy.PluginManager):
    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Count every function called `textclf_*` as an implementation, so that a misspelt one is found."""
        opts = super().parse_hookimpl_opts(plugin, name)
        if opts is None and name.startswith(_PREFIX) and inspect.isroutine(getattr(plugin, name, None)):
            opts = {
                "wrapper": False, "hookwrapper": False, "optionalhook": False,
                "tryfirst": False, "trylast": False, "specname": None,
            }  # fmt: skip
        return opts


def discover(plugins: Sequence[ModuleType | object] = (), *, entry_points: bool = True) -> Registry:
    """Load installed plugins and the given modules, call their hooks, and return what they offer.

    The names in the environment variable TEXTCLF_BLOCK, separated by commas, are kept out.
    """
    blocked = {name.strip() for name in os.environ.get("TEXTCLF_BLOCK", "").split(",")}
    found: list[tuple[Plugin, object | None]] = []
    if entry_points:
        found += [_load(e) for e in metadata.entry_points(group=GROUP) if e.name not in blocked]
    installed = [module for _, module in found]
    for module in plugins:
        if any(module is other for other in installed):
            continue
        name = getattr(module, "__name__", type(module).__name__)
        found.append((Plugin(name.removeprefix("textclf_"), name), module))
    return _collect(found)


def _load(entry: metadata.EntryPoint) -> tuple[Plugin, object | None]:
    name, version, requires = _read(entry.dist)
    identity = (entry.name, entry.value, name, version)
    bounds = versions.refused(requires, VERSION)
    if bounds:
        needed = f"needs {versions.DISTRIBUTION}{bounds}, and this is {VERSION}"
        return Plugin(*identity, reason=f"{needed}; install a version of '{identity[2]}' made for it"), None
    try:
        return Plugin(*identity), entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything at import, SystemExit included
        return Plugin(*identity, reason=f"fails at import: {_say(error)}"), None


def _collect(found: Sequence[tuple[Plugin, object | None]]) -> Registry:
    plugins: list[Plugin] = []
    offers: list[Offer] = []
    recipes: dict[str, list[tuple[Plugin, Traversable]]] = {}
    observers: list[tuple[Plugin, Callable[[Event], None]]] = []
    for plugin, module in sorted(found, key=lambda pair: (pair[0].name, pair[0].module)):
        if module is None:
            plugins.append(plugin)
            continue
        try:
            mine = _Answers(plugin, module)
        except _Broken as broken:
            plugins.append(Plugin(plugin.name, plugin.module, plugin.distribution, plugin.version, str(broken)))
            continue
        plugins.append(plugin)
        offers += mine.offers
        observers += mine.observers
        for stem, recipe in mine.recipes.items():
            recipes.setdefault(stem, []).append((plugin, recipe))
    modules = {plugin.module: module for plugin, module in found if module is not None}
    return Registry(sorted_plugins(plugins), offers, recipes, observers, modules)


class _Broken(Exception):  # noqa: N818 - it is a verdict on a plugin, caught one screen above
    pass


class _Answers:
    """What one plugin answers to each hook, checked."""

    def __init__(self, plugin: Plugin, module: object) -> None:
        self.plugin = plugin
        self.offers: list[Offer] = []
        self.recipes: dict[str, Traversable] = {}
        self.observers: list[tuple[Plugin, Callable[[Event], None]]] = []
        manager = _Manager(GROUP)
        manager.add_hookspecs(hookspecs)
        _register(manager, module)
        for hook, kind in _HOOKS.items():
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                self.offers += self._components(kind, hook, _call(hook, implementation.function))
        for implementation in manager.hook.textclf_recipes.get_hookimpls():
            self._recipes(_call("textclf_recipes", implementation.function))
        for implementation in manager.hook.textclf_event.get_hookimpls():
            self.observers.append((plugin, cast(Callable[[Event], None], implementation.function)))

    def _components(self, kind: Kind, hook: str, answer: Any) -> list[Offer]:
        if not isinstance(answer, Iterable) or isinstance(answer, str):
            raise _Broken(f"{hook}() returns {kind_of(answer)}, not a list of components")
        components = _call(hook, lambda: list(answer))
        for component in components:
            flaw = _flaw(component)
            if flaw:
                raise _Broken(f"{hook}() {flaw}")
        names = [component.name for component in components]
        for name in names:
            if names.count(name) > 1:
                raise _Broken(f"{hook}() offers '{name}' twice")
        return [Offer(kind, component, self.plugin) for component in components]

    def _recipes(self, folder: Any) -> None:
        try:
            for entry in folder.iterdir():
                if entry.name.endswith(".yaml") and entry.is_file():
                    self.recipes[entry.name.removesuffix(".yaml")] = entry
        except Exception as error:  # noqa: BLE001 - a Traversable of the plugin's own may raise anything
            raise _Broken(f"textclf_recipes() returns no readable folder: {_say(error)}") from None


def _flaw(component: Any) -> str:
    """Say what is wrong with a component as it is offered, or nothing."""
    if not isinstance(component, Component):
        return f"returns {kind_of(component)} in its list, not a Component"
    if not isinstance(component.name, str) or not _NAME.fullmatch(component.name):
        return f"offers a component with the unusable name {component.name!r}: letters, digits, '_' and '-' are allowed"
    named = f"offers '{component.name}'"
    if not (isinstance(component.options, type) and issubclass(component.options, Options)):
        return f"{named} with options that are not a subclass of textclf.Options"
    if "use" in component.options.model_fields:
        return f"{named} with an option called 'use', which in a recipe names the component"
    for field in ("build", "restore", "check"):
        value = getattr(component, field)
        if not callable(value) and (value is not None or field == "build"):
            return f"{named} with {kind_of(value)} as {field}, not a function"
    if not callable(component.traits) and not isinstance(component.traits, Traits):
        return f"{named} with {kind_of(component.traits)} as traits, not textclf.Traits"
    if not isinstance(component.needs, tuple) or not all(isinstance(need, str) for need in component.needs):
        return f"{named} with {kind_of(component.needs)} as needs, not a tuple of module names"
    return ""


def _register(manager: _Manager, module: object) -> None:
    for name in dir(module):
        if name.startswith(_PREFIX) and inspect.isroutine(getattr(module, name, None)):
            _check_hook(name, getattr(module, name))
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _Broken(" ".join(str(error).split())) from None


def _check_hook(name: str, function: Callable[..., Any]) -> None:
    """Refuse a function that no hook is called like, or that takes other arguments than its hook gives."""
    if name not in _ALL_HOOKS:
        # Without the prefix, which makes any two names look alike.
        near = closest(name.removeprefix(_PREFIX), [hook.removeprefix(_PREFIX) for hook in _ALL_HOOKS])
        meant = f"; did you mean '{_PREFIX}{near}'?" if near else f" (hooks: {', '.join(_ALL_HOOKS)})"
        raise _Broken(f"defines '{name}', which is no hook{meant}")
    given = list(inspect.signature(getattr(hookspecs, name)).parameters)
    taken = inspect.signature(function).parameters
    for argument, parameter in taken.items():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if argument not in given and parameter.default is parameter.empty and not variadic:
            gives = did_you_mean(argument, given) or f" (it gives {', '.join(given) or 'none'})"
            raise _Broken(f"{name}() takes the argument '{argument}', which the hook does not give{gives}")
    if any(argument not in taken for argument in given):
        raise _Broken(f"{name}() does not take the argument '{given[0]}', which the hook gives")


def _read(dist: metadata.Distribution | None) -> tuple[str, str, Sequence[str]]:
    """Return a distribution's name, version and requirements from one look: each of its properties parses all anew."""
    if dist is None:
        return "", "", ()
    about = dist.metadata
    return about["Name"], about["Version"], about.get_all("Requires-Dist") or dist.requires or ()


def _call(hook: str, function: Callable[..., Any]) -> Any:
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a plugin raises is that plugin's, and named so
        raise _Broken(f"{hook}() fails: {_say(error)}") from None


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
