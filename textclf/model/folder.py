"""The model folder: encoder and model save themselves into it, and its steps are restored from it."""

from __future__ import annotations

import pickletools
import shlex
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from ..errors import PluginError, counted, error_text, listing, type_name
from ..files import disk_failures, manifest, special_file_in
from ..plugin.component import Kind, new_names
from ..plugin.protocols import Encoder, Model
from ..plugin.registry import Registration, Registry, compatible, to_install
from ..plugin.step import Step, validate_options

FILE = "textclf.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """A model folder that was written: the sha256 of each file, and warnings.

    unread: the warning that nothing reads what the encoder saved, or "". pickles: one warning for each part that saves
    pickles.
    """

    files: Mapping[str, str]
    unread: str
    pickles: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        return (self.unread, *self.pickles) if self.unread else self.pickles


def save_parts(encoder: Encoder, model: Model, steps: Mapping[Kind, Step[Any]], folder: Path) -> Saved:
    """Let encoder and model save themselves; a PluginError where the model removes or changes the encoder's files."""
    first = _save(steps["encoder"], encoder, folder)
    unread = _unread_warning(steps["encoder"], encoder, first)
    files = _save(steps["trainer"], model, folder)
    for verb, names in {
        "removes": [name for name in first if name not in files],
        "changes": [name for name in first if files.get(name, "") != first[name]],
    }.items():
        if names:
            what = f"save() {verb} {listing([repr(name) for name in names], 3)}, which {steps['encoder']} has saved"
            raise steps["trainer"].error(f"{what}; a model's own files lie under folder / 'trainer'")
    own = [name for name in files if name not in first]
    pickles = (_pickle_warning(steps["encoder"], folder, first), _pickle_warning(steps["trainer"], folder, own))
    return Saved(files, unread, tuple(filter(None, pickles)))


def _save(step: Step[Any], part: Encoder | Model, folder: Path) -> dict[str, str]:
    """Let a part save itself; return the sha256 of each file that is then in the folder."""

    def save() -> None:
        with disk_failures(folder):
            part.save(folder)

    step.call("save", save)
    if odd := special_file_in(folder):
        raise step.error(f"save() leaves {odd}; write plain files")
    files = manifest(folder)
    if FILE in files:
        raise step.error(f"save() writes '{FILE}', which textclf writes itself; use another name")
    return files


def _unread_warning(step: Step[Any], encoder: Encoder, files: Iterable[str]) -> str:
    """Return a warning where an encoder saves files and its component has no `restore` to read them, or ""."""
    if step.component.restore is not None or not files:
        return ""
    own = callable(getattr(encoder, "restore", None))
    hint = "name that of its class" if own else "give it one that reads them"
    return (
        f"{step} saves {listing(sorted(files), 3)}, but the component has no `restore`, so in a loaded model `build` "
        f"makes a new one; {hint}, Component(restore=...)"
    )


def _pickle_warning(step: Step[Any], folder: Path, names: Iterable[str]) -> str:
    found = [f"'{name}'{what}" for name in names if (what := pickle_in(folder / name))]
    if not found:
        return ""
    more = f" (and {counted(len(found) - 1, 'other')})" if len(found) > 1 else ""
    what = f"saves {found[0]}{more}, and loading one runs whatever is in it; save arrays and JSON"
    return f"{step} {what}{step.plugin.hint(step.name)}"


def pickle_in(path: Path) -> str:
    """Return what makes a file a pickle, to follow its name, such as ", a pickle"; "" where it is none.

    Only the first bytes are read, of members of a zip archive too. Nothing loads the file.
    """
    with path.open("rb") as file:
        if what := _pickle_words(file):
            return what
        file.seek(0)
        if file.read(4) == b"PK\x03\x04":
            with suppress(Exception), zipfile.ZipFile(file) as archive:  # whatever it raises for a damaged archive
                for name in archive.namelist():
                    with archive.open(name) as member:
                        if what := _pickle_words(member):
                            return f", which holds '{name}'{what}"
    return ""


_OPCODES = {opcode.code.encode("latin-1") for opcode in pickletools.opcodes}


