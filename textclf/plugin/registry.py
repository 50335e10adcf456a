"""Registered components, recipes and observers, broken plugins, and versions."""

from __future__ import annotations

import operator
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any

from ..errors import PluginError, closest, did_you_mean, listing, with_article
from .component import KINDS, Component, Kind
from .events import Event

DISTRIBUTION = "textclf-engine"
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
_BOUND = re.compile(r"\s*(>=|<=|<|>)\s*(\d+(?:\.\d+)*)\s*")
_HOLDS: dict[str, Callable[[list[int], list[int]], bool]] = {
    ">=": operator.ge, "<=": operator.le, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


def refused(requirements: Iterable[str], version: str) -> str:
    """Return the bounds on textclf-engine that the version does not keep, or an empty string.

    A requirement of an extra says nothing about the plugin itself; one that cannot be read is kept.
    """
    ours = [text for text in requirements if text.strip().lower().replace("_", "-").startswith(DISTRIBUTION)]
    # The bounds that nearly all have are read here: importing packaging takes as long as ten plugins do.
    ours = [text for text in ours if not _plainly_kept(text, version)]
    if not ours:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in ours:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        other = requirement.name.lower().replace("_", "-") != DISTRIBUTION
        if other or (requirement.marker is not None and "extra" in str(requirement.marker)):
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            return str(requirement.specifier)
    return ""


def _plainly_kept(requirement: str, version: str) -> bool:
    """Tell whether a requirement is nothing but bounds of plain numbers, as ">=0.1,<1", and the version keeps them."""
    bounds = requirement.strip()[len(DISTRIBUTION) :]
    found = [_BOUND.fullmatch(bound) for bound in bounds.split(",")]
    if not _NUMBERS.fullmatch(version):
        return False
    return all(match and _HOLDS[match[1]](*_padded(version, match[2])) for match in found)


def _padded(one: str, other: str) -> tuple[list[int], list[int]]:
    """Return the parts of two plain versions, equally many: 1 is 1.0."""
    parts = [[int(part) for part in version.split(".")] for version in (one, other)]
    longest = max(map(len, parts))
    first, second = (part + [0] * (longest - len(part)) for part in parts)
    return first, second


def older(installed: str, saved: str) -> bool:
    """Tell whether the installed version is certainly older than the one that saved a model."""
    if installed == saved or not installed or not saved:
        return False
    from packaging.version import InvalidVersion, Version

    try:
        return Version(installed) < Version(saved)
    except InvalidVersion:
        return False


def to_install(distribution: str, version: str, how: str = ">=") -> str:
    """Return the command that installs a distribution in a version, or a newer one; how: "==" for that one alone."""
    from packaging.version import InvalidVersion, Version

    try:
        # A specifier takes no local part, such as 1.2+cpu.
        bound = f"{how}{Version(version).public}"
    except InvalidVersion:
        return f"pip install {distribution}"
    return f"pip install '{distribution}{bound}'"


BLOCK = "TEXTCLF_BLOCK"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin: its entry point's name, its module, distribution and version, and, when broken, why.

    file: that it was read from where it is no package, as it was named. sha256: of that file, or of the files of a
    module that a program gave. notes: what of it is deprecated.
    """

    name: str
    module: str
    distribution: str = ""
    version: str = ""
    reason: str = ""
    file: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.file:
            return f"plugin {self.file}"
        return f"plugin {self.module} of {self.origin}" if self.strange else f"plugin {self.module}"

    @property
    def broken(self) -> bool:
        return bool(self.reason)

    @property
    def strange(self) -> bool:
        """Tell whether it comes from a distribution that is not textclf's own."""
        return self.distribution not in ("", DISTRIBUTION)

    @property
    def origin(self) -> str:
        """Return the file, or the distribution with its version; nothing of a module that a program gave."""
        return self.file or f"{self.distribution} {self.version}".strip()

    @property
    def edition(self) -> str:
        """Return what tells one content of the plugin from another: the version, or the digest of a file."""
        return f"sha256:{self.sha256}" if self.sha256 else self.version

    def remedy(self, component: str) -> str:
        """Return what can be done about a component of it that breaks its contract, to stand behind the fault."""
        check = f"plugins check {component}"
        if self.file:
            return f"; see `textclf --plugin {shlex.quote(self.file)} {check}`"
        if self.strange:
            return f"; report it to the authors of {self.distribution}, or see `textclf {check}`"
        return f"; see `textclf.testing.check_plugin({self.module})`" if self.sha256 else ""

    @property
    def without(self) -> str:
        """Return what can be done about an observer of it that fails, to stand behind the fault: no recipe names it."""
        if self.file:
            option = f"--plugin {shlex.quote(self.file)}"
            return f"; see `textclf {option} plugins check {self.name}`, or leave {option} out"
        if self.strange:
            return f"; report it to the authors of {self.distribution}, or keep it out: TEXTCLF_BLOCK={self.name}"
        if self.distribution:
            return f"; keep it out: TEXTCLF_BLOCK={self.name}"
        return f"; mend it, or leave it out of Engine(plugins=...): `textclf.testing.check_plugin({self.module})`"


@dataclass(frozen=True, slots=True)
class Offer:
    """A component and the plugin that offers it."""

    kind: Kind
    component: Component[Any, Any]
    plugin: Plugin


@dataclass(frozen=True, slots=True)
class Registry:
    """What is installed. Names decide, never the order in which plugins were found.

    blocked: what TEXTCLF_BLOCK keeps out; it was not even imported. warnings: what is to be known beside that.
    """

    plugins: Sequence[Plugin] = ()
    offers: Sequence[Offer] = ()
    recipes: Mapping[str, Sequence[tuple[Plugin, Traversable]]] = field(default_factory=dict)
    observers: Sequence[tuple[Plugin, Callable[[Event], None]]] = ()
    modules: Mapping[str, object] = field(default_factory=dict)  # what plugins were found in, by the plugin's module
    blocked: Sequence[Plugin] = ()
    warnings: Sequence[str] = ()

    def names(self, kind: Kind) -> list[str]:
        return sorted({offer.component.name for offer in self.offers if offer.kind == kind})

    def of(self, plugin: Plugin) -> list[Offer]:
        return [offer for offer in self.offers if offer.plugin == plugin]

    def recipes_of(self, plugin: Plugin) -> list[str]:
        return sorted(stem for stem, found in self.recipes.items() if any(by == plugin for by, _ in found))

    def named(self, name: str) -> tuple[Plugin | None, list[Offer]]:
        """Return the plugin that is called so, by name or module, or None, and what it offers or is called so itself.

        A PluginError where nothing is called so.
        """
        plugin = next((plugin for plugin in self.plugins if name in (plugin.name, plugin.module)), None)
        offers = [o for o in self.offers if o.plugin == plugin or o.component.name == name]
        if plugin is not None or offers:
            return plugin, offers
        if any(name in (plugin.name, plugin.module) for plugin in self.blocked):
            raise PluginError(f"plugin '{name}' is kept out by {BLOCK}; take it out of there first")
        known = sorted({offer.component.name for offer in self.offers} | {plugin.name for plugin in self.plugins})
        near = did_you_mean(name, known)
        why = f"{self.out_of_order()}{self.kept_out()}"
        raise PluginError(f"no component or plugin is called '{name}'{near}{why}; see 'textclf plugins'")

    def find(self, kind: Kind, name: str) -> Offer:
        """Return the one component of that kind and name; a PluginError where there is none, or more than one."""
        found = [offer for offer in self.offers if offer.kind == kind and offer.component.name == name]
        if len(found) > 1:
            both = " and ".join(f"{o.plugin.module} ({_whence(o.plugin)})" for o in found)
            loose = [o.plugin.file for o in found if o.plugin.file]
            loose += [o.plugin.module for o in found if not o.plugin.file and not o.plugin.distribution]
            way = f"rename that of {loose[0]}" if loose else "uninstall one of them"
            raise PluginError(f"{kind} '{name}' is offered by {both}; {way}")
        if found:
            return found[0]
        raise PluginError(self.missing(kind, name))

    def missing(self, kind: Kind, name: str) -> str:
        """Say that no component is called so: what was meant, of which other kind it is, or which plugin is broken."""
        message = f"no {kind} is called '{name}'"
        others = [k for k in KINDS if k != kind and name in self.names(k)]
        near = closest(name, self.names(kind))
        if others:
            message += f"; '{name}' is {with_article(others[0])}, not {with_article(kind)}"
        elif near:
            message += f"; did you mean '{near}'?"
        message += f" (installed: {listing(self.names(kind)) or 'none'})"
        return message + self.out_of_order() + self.kept_out()

    def out_of_order(self) -> str:
        """Say which plugins are broken and why, to stand behind what is missing; nothing where there are none."""
        broken = [f"{_named(plugin)} ({plugin.reason})" for plugin in self.plugins if plugin.broken]
        return f"; broken plugins: {'; '.join(broken)}" if broken else ""

    def kept_out(self) -> str:
        """Say which plugins TEXTCLF_BLOCK keeps out, to stand behind what is missing; nothing where there are none."""
        return f"; kept out by {BLOCK}: {listing([plugin.name for plugin in self.blocked])}" if self.blocked else ""

    def keeps_out(self, module: str) -> bool:
        return any(plugin.module == module for plugin in self.blocked)

    def broken_offering(self, name: str) -> Plugin | None:
        """Return the broken plugin that a component's name most likely belongs to, or None."""
        for plugin in self.plugins:
            if plugin.broken and name in (plugin.name, plugin.module, plugin.module.removeprefix("textclf_")):
                return plugin
        return None


def check_recipes(recipes: Mapping[str, Sequence[tuple[Plugin, Traversable]]], stem: str) -> Traversable:
    """Return the bundled recipe of that stem; a PluginError where two plugins offer it."""
    found = recipes[stem]
    if len(found) > 1:
        both = " and ".join(plugin.module for plugin, _ in found)
        raise PluginError(f"recipe '{stem}' is offered by {both}; uninstall one of them or name a file")
    return found[0][1]


def _whence(plugin: Plugin) -> str:
    return plugin.file or plugin.distribution or "no distribution"


def _named(plugin: Plugin) -> str:
    if plugin.file:
        return plugin.file
    return f"{plugin.name} of {plugin.origin}" if plugin.strange else plugin.name


def sorted_plugins(plugins: Iterable[Plugin]) -> list[Plugin]:
    return sorted(plugins, key=lambda p: (p.name, p.module))
