"""Resuming: what has changed since a run began, and options migrated to newer plugins."""

from __future__ import annotations

import copy
import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ArtefactError, PluginError, Problem
from ..files import digest, write_file
from ..model.folder import migrated
from ..plugin.component import Kind
from ..plugin.registry import Plugin, Registration, Registry, to_install
from ..plugin.step import validate_options
from ..recipe.plan import Plan
from ..recipe.recipe import Recipe
from .folder import RECIPE, RunFolder, open_run, versions

# Where a run keeps the files that were its plugins, for a person to look at and to give again; nothing loads them.
PLUGINS = "plugins"


def made_with(plan: Plan) -> dict[str, Any]:
    """Return what the record tells of the plan's plugins: their versions or digests, and the files that were given."""
    files = {module: file for module, (file, _) in plan.plugin_files().items()}
    return {"plugins": plan.plugins(), **({"plugin_files": files} if files else {})}


def keep_plugins(folder: RunFolder, plan: Plan) -> None:
    """Copy the files that are plugins into the run; one that has changed since it was read is left out."""
    for module, (file, sha256) in plan.plugin_files().items():
        kept = folder.path / PLUGINS / f"{module}.py"
        with suppress(OSError):
            source = Path(file).read_bytes()
            if hashlib.sha256(source).hexdigest() == sha256:
                kept.parent.mkdir(exist_ok=True)
                write_file(kept, partial(_write, source))


def files_of(run: Path) -> dict[str, str]:
    """Return where the files lie that were a run's plugins, by module: as they were named, or else as the run kept it.

    Nothing is said of those whose contents are others now.
    """
    try:
        record = open_run(run).record
    except ArtefactError:
        return {}
    found: dict[str, str] = {}
    for module, file in record.get("plugin_files", {}).items():
        sha256 = str(record.get("plugins", {}).get(module, "")).removeprefix("sha256:")
        for place in (file, str(run / PLUGINS / f"{module}.py")):
            if _has(Path(place), sha256):
                found.setdefault(module, place)
    return found


def _has(place: Path, sha256: str) -> bool:
    try:
        return place.is_file() and digest(place) == sha256
    except OSError:
        return False


def refuse_absent(folder: RunFolder, registry: Registry) -> None:
    """Refuse to go on with a run one of whose plugins is not here, and say how to bring it."""
    here = {plugin.module for plugin in registry.plugins}
    files: Mapping[str, str] = folder.record.get("plugin_files", {})
    for module, version in folder.record.get("plugins", {}).items():
        if module not in here and module in files:
            flags = _flags({**files, **files_of(folder.path)}.values())
            way = f"textclf {flags} resume {shlex.quote(str(folder.path))}"
            raise PluginError(f"{folder.path} was made with the plugin file '{files[module]}': {way}")
        if module not in here:
            if registry.is_blocked(module):
                blocked = registry.blocked_note()
                raise PluginError(f"{folder.path} was made with plugin {_told(module, version)}{blocked}")
            way = "give it to the Engine again" if version[:7] in ("", "sha256:") else "install it"
            raise PluginError(f"{folder.path} was made with plugin {_told(module, version)}, which is not here; {way}")


def as_it_was(folder: RunFolder, plugins: Iterable[Plugin]) -> str:
    """Say how to have plugins again as a run began with them, to stand before what else can be done, or nothing.

    Nothing is said of textclf's own: they come in the version that textclf has.
    """
    then: Mapping[str, str] = folder.record.get("plugins", {})
    changed = {plugin.module: plugin for plugin in plugins if then.get(plugin.module, "") != plugin.fingerprint}
    old = [file for module, file in files_of(folder.path).items() if module in changed]
    ways = [f"give {_flags(old)}, which is as it was, "] if old else []
    packages = {p.distribution: then.get(module, "") for module, p in changed.items() if p.is_third_party}
    ways += [f"{to_install(name, version, '==')}, " for name, version in packages.items() if version]
    return "".join(ways)


