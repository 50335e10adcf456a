"""Owns the way from what a model says of its components back to Steps, and what to do where a plugin has changed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import PluginError, kind_of, listing, said
from ..plugin.component import Kind, first_line, own_line
from ..plugin.registry import BLOCK, DISTRIBUTION, Offer, Plugin, Registry, older, to_install
from ..plugin.step import Step, validate

_UNKNOWN = "an unknown version"


def restored_step(
    kind: Kind, saved: Mapping[str, Any], registry: Registry, files: Callable[[], Mapping[str, str]] = dict
) -> Step[Any]:
    """Return the step that `to_json` wrote, its options migrated.

    A PluginError where its plugin is missing, is another one, is older than the one that wrote it, or cannot read it.
    files: tells where the files of plugins that are no package lie, by the plugin's module.
    """
    name = str(saved.get("use", ""))
    try:
        offer = registry.find(kind, name)
    except PluginError as error:
        raise PluginError(f"{error}{_rivals(kind, saved, registry) or _saver(saved, registry, files)}") from None
    reason = _another(offer.plugin, saved, files)
    if reason:
        raise PluginError(f"{kind} '{name}' ({offer.plugin}) {reason}")
    return Step(kind, offer, _options(offer, saved))


def never_read(step: Step[Any], made: object, folder: Path) -> str:
    """Say that nothing reads what a step's object saved in the folder, and what to do; nothing where that is not so."""
    if step.component.restore is not None:
        return ""
    saved = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if not saved:
        return ""
    own = callable(getattr(made, "restore", None))
    way = "name that of its class" if own else "give it one that reads them"
    anew = "the component has no `restore`, so in a loaded model `build` makes it anew"
    return f"{step} saves {listing(saved, 3)}, but {anew}; {way}, Component(restore=...)"


def noted_anew(encoder: Step[Any], trainer: Step[Any], files: Iterable[str]) -> tuple[Step[Any], Step[Any]]:
    """Return the steps of a loaded model; where `build` made the encoder, what fails later says so.

    files: those of the model. A trainer fails by it only where the encoder had something to save.
    """
    if encoder.component.restore is not None:
        return encoder, trainer
    anew = "has no `restore`, so `build` made it anew"
    saved = any(name.partition("/")[0] != "trainer" for name in files)
    note = f"; {encoder} {anew}" if saved else ""
    return replace(encoder, note=f"; the component {anew}"), replace(trainer, note=note)


