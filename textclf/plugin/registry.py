"""The registry of installed plugins, their components, recipes and observers, and the versions of plugins."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..errors import PluginError, closest, did_you_mean, listing, with_article
from .component import KINDS, Component, Kind
from .events import Event

DISTRIBUTION = "textclf-engine"
BLOCK = "TEXTCLF_BLOCK"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin: the name of its entry point, its module, its distribution and version.

    error: why it is broken, or "". file: its path, as the user wrote it, where it is a single Python file. sha256: the
    digest of that file, or of the files of a module that a program passed. notes: its deprecated hooks.
    """

    name: str
    module: str
    distribution: str = ""
    version: str = ""
    error: str = ""
    file: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.file:
            return f"plugin {self.file}"
        return f"plugin {self.module} of {self.origin}" if self.is_third_party else f"plugin {self.module}"

    @property
    def broken(self) -> bool:
        return bool(self.error)

    @property
    def is_third_party(self) -> bool:
        """Whether another distribution than textclf-engine installs it."""
        return self.distribution not in ("", DISTRIBUTION)

    @property
    def origin(self) -> str:
        """The file, or the distribution with its version; "" for a module that a program passed."""
        return self.file or f"{self.distribution} {self.version}".strip()

    @property
    def fingerprint(self) -> str:
        """What changes when the plugin changes: its version, or the digest of its file."""
        return f"sha256:{self.sha256}" if self.sha256 else self.version

    @property
    def label(self) -> str:
        """The plugin in a list of plugins, without the word "plugin"."""
        if self.file:
            return self.file
        return f"{self.name} of {self.origin}" if self.is_third_party else self.name

    def hint(self, component: str) -> str:
        """Return what to do about one of its components that fails, to follow the error."""
        check = f"plugins check {component}"
        if self.file:
            return f"; see `textclf --plugin {shlex.quote(self.file)} {check}`"
        if self.is_third_party:
            return f"; report it to the authors of {self.distribution}, or see `textclf {check}`"
        return f"; see `textclf.testing.check_plugin({self.module})`" if self.sha256 else ""

    @property
    def disable_hint(self) -> str:
        """What to do about one of its observers that fails, to follow the error: no recipe names an observer."""
        if self.file:
            option = f"--plugin {shlex.quote(self.file)}"
            return f"; see `textclf {option} plugins check {self.name}`, or run without {option}"
        if self.is_third_party:
            return f"; report it to the authors of {self.distribution}, or block it: {BLOCK}={self.name}"
        if self.distribution:
            return f"; block it: {BLOCK}={self.name}"
        return f"; remove it from Engine(plugins=...), or see `textclf.testing.check_plugin({self.module})`"


@dataclass(frozen=True, slots=True)
class Registration:
    """A component and the plugin that offers it."""

    kind: Kind
    component: Component[Any, Any]
    plugin: Plugin

    def __str__(self) -> str:
        return f"{self.kind} '{self.component.name}' ({self.plugin})"