def _pickle_words(file: IO[bytes]) -> str:
    start = file.read(9)
    if start.startswith(b"\x93NUMPY"):
        # The header is one line, a dict in which "|O" is the type of Python objects.
        return ", an array of objects, which is a pickle" if b"|O'" in file.readline(1 << 16) else ""
    if start[4:] == bytes(4) + b"{":  # safetensors: the length of a JSON object, which may look like an opcode
        return ""
    # Protocols 2 to 5 begin with their number and an opcode; 0 and 1 begin as a text may, and are not found.
    is_pickle = start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5" and start[2:3] in _OPCODES
    return ", a pickle" if is_pickle else ""


def restored_step(kind: Kind, saved: Mapping[str, Any], registry: Registry) -> Step[Any]:
    """Return the step that `Step.to_json` wrote, its options migrated.

    A PluginError where its plugin is missing, cannot read what was saved (see `compatible`), or refuses the options.
    """
    try:
        registration = registry.find(kind, str(saved.get("use", "")))
    except PluginError as error:
        raise PluginError(f"{error}{_saver_hint(kind, saved, registry)}") from None
    if reason := compatible(saved, registration.plugin):
        copy = " (its run has a copy in its folder 'plugins')" if saved.get("file") else ""
        changed = reason.startswith("has changed")
        again = f"; load the one that saved this model{copy}, or train again" if changed else ""
        raise PluginError(f"{kind} '{saved['use']}' cannot be restored: {registration.plugin} {reason}{again}")
    options, problems = validate_options(
        registration, migrated(registration, str(saved.get("version", "")), saved.get("options", {}))
    )
    if options is None:
        raise PluginError(_options_error(registration, saved, "; ".join(map(str, problems))))
    return Step(kind, registration, options)


def _saver_hint(kind: Kind, saved: Mapping[str, Any], registry: Registry) -> str:
    """Return which plugin saved a step and how to have it again, to follow the error that it is missing."""
    module, version, distribution, file = (
        str(saved.get(key, "")) for key in ("plugin", "version", "distribution", "file")
    )
    if not module:
        return ""
    if any(
        (each.kind, each.component.name, each.plugin.module) == (kind, saved["use"], module)
        for each in registry.registrations
    ):
        return f"; it was saved by plugin {module}"
    if file:
        return (
            f"; it was saved by the plugin file '{file}', of which the run has a copy in its folder 'plugins': "
            f"textclf --plugin {shlex.quote(file)} ..."
        )
    if registry.is_blocked(module):
        return f"; it was saved by plugin {module}, which is blocked"
    if distribution:
        return f"; it was saved by plugin {module} of {distribution} {version}: {to_install(distribution, version)}"
    if version:  # models of 0.1.0 do not name the distribution
        return f"; it was saved by plugin {module} {version}: install that plugin"
    return f"; it was saved by plugin {module}, which a program passed: Engine(plugins=[{module}])"


def migrated(registration: Registration, version: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that an older version of the plugin wrote, in today's terms; a PluginError where that fails."""
    hint = registration.plugin.hint(registration.component.name)
    try:
        today = registration.component.options.migrate(version, new_names(registration.component.options, values))
    except Exception as error:
        raise PluginError(f"{registration}: migrate() fails: {error_text(error)}{hint}") from error
    if not isinstance(today, dict):
        raise PluginError(f"{registration}: migrate() returns {type_name(today)}, not a dict of the values{hint}")
    return today


def _options_error(registration: Registration, saved: Mapping[str, Any], reasons: str) -> str:
    now, before, distribution = (
        registration.plugin.version, str(saved.get("version", "")), str(saved.get("distribution", ""))
    )  # fmt: skip
    again = to_install(distribution, before, "==") if distribution and before not in ("", now) else "train again"
    return (
        f"{registration} cannot read its saved options (saved by version {before or 'unknown'}, installed is "
        f"{now or 'unknown'}): {reasons}; its author can translate them in Options.migrate; until then, {again}"
    )


def note_rebuilt(encoder: Step[Any], trainer: Step[Any], files: Iterable[str]) -> tuple[Step[Any], Step[Any]]:
    """Return the steps of a loaded model with a note for their errors where `build` made the encoder, not `restore`.

    files: those of the model. The trainer fails because of that only where the encoder had saved something.
    """
    if encoder.component.restore is not None:
        return encoder, trainer
    reason = "has no `restore`, so `build` made a new one"
    saved = any(name.partition("/")[0] != "trainer" for name in files)
    note = f"; {encoder} {reason}" if saved else ""
    return replace(encoder, note=f"; the component {reason}"), replace(trainer, note=note)