def migrated(offer: Offer, version: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that a version of the plugin wrote in today's terms; a PluginError where it fails to say them."""
    what = f"{offer.kind} '{offer.component.name}' ({offer.plugin})"
    remedy, own = offer.plugin.remedy(offer.component.name), (offer.plugin.module, offer.component)
    try:
        today = offer.component.options.migrate(version, dict(values))
    except Exception as error:
        where = f" ({line})" if (line := own_line(error, *own)) else ""
        raise PluginError(f"{what}: migrate() fails: {said(error)}{where}{remedy}") from error
    if not isinstance(today, dict):
        where = f" ({line})" if (line := first_line(offer.component.options.migrate, *own)) else ""
        raise PluginError(f"{what}: migrate() returns {kind_of(today)}, not a dict of the values{where}{remedy}")
    return today


def _options(offer: Offer, saved: Mapping[str, Any]) -> Any:
    what = f"{offer.kind} '{offer.component.name}' ({offer.plugin})"
    version = str(saved.get("version", ""))
    options, problems = validate(offer, migrated(offer, version, saved.get("options", {})))
    if options is None:
        reasons = "; ".join(str(problem) for problem in problems)
        before, now = f"version {version}" if version else _UNKNOWN, offer.plugin.version or _UNKNOWN
        versions = f"saved by {before}, installed is {now}"
        way = f"its author can translate them in Options.migrate; until then, {_as_it_was(offer.plugin, saved)}"
        raise PluginError(f"{what} cannot read its saved options ({versions}): {reasons}; {way}")
    return options


def _as_it_was(plugin: Plugin, saved: Mapping[str, Any]) -> str:
    """Say how to have the version again that saved a step, or what to do where nothing tells it from this one."""
    _, version, distribution, *_ = _identity(saved)
    if not version or version == plugin.version:
        return "train again"
    return to_install(distribution, version, "==") if distribution else f"install version {version} of it"


def _rivals(kind: Kind, saved: Mapping[str, Any], registry: Registry) -> str:
    """Say how to do without those who offer the name too, where the plugin that saved a step is there; else nothing."""
    module, _, _, _, sha256 = _identity(saved)
    plugins = [o.plugin for o in registry.offers if o.kind == kind and o.component.name == saved.get("use")]
    saver = next((plugin for plugin in plugins if (plugin.module, plugin.sha256) == (module, sha256)), None)
    if saver is None:
        return ""
    ways = " and ".join(_leaving(plugin) for plugin in plugins if plugin is not saver)
    return f", or {ways}: the model was saved by {saver}"


def _leaving(plugin: Plugin) -> str:
    if plugin.distribution and not plugin.file:
        return f"keep {plugin.module} out, {BLOCK}={plugin.name}"
    return f"leave {plugin.file or plugin.module} out"


def _saver(saved: Mapping[str, Any], registry: Registry, files: Callable[[], Mapping[str, str]]) -> str:
    """Say which plugin saved a step, and how to have it again."""
    module, version, distribution, file, sha256 = _identity(saved)
    if file:
        found = files().get(module)
        given = [plugin.file for plugin in registry.plugins if plugin.file]
        flags = " ".join(f"--plugin {shlex.quote(each)}" for each in (*given, found or file))
        return (
            f"; it was saved by the plugin file '{file}' (sha256 {sha256[:12]}): "
            f"give {'it' if found else 'that file'}, as in `textclf {flags} ...` or Engine(plugins=['{found or file}'])"
        )
    if sha256:
        return f"; it was saved by the module {module} (sha256 {sha256[:12]}): give it, Engine(plugins=[{module}])"
    if registry.keeps_out(module):
        return f"; it was saved by plugin {module}, which is kept out"
    if distribution:
        return f"; it was saved by plugin {module} of {distribution} {version}: {to_install(distribution, version)}"
    if version:
        return f"; it was saved by plugin {module} {version}: install that plugin"
    by = f"plugin {module}, which a program gave its engine"
    return f"; it was saved by {by}: give it again, Engine(plugins=[{module}])" if module else ""


def _another(plugin: Plugin, saved: Mapping[str, Any], files: Callable[[], Mapping[str, str]]) -> str:
    """Say why a plugin cannot stand in for the one that saved a step, or nothing where it can.

    A file has no versions, so nothing says that another content still means the same: it is refused, since what it
    answers might be wrong without a sign. A package promises to read what its older versions saved, never what its
    newer ones did.
    """
    module, version, distribution, file, sha256 = _identity(saved)
    if sha256 and plugin.sha256 and sha256 != plugin.sha256:
        found = files().get(module, "")
        kept = ", which the run that made it keeps in its folder 'plugins'," if file else ""
        kept = f", `textclf --plugin {shlex.quote(found)} ...`," if found else kept
        return (
            f"is not what saved this model: {file or module} had sha256 {sha256[:12]}, and this has "
            f"{plugin.sha256[:12]}; give the one it was saved with{kept} or train again"
        )
    if not distribution or not plugin.distribution:
        return ""
    if module != plugin.module and distribution != plugin.distribution:
        found = f"but it was saved by plugin {module} of {distribution} {version}"
        return f"is what is installed, {found}; {to_install(distribution, version)}, and uninstall the other"
    if older(plugin.version, version):
        whole = "" if plugin.strange else f" of {DISTRIBUTION}"
        found = f"has version {plugin.version}{whole}, older than {version}, which saved this model"
        return f"{found}; {to_install(plugin.distribution, version)}"
    return ""


def _identity(saved: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return plugin module, version, distribution, file and digest; models of 0.1.0 tell only the first two."""
    keys = ("plugin", "version", "distribution", "file", "sha256")
    module, version, distribution, file, sha256 = (str(saved.get(key, "")) for key in keys)
    return module, version, distribution, file, sha256
