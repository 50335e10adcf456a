"""Resuming: what has changed since a run began, and options migrated to newer plugins."""

from __future__ import annotations

import copy
import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ArtefactError, PluginError, Problem
from ..files import digest, write_file
from ..model.folder import migrated
from ..plugin.component import Kind, new_names
from ..plugin.registry import Plugin, Registration, Registry, to_install
from ..plugin.step import validate_options
from ..recipe.plan import Plan
from ..recipe.recipe import Recipe
from .folder import RECIPE, RunFolder, versions

# Copies of the plugins that are single files, for a person to read and to pass again; nothing loads them.
PLUGINS = "plugins"

_STEPS: tuple[Kind, ...] = ("dataset", "encoder", "trainer")
_LISTS: tuple[tuple[Kind, str], ...] = (("metric", "metrics"), ("output", "outputs"))


def plugin_record(plan: Plan) -> dict[str, Any]:
    """Return what the record says of the plan's plugins: the version or digest of each, and the paths of files."""
    files = {module: file for module, (file, _) in plan.plugin_files().items()}
    return {"plugins": plan.plugins(), **({"plugin_files": files} if files else {})}


def copy_plugins(folder: RunFolder, plan: Plan) -> None:
    """Copy plugins that are single files into the run; a file that has changed since it was read is left out."""
    for module, (file, sha256) in plan.plugin_files().items():
        place = _copy_of(folder.path, module)
        with suppress(OSError):
            source = Path(file).read_bytes()
            if hashlib.sha256(source).hexdigest() == sha256:
                place.parent.mkdir(exist_ok=True)
                write_file(place, lambda part, source=source: part.write_bytes(source))  # type: ignore[misc]


def _copy_of(run: Path, module: str) -> Path:
    return run / PLUGINS / f"{module}.py"


def refuse_missing(folder: RunFolder, registry: Registry) -> None:
    """Refuse to resume a run one of whose plugins is missing, and say how to bring it."""
    here = {plugin.module for plugin in registry.plugins}
    files: Mapping[str, str] = folder.record.get("plugin_files", {})
    for module, version in folder.record.get("plugins", {}).items():
        if module in here:
            continue
        if module in files:
            flags = _flags(
                file if Path(file).is_file() else _copy_of(folder.path, each) for each, file in files.items()
            )
            command = f"textclf {flags} resume {shlex.quote(str(folder.path))}"
            raise PluginError(f"{folder.path} was made with the plugin file '{files[module]}': {command}")
        plugin = f"plugin {module} ({_short(version)})" if version else f"plugin {module}"
        if registry.is_blocked(module):
            raise PluginError(f"{folder.path} was made with {plugin}{registry.blocked_note()}")
        hint = "pass it to the Engine again" if version[:7] in ("", "sha256:") else "install it"
        raise PluginError(f"{folder.path} was made with {plugin}, which is not here; {hint}")