def refuse_changes(folder: RunFolder, plan: Plan) -> None:
    """Refuse to go on with a run whose recipe, plugins or libraries are not those it began with."""
    then: dict[str, Any] = {**folder.record.get("versions", {}), **folder.record.get("plugins", {})}
    now: dict[str, Any] = {**versions(), **plan.plugins()}
    changed = [
        f"{name} was {_version(then, name)} and is {_version(now, name)}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    # As it was asked for, or with the options that fix what was chosen: `runs.fixing` may be killed between the two.
    written = {folder.record.get("recipe_sha256"), folder.record.get("recipe_asked_sha256")}
    if digest(folder.path / RECIPE) not in written:
        changed.insert(0, f"{RECIPE} was edited")
    if changed:
        way = as_it_was(folder, (step.plugin for step in plan.steps()))
        raise ArtefactError(
            f"{folder.path} cannot be resumed to the same result: {'; '.join(changed)}; "
            f"{way}run the recipe anew, or resume with --allow-changed"
        )


def _flags(files: Iterable[str]) -> str:
    return " ".join(f"--plugin {shlex.quote(file)}" for file in files)


def _version(versions: Mapping[str, Any], name: str) -> str:
    return shortened(str(versions.get(name, "absent"))) or "without a version"


def shortened(version: str) -> str:
    """Return a plugin's version, or as much of a file's digest as tells it from others."""
    return version[: len("sha256:") + 12] if version.startswith("sha256:") else version


def _told(module: str, version: str) -> str:
    return f"{module} ({shortened(version)})" if version else module


def _write(source: bytes, part: Path) -> None:
    part.write_bytes(source)


_SINGLE: tuple[Kind, ...] = ("dataset", "encoder", "trainer")
_LISTS: tuple[tuple[Kind, str], ...] = (("metric", "metrics"), ("output", "outputs"))


@dataclass(frozen=True, slots=True)
class _Changed:
    """A step of a run's recipe whose plugin is another edition than the one it began with. step: its mapping."""

    registration: Registration
    edition: str
    step: dict[str, Any]

    @property
    def version(self) -> str:
        """Return the version that the run began with; a file has none."""
        return "" if self.edition.startswith("sha256:") else self.edition

    def options(self) -> dict[str, Any]:
        return {name: value for name, value in self.step.items() if name != "use"}

    def fault(self, problems: list[Problem]) -> str:
        """Say that the installed plugin cannot read the options, and why."""
        plugin = self.registration.plugin
        began, now = shortened(self.edition), shortened(plugin.fingerprint)
        reasons = "; ".join(str(problem) for problem in problems)
        return (
            f"{self.registration} cannot read the options of the run, which began with {began or 'no version'}, and "
            f"this is {now or 'none'}: {reasons}"
        )


def refuse_unreadable(folder: RunFolder, recipe: Recipe, registry: Registry) -> None:
    """Refuse to go on with a run whose options a plugin that has changed cannot read, and say how to have it again."""
    for changed in _changed(folder, recipe.values, registry):
        _, problems = validate_options(changed.registration, changed.options())
        if problems:
            again = as_it_was(folder, [changed.registration.plugin])
            raise ArtefactError(
                f"{folder.path} cannot be resumed: {changed.fault(problems)}; {again}run the recipe anew, or resume "
                f"with --allow-changed, which has the plugin translate them"
            )


def in_todays_terms(folder: RunFolder, recipe: Recipe, registry: Registry) -> Recipe:
    """Return a run's recipe with the options of plugins that have changed migrated by them."""
    values = copy.deepcopy(recipe.values)
    for changed in _changed(folder, values, registry):
        options = migrated(changed.registration, changed.version, changed.options())
        _, problems = validate_options(changed.registration, options)
        if problems:
            again = as_it_was(folder, [changed.registration.plugin])
            until = f"{again}or run the recipe anew" if again else "run the recipe anew"
            way = f"its author can translate them in Options.migrate; until then, {until}"
            raise PluginError(f"{changed.fault(problems)}; {way}")
        use = changed.step["use"]
        changed.step.clear()
        changed.step.update({"use": use, **options})
    return replace(recipe, values=values)


def _changed(folder: RunFolder, values: dict[str, Any], registry: Registry) -> Iterator[_Changed]:
    """Give the steps whose plugin has changed; what cannot be found is for the plan to say."""
    editions = folder.record.get("plugins", {})
    for kind, step in _steps(values):
        if not isinstance(step, dict) or step.get("use") not in registry.names(kind):
            continue
        try:
            offer = registry.find(kind, step["use"])
        except PluginError:
            continue
        edition = editions.get(offer.plugin.module)
        if edition is not None and edition != offer.plugin.fingerprint:
            yield _Changed(offer, edition, step)


def _steps(values: dict[str, Any]) -> Iterator[tuple[Kind, Any]]:
    yield from ((kind, values.get(kind)) for kind in _SINGLE)
    for kind, key in _LISTS:
        several = values.get(key)
        yield from ((kind, step) for step in (several if isinstance(several, list) else ()))
