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
from ..errors import PluginError, closest, did_you_mean, kind_of, said
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


def unused(names: Sequence[str], installed: Iterable[Plugin]) -> list[str]:
    """Say of each name that no installed plugin is called so."""
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


Say = Callable[[str], None]


def trace_writer() -> Say | None:
    """Return what writes a line to stderr where TEXTCLF_TRACE is set, and None where it is not."""
    return _write if os.environ.get("TEXTCLF_TRACE", "0") not in ("", "0") else None


def _write(line: str) -> None:
    sys.stderr.write(f"textclf: trace: {' '.join(line.split())}\n")


def named(plugin: Plugin) -> str:
    """Return who answers: "plugin textclf_shout (textclf-shout 1.0.0)"."""
    return f"plugin {plugin.module} ({plugin.origin or 'given by a program'})"


@contextmanager
def timed(say: Say | None) -> Iterator[Say]:
    """Yield what says a line with the milliseconds since the block began; nothing where nobody listens."""
    if say is None:
        yield lambda line: None
        return
    began, listener = time.perf_counter(), say
    yield lambda line: listener(f"{line} ({(time.perf_counter() - began) * 1000:.1f} ms)")


def observing(plugin: Plugin, observer: Callable[[Event], None], say: Say | None) -> Callable[[Event], None]:
    """Return the observer, with a line for each event that it takes where somebody listens."""
    if say is None:
        return observer

    @wraps(observer)
    def traced(event: Event) -> None:
        with timed(say) as told:
            what = f"textclf_event({type(event).__name__}) of {named(plugin)}"
            try:
                observer(event)
            except BaseException as error:
                told(f"{what} fails: {type(error).__name__}")
                raise
            told(f"{what} takes it")

    return traced


def by_place(function: Callable[..., Any]) -> Callable[[Event], None]:
    """Return what takes an event by place, also of a function that takes it by name alone."""
    event = inspect.signature(function).parameters.get("event")
    if event is None or event.kind is not event.KEYWORD_ONLY:
        return function

    @wraps(function)
    def observe(event: Event) -> Any:
        return function(event=event)

    return observe


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
    say: Say | None = None,
) -> Registry:
    """Load installed plugins, the given modules and Python files, call their hooks, and return what they offer.

    What the environment variable TEXTCLF_BLOCK names, separated by commas, is kept out. say: takes a line about each
    step and each answer. A RecipeError where there is no such file, a PluginError where it is called like a plugin.
    """
    names = blocked_names() if entry_points else ()
    blocked: list[Plugin] = []
    found = list(_installed(names, blocked, say)) if entry_points else []
    warnings = unused(names, [*blocked, *(plugin for plugin, _ in found)])
    for given in plugins:
        plugin, module = _given(given, say)
        if not _is_among(found, plugin, module):
            found.append((plugin, module))
    _refuse_namesakes([plugin for plugin, _ in found])
    return replace(_collect(found, say), blocked=sorted_plugins(blocked), warnings=warnings)


def _installed(names: Sequence[str], blocked: list[Plugin], say: Say | None) -> Iterable[_Found]:
    """Load the installed plugins but for those of the names, which are added to the blocked ones."""
    about = cache(_read)  # several plugins may come from one distribution
    for entry in metadata.entry_points(group=GROUP):
        distribution, version, requires = about(entry.dist)
        plugin = Plugin(entry.name, entry.value, distribution, version)
        if any(blocks(name, plugin) for name in names):
            blocked.append(plugin)
            if say:
                say(f"plugin '{entry.name}' is blocked by {BLOCK}")
            continue
        with timed(say) as told:
            plugin, module = _load(entry, distribution, version, requires)
            told(f"{named(plugin)} {plugin.error or 'is imported'}")
        yield plugin, module


def _given(given: object, say: Say | None) -> _Found:
    if isinstance(given, (str, Path)):
        with timed(say) as told:
            plugin, module = single_file.find(str(given))
            told(f"{named(plugin)} {plugin.error or 'is run'}")
        return plugin, module
    name = getattr(given, "__name__", type(given).__name__)
    return Plugin(name.removeprefix(PREFIX), name, sha256=single_file.digest_of(given)), given