def refuse_changes(folder: RunFolder, plan: Plan) -> None:
    """Refuse to resume a run whose recipe, plugins or libraries are not those it began with."""
    then: dict[str, Any] = {**folder.record.get("versions", {}), **folder.record.get("plugins", {})}
    now: dict[str, Any] = {**versions(), **plan.plugins()}
    changed = [
        f"{name} was {_version(then, name)} and is {_version(now, name)}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    # The recipe that the run began with, or the one with the options of its choices: a kill may come before the latter
    # is written (RunFolder.replace_recipe).
    known = {folder.record.get("recipe_sha256"), folder.record.get("recipe_asked_sha256")}
    if digest(folder.path / RECIPE) not in known:
        changed.insert(0, f"{RECIPE} was edited")
    if changed:
        raise ArtefactError(
            f"{folder.path} cannot be resumed to the same result: {'; '.join(changed)}; "
            f"{_undo_hint(folder, (step.plugin for step in plan.steps()))}run the recipe again, or resume "
            f"with --allow-changed"
        )


def with_new_names(recipe: Recipe, registry: Registry) -> Recipe:
    """Return a run's recipe with the names that its components' options have now."""
    values = copy.deepcopy(recipe.values)
    for kind, step in _steps(values):
        with suppress(PluginError):
            if isinstance(step, dict) and step.get("use") in registry.names(kind):
                renamed = new_names(registry.find(kind, step["use"]).component.options, step)
                step.clear()
                step.update(renamed)
    return replace(recipe, values=values)


def refuse_unreadable(folder: RunFolder, recipe: Recipe, registry: Registry) -> None:
    """Refuse to resume a run with options that a plugin, which has changed since, cannot read."""
    for changed in _changed(folder, recipe.values, registry):
        _, problems = validate_options(changed.registration, changed.options())
        if problems:
            raise ArtefactError(
                f"{folder.path} cannot be resumed: {changed.error(problems)}; "
                f"{_undo_hint(folder, [changed.registration.plugin])}run the recipe again, or resume with "
                f"--allow-changed, which has the plugin translate them"
            )


def migrate(folder: RunFolder, recipe: Recipe, registry: Registry) -> Recipe:
    """Return a run's recipe, in which plugins that have changed since have migrated their options."""
    values = copy.deepcopy(recipe.values)
    for changed in _changed(folder, values, registry):
        options = migrated(changed.registration, changed.version, changed.options())
        _, problems = validate_options(changed.registration, options)
        if problems:
            raise PluginError(
                f"{changed.error(problems)}; its author can translate them in Options.migrate; until then, "
                f"{_undo_hint(folder, [changed.registration.plugin], 'or ')}run the recipe again"
            )
        use = changed.step["use"]
        changed.step.clear()
        changed.step.update({"use": use, **options})
    return replace(recipe, values=values)


@dataclass(frozen=True, slots=True)
class _Changed:
    """A step of a run's recipe whose plugin is not as the run began with it.

    fingerprint: the plugin's, when the run began. step: the step in the recipe.
    """

    registration: Registration
    fingerprint: str
    step: dict[str, Any]

    @property
    def version(self) -> str:
        """The version that the run began with; a file has none."""
        return "" if self.fingerprint.startswith("sha256:") else self.fingerprint

    def options(self) -> dict[str, Any]:
        return {name: value for name, value in self.step.items() if name != "use"}

    def error(self, problems: list[Problem]) -> str:
        """Return the message that the installed plugin cannot read the options, and why."""
        began, now = _short(self.fingerprint), _short(self.registration.plugin.fingerprint)
        return (
            f"{self.registration} cannot read the options of the run, which began with {began or 'no version'}, and "
            f"this is {now or 'none'}: {'; '.join(map(str, problems))}"
        )


def _changed(folder: RunFolder, values: dict[str, Any], registry: Registry) -> Iterator[_Changed]:
    """Yield the steps whose plugin has changed; the plan reports those that cannot be found."""
    began = folder.record.get("plugins", {})
    for kind, step in _steps(values):
        if not isinstance(step, dict) or step.get("use") not in registry.names(kind):
            continue
        try:
            registration = registry.find(kind, step["use"])
        except PluginError:
            continue
        fingerprint = began.get(registration.plugin.module)
        if fingerprint is not None and fingerprint != registration.plugin.fingerprint:
            yield _Changed(registration, fingerprint, step)


def _undo_hint(folder: RunFolder, plugins: Iterable[Plugin], conjunction: str = "") -> str:
    """Return how to have changed plugins as the run began with them, to precede what else can be done.

    Nothing for textclf's own, which come in the version that textclf has. conjunction: before what else can be done.
    """
    hints = []
    for plugin in dict.fromkeys(plugins):
        began, file = folder.record.get("plugins", {}).get(plugin.module, ""), _copy_of(folder.path, plugin.module)
        if began == plugin.fingerprint:
            continue
        if plugin.file and file.is_file():
            hints.append(f"use {_flags([file])}, the file as it was, ")
        elif plugin.is_third_party and began:
            hints.append(f"{to_install(plugin.distribution, began, '==')}, ")
    return "".join(hints) + (conjunction if hints else "")


def _flags(files: Iterable[str | Path]) -> str:
    return " ".join(f"--plugin {shlex.quote(str(file))}" for file in files)


def _version(versions: Mapping[str, Any], name: str) -> str:
    return _short(str(versions.get(name, "absent"))) or "without a version"


def _short(version: str) -> str:
    """Return a plugin's version, or the first digits of a file's digest."""
    return version[: len("sha256:") + 12] if version.startswith("sha256:") else version


def _steps(values: dict[str, Any]) -> list[tuple[Kind, Any]]:
    """Return the steps of a recipe, with their kinds."""
    steps: list[tuple[Kind, Any]] = [(kind, values.get(kind)) for kind in _STEPS]
    return steps + [(kind, step) for kind, key in _LISTS if isinstance(values.get(key), list) for step in values[key]]