@dataclass(frozen=True, slots=True)
class Registry:
    """What is installed. The order in which plugins were found changes nothing.

    modules: the module or object of each plugin, by its module name. blocked: plugins that TEXTCLF_BLOCK names; they
    are not imported. warnings: names in TEXTCLF_BLOCK that no plugin has.
    """

    plugins: Sequence[Plugin] = ()
    registrations: Sequence[Registration] = ()
    recipes: Mapping[str, Sequence[tuple[Plugin, Traversable]]] = field(default_factory=dict)
    observers: Sequence[tuple[Plugin, Callable[[Event], None]]] = ()
    modules: Mapping[str, object] = field(default_factory=dict)
    blocked: Sequence[Plugin] = ()
    warnings: Sequence[str] = ()

    def names(self, kind: Kind) -> list[str]:
        return sorted({each.component.name for each in self.registrations if each.kind == kind})

    def of(self, plugin: Plugin) -> list[Registration]:
        return [each for each in self.registrations if each.plugin == plugin]

    def recipes_of(self, plugin: Plugin) -> list[str]:
        return sorted(stem for stem, found in self.recipes.items() if any(by == plugin for by, _ in found))

    def find(self, kind: Kind, name: str) -> Registration:
        """Return the component of that kind and name; a PluginError where there is none, or more than one."""
        found = [each for each in self.registrations if each.kind == kind and each.component.name == name]
        if not found:
            raise PluginError(self.missing(kind, name))
        if len(found) > 1:
            plugins = [each.plugin for each in found]
            both = " and ".join(f"{p.module} ({p.file or p.distribution or 'no distribution'})" for p in plugins)
            own = [p.file for p in plugins if p.file] or [p.module for p in plugins if not p.distribution]
            hint = f"rename the one in {own[0]}" if own else "uninstall one of them"
            raise PluginError(f"{kind} '{name}' is offered by {both}; {hint}")
        return found[0]

    def named(self, name: str) -> tuple[Plugin | None, list[Registration]]:
        """Return the plugin of that name or module, if any, with its components and all others of that name.

        A PluginError where nothing has that name.
        """
        plugin = next((plugin for plugin in self.plugins if name in (plugin.name, plugin.module)), None)
        found = [each for each in self.registrations if each.plugin == plugin or each.component.name == name]
        if plugin is not None or found:
            return plugin, found
        if any(name in (plugin.name, plugin.module) for plugin in self.blocked):
            raise PluginError(f"plugin '{name}' is blocked by {BLOCK}; remove it from there first")
        known = sorted({each.component.name for each in self.registrations} | {plugin.name for plugin in self.plugins})
        notes = f"{did_you_mean(name, known)}{self.broken_note()}{self.blocked_note()}"
        raise PluginError(f"no component or plugin is called '{name}'{notes}; see 'textclf plugins'")

    def missing(self, kind: Kind, name: str) -> str:
        """Return the message that no component has that name, with the one that was probably meant."""
        message = f"no {kind} is called '{name}'"
        others = [k for k in KINDS if k != kind and name in self.names(k)]
        near = closest(name, self.names(kind))
        if others:
            message += f"; '{name}' is {with_article(others[0])}, not {with_article(kind)}"
        elif near:
            message += f"; did you mean '{near}'?"
        message += f" (installed: {listing(self.names(kind)) or 'none'})"
        return message + self.broken_note() + self.blocked_note()

    def broken_note(self) -> str:
        """Return which plugins are broken and why, to follow what is missing."""
        broken = [f"{plugin.label} ({plugin.error})" for plugin in self.plugins if plugin.broken]
        return f"; broken plugins: {'; '.join(broken)}" if broken else ""

    def blocked_note(self) -> str:
        """Return which plugins TEXTCLF_BLOCK blocks, to follow what is missing."""
        return f"; blocked by {BLOCK}: {listing([plugin.name for plugin in self.blocked])}" if self.blocked else ""

    def is_blocked(self, module: str) -> bool:
        return any(plugin.module == module for plugin in self.blocked)

    def broken_offering(self, name: str) -> Plugin | None:
        """Return the broken plugin that a component of that name most likely belongs to."""
        for plugin in self.plugins:
            if plugin.broken and name in (plugin.name, plugin.module, plugin.module.removeprefix("textclf_")):
                return plugin
        return None


def find_recipe(recipes: Mapping[str, Sequence[tuple[Plugin, Traversable]]], stem: str) -> Traversable:
    """Return the bundled recipe of that stem; a PluginError where two plugins offer it."""
    found = recipes[stem]
    if len(found) > 1:
        both = " and ".join(plugin.module for plugin, _ in found)
        raise PluginError(f"recipe '{stem}' is offered by {both}; uninstall one of them or name a file")
    return found[0][1]


def sorted_plugins(plugins: Iterable[Plugin]) -> list[Plugin]:
    return sorted(plugins, key=lambda plugin: (plugin.name, plugin.module))


def unmet_requirement(requirements: Iterable[str], version: str) -> str:
    """Return the bounds that a plugin sets on textclf-engine and that `version` does not meet, or "".

    Requirements of an extra do not count, nor those that cannot be parsed.
    """
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        of_extra = requirement.marker is not None and "extra" in str(requirement.marker)
        if canonicalize_name(requirement.name) != DISTRIBUTION or of_extra:
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            return str(requirement.specifier)
    return ""


def compatible(saved: Mapping[str, Any], plugin: Plugin) -> str:
    """Return why `plugin` cannot read what another plugin has saved, to follow its name, or "" where it can.

    saved: that other plugin, with the keys `plugin` (its module), `version`, `distribution`, `file` and `sha256`, as
    `Step.to_json` writes them. A package reads what its older versions have saved, never what newer ones have. A file
    has no version: other content may mean anything, so it must be the same file.
    """
    keys = ("plugin", "version", "distribution", "file", "sha256")
    module, version, distribution, file, sha256 = (str(saved.get(key, "")) for key in keys)
    if sha256 and plugin.sha256 and sha256 != plugin.sha256:
        return f"has changed: {file or module} had sha256 {sha256[:12]}, and has {plugin.sha256[:12]} now"
    if not distribution or not plugin.distribution:
        return ""
    if module != plugin.module and distribution != plugin.distribution:
        install = to_install(distribution, version)
        return f"is another plugin than {module} of {distribution} {version}; {install}, and uninstall the other"
    if older(plugin.version, version):
        of = "" if plugin.is_third_party else f" of {DISTRIBUTION}"
        return f"has version {plugin.version}{of}, older than {version}; {to_install(plugin.distribution, version)}"
    return ""


def older(installed: str, saved: str) -> bool:
    """Return whether `installed` is an older version than `saved`; False where one is not a version."""
    try:
        return Version(installed) < Version(saved)
    except InvalidVersion:
        return False


def to_install(distribution: str, version: str, how: str = ">=") -> str:
    """Return the command that installs a distribution in that version or, with `how` ">=", in a newer one."""
    try:
        # A specifier takes no local part, such as 1.2+cpu.
        return f"pip install '{distribution}{how}{Version(version).public}'"
    except InvalidVersion:
        return f"pip install {distribution}"