def _is_among(found: Iterable[_Found], plugin: Plugin, module: object | None) -> bool:
    """Tell whether a plugin is one that was found: the same module, or the same file, which is broken."""
    if module is None:
        return any((known.module, known.sha256) == (plugin.module, plugin.sha256) for known, _ in found)
    return any(module is other for _, other in found)


def _refuse_namesakes(plugins: Sequence[Plugin]) -> None:
    """Refuse a file that is called like another plugin: records and models tell plugins by their modules."""
    for plugin in plugins:
        others = [other for other in plugins if other is not plugin and other.module == plugin.module]
        if plugin.file and others:
            other = others[0]
            installed = not other.file and other.distribution
            way = f", or block the installed one: {BLOCK}={other.name}" if installed else ""
            whence = named(other) if installed else str(other)
            raise PluginError(f"{plugin} has the name of {whence}; rename the file{way}")


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
        return Plugin(*identity, error=f"fails at import: {said(error)}{failing_line(error, entry.value)}"), None


def _collect(found: Sequence[_Found], say: Say | None) -> Registry:
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
            mine = _asked(plugin, module, say)
        except _Broken as broken:
            if say:
                say(f"{named(plugin)} is broken: {broken}")
            plugins.append(replace(plugin, error=str(broken)))
            continue
        plugins.append(plugin)
        offers += mine.registrations
        observers += mine.observers
        for stem, recipe in mine.recipes.items():
            recipes.setdefault(stem, []).append((plugin, recipe))
    modules = {plugin.module: module for plugin, module in found if module is not None}
    return Registry(sorted_plugins(plugins), offers, recipes, observers, modules)


def _asked(plugin: Plugin, module: object, say: Say | None) -> _Answers:
    """Return what a plugin answers; whatever it, or looking at it, raises is that plugin's."""
    try:
        return _Answers(plugin, module, say)
    except (_Broken, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - a property or a signature of the plugin's own may raise anything
        raise _Broken(f"cannot be looked at: {said(error)}") from None


class _Broken(Exception):  # noqa: N818 - it is a verdict on a plugin, caught one screen above
    pass


class _Answers:
    """What one plugin answers to each hook, checked."""

    def __init__(self, plugin: Plugin, module: object, say: Say | None) -> None:
        self.plugin, self._module, self._say = plugin, module, say
        self.registrations: list[Registration] = []
        self.recipes: dict[str, Traversable] = {}
        self.observers: list[tuple[Plugin, Callable[[Event], None]]] = []
        manager = _Manager(GROUP)
        manager.add_hookspecs(hookspecs)
        _register(manager, module)
        for hook, kind in _HOOKS.items():
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                with self._traced(hook) as answer:
                    made = self._components(kind, hook, self._call(hook, implementation.function))
                    answer([f"{kind} '{offer.component.name}'" for offer in made])
                self.registrations += made
        for implementation in manager.hook.textclf_recipes.get_hookimpls():
            with self._traced("textclf_recipes") as answer:
                self._recipes(self._call("textclf_recipes", implementation.function))
                answer([f"recipe '{stem}'" for stem in self.recipes])
        for implementation in manager.hook.textclf_event.get_hookimpls():
            self.observers.append((plugin, by_place(implementation.function)))

    def _call(self, hook: str, function: Callable[..., Any]) -> Any:
        try:
            return function()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a plugin raises is that plugin's, and named so
            place = failing_line(error, getattr(self._module, hook, self._module).__module__)
            raise _Broken(f"{hook}() fails: {said(error)}{place}") from None

    @contextmanager
    def _traced(self, hook: str) -> Iterator[Callable[[list[str]], None]]:
        with timed(self._say) as told:
            yield lambda made: told(f"{hook}() of {named(self.plugin)} answers {', '.join(made) or 'nothing'}")

    def _components(self, kind: Kind, hook: str, answer: Any) -> list[Registration]:
        if not isinstance(answer, Iterable) or isinstance(answer, str):
            raise _Broken(f"{hook}() returns {kind_of(answer)}, not a list of components")
        components = self._call(hook, lambda: list(answer))
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
            raise _Broken(f"textclf_recipes() returns no readable folder: {said(error)}") from None


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
    """Return a distribution's name, version and requirements from one look: each of its properties parses all anew.

    The head alone is read, a field a line: parsing the description behind it as well would take most of the time.
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
