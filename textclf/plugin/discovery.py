"""Discovery of plugins: from entry points to a registry. Only this file drives pluggy.

pluggy isolates nothing, so each entry point is loaded alone and each implementation called alone; what fails is
recorded against its plugin, and the rest works.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, wraps
from importlib import metadata
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from .. import __version__
from ..errors import PluginError, closest, did_you_mean, error_text, type_name
from . import hookspecs, registry, single_file
from .component import PREFIX, Kind, failing_line, validate_component
from .events import Event
from .registry import BLOCK, Plugin, Registration, Registry, sorted_plugins


def blocked_names() -> tuple[str, ...]:
    """Return the names in the variable, which are separated by commas."""
    return tuple(name.strip() for name in os.environ.get(BLOCK, "").split(",") if name.strip())


def blocks(name: str, plugin: Plugin) -> bool:
    """Tell whether the name is that of the plugin, of its module or of its distribution."""
    return _canonical(name) in map(_canonical, _names(plugin))


def unknown_blocks(names: Sequence[str], installed: Iterable[Plugin]) -> list[str]:
    """Return a warning for each of these names that no installed plugin has."""
    plugins = list(installed)
    known = sorted({name for plugin in plugins for name in _names(plugin) if name})
    return [
        f"{BLOCK} names '{name}', and no installed plugin is called so{did_you_mean(name, known)}"
        for name in names
        if not any(blocks(name, plugin) for plugin in plugins)
    ]


def _names(plugin: Plugin) -> tuple[str, ...]:
    return plugin.name, plugin.module.partition(":")[0], plugin.distribution


def _canonical(name: str) -> str:
    """Return a name as pip compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def trace(line: str) -> None:
    """Write a line to stderr where TEXTCLF_TRACE is set."""
    if _is_tracing():
        sys.stderr.write(f"textclf: trace: {' '.join(line.split())}\n")


def _is_tracing() -> bool:
    return os.environ.get("TEXTCLF_TRACE", "0") not in ("", "0")


@contextmanager
def traced() -> Iterator[Callable[[str], None]]:
    """Yield a function that traces a line with the milliseconds since the block began."""
    began = time.perf_counter()
    yield lambda line: trace(f"{line} ({(time.perf_counter() - began) * 1000:.1f} ms)")


