"""Owns the way from installed entry points to a Registry: the only file that drives pluggy.

pluggy isolates nothing, so each entry point is loaded alone and each implementation called alone; what fails is
recorded against its plugin, and the rest works.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from importlib.resources.abc import Traversable
from types import ModuleType
from typing import Any, cast

import pluggy

from .. import __version__
from ..errors import closest
from . import hookspecs, versions
from .components import Component, Kind, Options
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
_ALL_HOOKS = (*_HOOKS, "textclf_recipes", "textclf_event")


class _Manager(pluggy.PluginManager):
    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Count every function called `textclf_*` as an implementation, so that a misspelt one is found."""
        opts = super().parse_hookimpl_opts(plugin, name)
        if opts is None and name.startswith("textclf_") and inspect.isfunction(getattr(plugin, name, None)):
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
    for module in plugins:
        name = getattr(module, "__name__", type(module).__name__)
        found.append((Plugin(name.removeprefix("textclf_"), name), module))
    return _collect(found)


def _load(entry: metadata.EntryPoint) -> tuple[Plugin, object | None]:
    dist = entry.dist
    identity = (entry.name, entry.value, dist.name if dist else "", dist.version if dist else "")
    bounds = versions.refused(dist.requires or () if dist else (), __version__)
    if bounds:
        needed = f"needs {versions.DISTRIBUTION}{bounds}, and this is {__version__}"
        return Plugin(*identity, reason=f"{needed}; install a version of '{identity[2]}' made for it"), None
    try:
        return Plugin(*identity), entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything at import, SystemExit included
        return Plugin(*identity, reason=f"fails at import: {_say(error)}"), None


def _collect(found: Iterable[tuple[Plugin, object | None]]) -> Registry:
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
    return Registry(sorted_plugins(plugins), offers, recipes, observers)


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
        try:
            components = list(answer)
        except TypeError:
            raise _Broken(f"{hook}() returns {_kind_of(answer)}, not a list of components") from None
        for component in components:
            if not isinstance(component, Component):
                raise _Broken(f"{hook}() returns {_kind_of(component)} in its list, not a Component")
            if not isinstance(component.name, str) or not component.name.replace("_", "a").replace("-", "a").isalnum():
                raise _Broken(f"{hook}() offers a component with the unusable name {component.name!r}")
            if not (isinstance(component.options, type) and issubclass(component.options, Options)):
                raise _Broken(f"{hook}(): the options of '{component.name}' are not a subclass of textclf.Options")
            if not callable(component.build):
                raise _Broken(f"{hook}(): the build of '{component.name}' is {_kind_of(component.build)}, no function")
        return [Offer(kind, component, self.plugin) for component in components]

    def _recipes(self, folder: Any) -> None:
        try:
            for entry in folder.iterdir():
                if entry.name.endswith(".yaml"):
                    self.recipes[entry.name.removesuffix(".yaml")] = entry
        except (AttributeError, OSError) as error:
            raise _Broken(f"textclf_recipes() returns no readable folder: {_say(error)}") from None


def _register(manager: _Manager, module: object) -> None:
    for name in dir(module):
        if name.startswith("textclf_") and inspect.isfunction(getattr(module, name)) and name not in _ALL_HOOKS:
            near = closest(name, _ALL_HOOKS)
            meant = f"; did you mean '{near}'?" if near else f" (hooks: {', '.join(_ALL_HOOKS)})"
            raise _Broken(f"defines '{name}', which is no hook{meant}")
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _Broken(" ".join(str(error).split())) from None


def _call(hook: str, function: Callable[..., Any]) -> Any:
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a plugin raises is that plugin's, and named so
        raise _Broken(f"{hook}() fails: {_say(error)}") from None


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _kind_of(value: Any) -> str:
    name = type(value).__name__
    return "nothing" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
