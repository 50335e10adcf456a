"""Owns the way from installed entry points to a Registry: the only file that drives pluggy.

pluggy isolates nothing, so each entry point is loaded alone and each implementation called alone; what fails is
recorded against its plugin, and the rest works.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pluggy

from ..errors import PluginError, closest, did_you_mean, kind_of, said
from ..version import VERSION
from . import hookspecs, loose, trace, versions
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

_Found = tuple[Plugin, object | None]


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


def discover(
    plugins: Sequence[ModuleType | object | str | Path] = (),
    *,
    entry_points: bool = True,
    say: trace.Say | None = None,
) -> Registry:
    """Load installed plugins, the given modules and Python files, call their hooks, and return what they offer.

    The names in the environment variable TEXTCLF_BLOCK, separated by commas, are kept out. say: takes a line about
    each step and each answer. A PluginError where a file does not do: it was asked for by name.
    """
    found = list(_installed(say)) if entry_points else []
    for given in plugins:
        plugin, module = _given(given, say)
        if not any(module is other for _, other in found):
            found.append((plugin, module))
    _refuse_namesakes([plugin for plugin, _ in found])
    return _collect(found, say)


def _installed(say: trace.Say | None) -> Iterable[_Found]:
    blocked = {name.strip() for name in os.environ.get("TEXTCLF_BLOCK", "").split(",")}
    for entry in metadata.entry_points(group=GROUP):
        if entry.name not in blocked:
            with trace.timed(say) as told:
                plugin, module = _load(entry)
                told(f"{trace.named(plugin)} {plugin.reason or 'is imported'}")
            yield plugin, module
        elif say:
            say(f"plugin '{entry.name}' is kept out by TEXTCLF_BLOCK")


def _given(given: object, say: trace.Say | None) -> _Found:
    if isinstance(given, (str, Path)):
        with trace.timed(say) as told:
            plugin, module = loose.load(str(given))
            told(f"{trace.named(plugin)} is run")
        return plugin, module
    name = getattr(given, "__name__", type(given).__name__)
    return Plugin(name.removeprefix(_PREFIX), name, sha256=loose.digest_of(given)), given


def _refuse_namesakes(plugins: Sequence[Plugin]) -> None:
    """Refuse a file that is called like another plugin: records and models tell plugins by their modules."""
    for plugin in plugins:
        others = [other for other in plugins if other is not plugin and other.module == plugin.module]
        if plugin.file and others:
            other = others[0]
            installed = not other.file and other.distribution
            way = f", or keep the installed one out: TEXTCLF_BLOCK={other.name}" if installed else ""
            whence = trace.named(other) if installed else str(other)
            raise PluginError(f"{plugin} has the name of {whence}; rename the file{way}")


def _load(entry: metadata.EntryPoint) -> _Found:
    dist = entry.dist
    identity = (entry.name, entry.value, dist.name if dist else "", dist.version if dist else "")
    bounds = versions.refused(dist.requires or () if dist else (), VERSION)
    if bounds:
        needed = f"needs {versions.DISTRIBUTION}{bounds}, and this is {VERSION}"
        return Plugin(*identity, reason=f"{needed}; install a version of '{identity[2]}' made for it"), None
    try:
        return Plugin(*identity), entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything at import, SystemExit included
        return Plugin(*identity, reason=f"fails at import: {said(error)}"), None


def _collect(found: Iterable[_Found], say: trace.Say | None) -> Registry:
    plugins: list[Plugin] = []
    offers: list[Offer] = []
    recipes: dict[str, list[tuple[Plugin, Traversable]]] = {}
    observers: list[tuple[Plugin, Callable[[Event], None]]] = []
    for plugin, module in sorted(found, key=lambda pair: (pair[0].name, pair[0].module)):
        if module is None:
            plugins.append(plugin)
            continue
        try:
            mine = _Answers(plugin, module, say)
        except _Broken as broken:
            if say:
                say(f"{trace.named(plugin)} is broken: {broken}")
            if plugin.file:
                raise PluginError(f"{plugin}: {broken}") from None
            plugins.append(replace(plugin, reason=str(broken)))
            continue
        plugins.append(plugin)
        offers += mine.offers
        observers += mine.observers
        for stem, recipe in mine.recipes.items():
            recipes.setdefault(stem, []).append((plugin, recipe))
    return Registry(sorted_plugins(plugins), offers, recipes, observers)


class _Broken(Exception):  # noqa: N818 - it is a verdict on a plugin, caught one screen above
    pass


class _Answers:
    """What one plugin answers to each hook, checked."""

    def __init__(self, plugin: Plugin, module: object, say: trace.Say | None) -> None:
        self.plugin, self._say = plugin, say
        self.offers: list[Offer] = []
        self.recipes: dict[str, Traversable] = {}
        self.observers: list[tuple[Plugin, Callable[[Event], None]]] = []
        manager = _Manager(GROUP)
        manager.add_hookspecs(hookspecs)
        _register(manager, module)
        for hook, kind in _HOOKS.items():
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                with self._traced(hook) as answer:
                    made = self._components(kind, hook, _call(hook, implementation.function))
                    answer([f"{kind} '{offer.component.name}'" for offer in made])
                self.offers += made
        for implementation in manager.hook.textclf_recipes.get_hookimpls():
            with self._traced("textclf_recipes") as answer:
                self._recipes(_call("textclf_recipes", implementation.function))
                answer([f"recipe '{stem}'" for stem in self.recipes])
        for implementation in manager.hook.textclf_event.get_hookimpls():
            self.observers.append((plugin, cast(Callable[[Event], None], implementation.function)))

    @contextmanager
    def _traced(self, hook: str) -> Iterator[Callable[[list[str]], None]]:
        with trace.timed(self._say) as told:
            yield lambda made: told(f"{hook}() of {trace.named(self.plugin)} answers {', '.join(made) or 'nothing'}")

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
            raise _Broken(f"textclf_recipes() returns no readable folder: {said(error)}") from None


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


def _call(hook: str, function: Callable[..., Any]) -> Any:
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a plugin raises is that plugin's, and named so
        raise _Broken(f"{hook}() fails: {said(error)}") from None