def traced_observer(plugin: Plugin, observer: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return the observer; where TEXTCLF_TRACE is set, one that traces each event."""
    if not _is_tracing():
        return observer

    @wraps(observer)
    def observe(event: Event) -> None:
        with traced() as line:
            what = f"textclf_event({type(event).__name__}) of {_full_name(plugin)}"
            try:
                observer(event)
            except BaseException as error:
                line(f"{what} fails: {type(error).__name__}")
                raise
            line(f"{what} returns")

    return observe


def _full_name(plugin: Plugin) -> str:
    """Return "plugin textclf_shout (textclf-shout 1.0.0)"."""
    return f"plugin {plugin.module} ({plugin.origin or 'passed by a program'})"


GROUP = "textclf"
_HOOKS: dict[str, Kind] = {
    "textclf_datasets": "dataset",
    "textclf_encoders": "encoder",
    "textclf_trainers": "trainer",
    "textclf_metrics": "metric",
    "textclf_outputs": "output",
}
_ALL_HOOKS = (*_HOOKS, "textclf_recipes", "textclf_event")

_Found = tuple[Plugin, object | None]


class _Manager(pluggy.PluginManager):
    def parse_hookspec_opts(self, module_or_class: ModuleType | type, name: str) -> pluggy.HookspecOpts | None:
        """Look at the hooks alone: the page of hooks has more names of others, and is read for each plugin."""
        return super().parse_hookspec_opts(module_or_class, name) if name.startswith(PREFIX) else None

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Count every function called `textclf_*` as an implementation, so that a misspelt one is found."""
        opts = super().parse_hookimpl_opts(plugin, name)
        if opts is None and name.startswith(PREFIX) and inspect.isroutine(getattr(plugin, name, None)):
            opts = {
                "wrapper": False, "hookwrapper": False, "optionalhook": False,
                "tryfirst": False, "trylast": False, "specname": _now(name) if name in hookspecs.DEPRECATED else None,
            }  # fmt: skip
        return opts


def _now(hook: str) -> str:
    """Return what a hook is called today."""
    return hookspecs.DEPRECATED.get(hook, (hook, ""))[0]


def _notes(module: object) -> tuple[str, ...]:
    """Return what of a plugin goes in a later version, and what takes its place."""
    old = [(name, *renamed) for name, renamed in hookspecs.DEPRECATED.items() if hasattr(module, name)]
    return tuple(f"{name}() is now {new}(); the old name goes in textclf-engine {until}" for name, new, until in old)


def discover(
    plugins: Sequence[ModuleType | object | str | Path] = (),
    *,
    entry_points: bool = True,
) -> Registry:
    """Load installed plugins, these modules and Python files, call their hooks, and return what they offer.

    Plugins that the environment variable TEXTCLF_BLOCK names, separated by commas, are not loaded. Raises a RecipeError
    where a file does not exist, and a PluginError where it has the name of another plugin.
    """
    names = blocked_names() if entry_points else ()
    blocked: list[Plugin] = []
    found = list(_load_installed(names, blocked)) if entry_points else []
    warnings = unknown_blocks(names, [*blocked, *(plugin for plugin, _ in found)])
    for each in plugins:
        plugin, module = _load_passed(each)
        if not _is_among(found, plugin, module):
            found.append((plugin, module))
    _refuse_same_names([plugin for plugin, _ in found])
    return replace(_collect(found), blocked=sorted_plugins(blocked), warnings=warnings)


def _load_installed(names: Sequence[str], blocked: list[Plugin]) -> Iterable[_Found]:
    """Load the installed plugins except those of these names, which are added to the blocked ones."""
    about = cache(_read)  # several plugins may come from one distribution
    for entry in metadata.entry_points(group=GROUP):
        distribution, version, requires = about(entry.dist)
        plugin = Plugin(entry.name, entry.value, distribution, version)
        if any(blocks(name, plugin) for name in names):
            blocked.append(plugin)
            trace(f"plugin '{entry.name}' is blocked by {BLOCK}")
            continue
        with traced() as line:
            plugin, module = _load(entry, distribution, version, requires)
            line(f"{_full_name(plugin)} {plugin.error or 'is imported'}")
        yield plugin, module


def _load_passed(module: object) -> _Found:
    if isinstance(module, (str, Path)):
        with traced() as line:
            plugin, loaded = single_file.find(str(module))
            line(f"{_full_name(plugin)} {plugin.error or 'is imported'}")
        return plugin, loaded
    name = getattr(module, "__name__", type(module).__name__)
    return Plugin(name.removeprefix(PREFIX), name, sha256=single_file.digest_of(module)), module


def _is_among(found: Iterable[_Found], plugin: Plugin, module: object | None) -> bool:
    """Tell whether a plugin is one that was found: the same module, or the same file, which is broken."""
    if module is None:
        return any((known.module, known.sha256) == (plugin.module, plugin.sha256) for known, _ in found)
    return any(module is other for _, other in found)


def _refuse_same_names(plugins: Sequence[Plugin]) -> None:
    """Refuse a file that has the name of another plugin: records and models identify plugins by their modules."""
    for plugin in plugins:
        others = [other for other in plugins if other is not plugin and other.module == plugin.module]
        if plugin.file and others:
            other = others[0]
            installed = not other.file and other.distribution
            hint = f", or block the installed one: {BLOCK}={other.name}" if installed else ""
            name = _full_name(other) if installed else str(other)
            raise PluginError(f"{plugin} has the name of {name}; rename the file{hint}")


def _load(entry: metadata.EntryPoint, name: str, version: str, requires: Sequence[str]) -> _Found:
    identity = (entry.name, entry.value, name, version)
    bounds = registry.unmet_requirement(requires, __version__)
    if bounds:
        needed = f"needs {registry.DISTRIBUTION}{bounds}, and this is {__version__}"
        return Plugin(*identity, error=f"{needed}; install a version of '{identity[2]}' made for it"), None
    try:
        return Plugin(*identity), entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything at import, SystemExit included
        return Plugin(*identity, error=f"fails at import: {error_text(error)}{failing_line(error, entry.value)}"), None


def _collect(found: Sequence[_Found]) -> Registry:
    plugins: list[Plugin] = []
    offers: list[Registration] = []
    recipes: dict[str, list[tuple[Plugin, Traversable]]] = {}
    observers: list[tuple[Plugin, Callable[[Event], None]]] = []
    for plugin, module in sorted(found, key=lambda pair: (pair[0].name, pair[0].module)):
        if module is None:
            plugins.append(plugin)
            continue
        try:
            plugin = replace(plugin, notes=_notes(module))
            mine = _call_hooks(plugin, module)
        except _Broken as broken:
            trace(f"{_full_name(plugin)} is broken: {broken}")
            plugins.append(replace(plugin, error=str(broken)))
            continue
        plugins.append(plugin)
        offers += mine.registrations
        observers += mine.observers
        for stem, recipe in mine.recipes.items():
            recipes.setdefault(stem, []).append((plugin, recipe))
    modules = {plugin.module: module for plugin, module in found if module is not None}
    return Registry(sorted_plugins(plugins), offers, recipes, observers, modules)


def _call_hooks(plugin: Plugin, module: object) -> _Results:
    """Return what the hooks of a plugin return; _Broken where it, or inspecting it, raises anything."""
    try:
        return _Results(plugin, module)
    except (_Broken, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - a property or a signature of the plugin's own may raise anything
        raise _Broken(f"cannot be inspected: {error_text(error)}") from None


class _Broken(Exception):  # noqa: N818 - it is the state of a plugin, caught in this file
    pass


class _Results:
    """What the hooks of one plugin return, validated."""

    def __init__(self, plugin: Plugin, module: object) -> None:
        self.plugin, self._module = plugin, module
        self.registrations: list[Registration] = []
        self.recipes: dict[str, Traversable] = {}
        self.observers: list[tuple[Plugin, Callable[[Event], None]]] = []
        manager = _Manager(GROUP)
        manager.add_hookspecs(hookspecs)
        _register(manager, module)
        for hook, kind in _HOOKS.items():
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                with traced() as line:
                    made = self._components(kind, hook, self._call(hook, implementation.function))
                    line(self._returned(hook, [f"{kind} '{offer.component.name}'" for offer in made]))
                self.registrations += made
        for implementation in manager.hook.textclf_recipes.get_hookimpls():
            with traced() as line:
                self._recipes(self._call("textclf_recipes", implementation.function))
                line(self._returned("textclf_recipes", [f"recipe '{stem}'" for stem in self.recipes]))
        for implementation in manager.hook.textclf_event.get_hookimpls():
            self.observers.append((plugin, implementation.function))  # type: ignore[arg-type]

    def _call(self, hook: str, function: Callable[..., Any]) -> Any:
        try:
            return function()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a plugin raises is that plugin's, and named so
            place = failing_line(error, getattr(self._module, hook, self._module).__module__)
            raise _Broken(f"{hook}() fails: {error_text(error)}{place}") from None

    def _returned(self, hook: str, names: Sequence[str]) -> str:
        return f"{hook}() of {_full_name(self.plugin)} returns {', '.join(names) or 'nothing'}"

    def _components(self, kind: Kind, hook: str, returned: Any) -> list[Registration]:
        if not isinstance(returned, Iterable) or isinstance(returned, str):
            raise _Broken(f"{hook}() returns {type_name(returned)}, not a list of components")
        components = self._call(hook, lambda: list(returned))
        for component in components:
            if wrong := validate_component(component):
                raise _Broken(f"{hook}() {wrong}")
        names = [component.name for component in components]
        for name in names:
            if names.count(name) > 1:
                raise _Broken(f"{hook}() offers '{name}' twice")
        return [Registration(kind, component, self.plugin) for component in components]

    def _recipes(self, folder: Any) -> None:
        try:
            for entry in folder.iterdir():
                if entry.name.endswith(".yaml") and entry.is_file():
                    self.recipes[entry.name.removesuffix(".yaml")] = entry
        except Exception as error:  # noqa: BLE001 - a Traversable of the plugin's own may raise anything
            raise _Broken(f"textclf_recipes() returns no readable folder: {error_text(error)}") from None


def _register(manager: _Manager, module: object) -> None:
    for name in dir(module):
        found = getattr(module, name, None) if name.startswith(PREFIX) else None
        if name.startswith(PREFIX) and (wrong := validate_hook(name, _now(name), found, _ALL_HOOKS)):
            raise _Broken(wrong)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _Broken(" ".join(str(error).split())) from None
    if not manager.get_hookcallers(module):
        raise _Broken("has no hook; define one, such as textclf_encoders()")


def _read(dist: metadata.Distribution | None) -> tuple[str, str, Sequence[str]]:
    """Return a distribution's name, version and requirements; each property of `dist` would parse its metadata again.

    Only the header is read, a field a line: parsing the description behind it would take most of the time.
    """
    if dist is None:
        return "", "", ()
    fields: dict[str, list[str]] = {}
    for line in (dist.read_text("METADATA") or "").partition("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.lower(), []).append(value.strip())
    if "name" in fields and "version" in fields:
        return fields["name"][0], fields["version"][0], fields.get("requires-dist", ())
    about = dist.metadata
    return about["Name"], about["Version"], about.get_all("Requires-Dist") or dist.requires or ()


def validate_hook(name: str, today: str, found: Any, hooks: Sequence[str]) -> str:
    """Return what is wrong with a name of a plugin that looks like a hook, or "".

    today: the hook's present name, where `name` is an old one.
    """
    if not inspect.isroutine(found):
        return f"'{name}' is {type_name(found)}, not a function" if today in hooks else ""
    if today not in hooks:
        # Without the prefix, which makes any two names look alike.
        near = closest(name.removeprefix(PREFIX), [hook.removeprefix(PREFIX) for hook in hooks])
        meant = f"; did you mean '{PREFIX}{near}'?" if near else f" (hooks: {', '.join(hooks)})"
        return f"defines '{name}', which is no hook{meant}"
    specified = list(inspect.signature(getattr(hookspecs, today)).parameters)
    parameters = inspect.signature(found).parameters
    for argument, parameter in parameters.items():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if argument not in specified and parameter.default is parameter.empty and not variadic:
            known = did_you_mean(argument, specified) or f" (it has {', '.join(specified) or 'none'})"
            return f"{name}() takes the argument '{argument}', which the hook does not have{known}"
        if parameter.kind is parameter.KEYWORD_ONLY and argument in specified:
            return f"{name}() takes '{argument}' as a keyword only, and hooks are called with positions; remove the '*'"
    if any(argument not in parameters for argument in specified):
        return f"{name}() does not take the argument '{specified[0]}' of the hook"
    return ""
