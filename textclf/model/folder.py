"""The model folder: the files of encoder and model, plugin versions, and the way back to steps."""

from __future__ import annotations

import io
import pickletools
import shlex
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from ..errors import PluginError, counted, kind_of, listing, said
from ..files import disk_failures, manifest, no_file_in
from ..plugin.component import Kind, failing_line, new_names
from ..plugin.protocols import Encoder, Model
from ..plugin.registry import BLOCK, DISTRIBUTION, Plugin, Registration, Registry, older, to_install
from ..plugin.step import Step, validate_options

# Of what is no pickle hardly anything begins like one and has so many opcodes; joblib puts raw arrays between them.
_ENOUGH = 8
_STARTS = tuple(bytes([0x80, version]) for version in range(2, 6))
_COMPRESSED: Mapping[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    b"\x1f\x8b": lambda file: _opened("gzip", file),
    b"BZh": lambda file: _opened("bz2", file),
    b"\xfd7zXZ\x00": lambda file: _opened("lzma", file),
    **{bytes([0x78, level]): lambda file: _inflated(file) for level in (0x01, 0x5E, 0x9C, 0xDA)},
}
_TOO_DEEP = 4
# So many bytes are looked at; what is longer, and all opcodes of a pickle without a number so far, is none by chance.
_LOOKED_AT, _CERTAIN = 1 << 18, 1000


def pickle_in(path: Path) -> str:
    """Return what makes a file a pickle, in words to follow its name, as ", a pickle"; nothing where it is none."""
    with path.open("rb") as file:
        return _found(file, 0)


def _found(file: IO[bytes], depth: int) -> str:
    start = file.read(9)
    file.seek(0)
    if depth > _TOO_DEEP or _is_safetensors(start):
        return ""
    if start.startswith(b"\x93NUMPY"):
        return ", an array of objects, which is a pickle" if _has_objects(file) else ""
    if start.startswith(b"PK\x03\x04"):
        return _in_zip(file, depth)
    for magic, opened in _COMPRESSED.items():
        if start.startswith(magic):
            # What only looks compressed, or is cut short, is no pickle that anyone could load.
            with suppress(Exception), opened(file) as inner:
                what = _found(inner, depth + 1)
                return f"{what}, compressed" if what else ""
            return ""
    return ", a pickle" if _is_pickle(file, start) else ""


def _in_zip(file: IO[bytes], depth: int) -> str:
    """Return what is found in the first such file of an archive, as torch.save and numpy.savez make them."""
    with suppress(Exception), zipfile.ZipFile(file) as archive:  # as of what is compressed
        for member in archive.infolist():
            with archive.open(member) as inner:
                if what := _found(inner, depth + 1):
                    return f", which holds '{member.filename}'{what}"
    return ""


def _has_objects(file: IO[bytes]) -> bool:
    import numpy as np

    reading: Any = np.lib.format
    with suppress(Exception):  # a header that cannot be read is none that numpy would take
        version = reading.read_magic(file)
        read = reading.read_array_header_1_0 if version == (1, 0) else reading.read_array_header_2_0
        return bool(read(file)[2].hasobject)
    return False


def _is_safetensors(start: bytes) -> bool:
    """Tell whether a file begins with the length of a JSON object, and with that object."""
    return start[8:] == b"{" and start[4:8] == bytes(4)


def _is_pickle(file: IO[bytes], start: bytes) -> bool:
    """Tell whether the file holds opcodes of a pickle; a text may hold some by chance, so its are followed."""
    beginning = file.read(_LOOKED_AT)
    longer = bool(file.read(1))
    if start[:2] in _STARTS:
        return _has_opcodes(beginning, longer)
    if not start or start[:1] not in {opcode.code.encode("latin-1") for opcode in pickletools.opcodes} - {b"."}:
        return False
    looked_at, said = io.BytesIO(beginning), _Counted()
    with suppress(Exception):  # it raises ValueError, and whatever a text makes its readers of arguments raise
        pickletools.dis(looked_at, out=said)
        return not longer and not looked_at.read(1)
    return longer and not looked_at.read(1) and said.lines >= _CERTAIN


def _has_opcodes(beginning: bytes, longer: bool) -> bool:
    looked_at = io.BytesIO(beginning)
    with suppress(Exception):  # as above
        for number, (opcode, _, _) in enumerate(pickletools.genops(looked_at), 1):
            if opcode.name == "STOP" or number == _ENOUGH:
                return True
    # An argument may be longer than all that is looked at.
    return longer and not looked_at.read(1)


def _opened(library: str, file: IO[bytes]) -> IO[bytes]:
    opened: IO[bytes] = import_module(library).open(file)
    return opened


def _inflated(file: IO[bytes]) -> IO[bytes]:
    """Return the beginning of what was compressed without a header of its own, as joblib does."""
    return io.BytesIO(zlib.decompressobj().decompress(file.read(1 << 16), 1 << 16))


class _Counted(io.StringIO):
    """Keeps nothing of what is written but the number of its lines."""

    lines = 0

    def write(self, text: str, /) -> int:
        self.lines += text.count("\n")
        return len(text)


FILE = "textclf.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a model folder holds: the sha256 of each file, and what is wrong with them.

    unread: said where nothing reads the encoder's. pickles: said of each part that saves such.
    """

    files: Mapping[str, str]
    unread: str
    pickles: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        return (self.unread, *self.pickles) if self.unread else self.pickles


def save_parts(encoder: Encoder, model: Model, steps: Mapping[Kind, Step[Any]], folder: Path) -> Saved:
    """Let encoder and model, of these steps, save themselves; a PluginError where one takes what is not its own."""
    first = _files_with(steps["encoder"], encoder, folder)
    unread = never_read(steps["encoder"], encoder, folder)
    files = _files_with(steps["trainer"], model, folder)
    for verb, names in {
        "removes": [name for name in first if name not in files],
        "changes": [name for name in first if files.get(name, "") != first[name]],
    }.items():
        if names:
            what = f"save() {verb} {listing([repr(name) for name in names], 3)}, which {steps['encoder']} has saved"
            raise steps["trainer"].error(f"{what}; a model's own files lie under folder / 'trainer'")
    mine = [name for name in files if name not in first]
    pickles = _pickles(steps["encoder"], encoder, folder, first), _pickles(steps["trainer"], model, folder, mine)
    return Saved(files, unread, tuple(filter(None, pickles)))


def _files_with(step: Step[Any], part: Encoder | Model, folder: Path) -> dict[str, str]:
    """Return the files of a folder into which a part has saved itself."""
    step.call("save", partial(_save, part, folder))
    odd = no_file_in(folder)
    if odd:
        raise step.error(f"save() leaves {odd}; write plain files")
    files = manifest(folder)
    if FILE in files:
        raise step.error(f"save() writes '{FILE}', which textclf writes itself; name it otherwise")
    return files


def _pickles(step: Step[Any], part: Encoder | Model, folder: Path, names: Iterable[str]) -> str:
    """Say which of the files that a part has saved is a pickle, and what to do; nothing where none is."""
    found = [f"'{name}'{what}" for name in names if (what := pickle_in(folder / name))]
    if not found:
        return ""
    more = f" (and {counted(len(found) - 1, 'other')})" if len(found) > 1 else ""
    what = f"saves {found[0]}{more}, and loading one runs whatever is in it; save arrays and JSON"
    return f"{step} {what}{step.plugin.hint(step.name)}"


def _save(part: Encoder | Model, folder: Path) -> None:
    with disk_failures(folder):
        part.save(folder)


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


def migrated(offer: Registration, version: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that a version of the plugin wrote in today's terms; a PluginError where it fails to say them."""
    what = f"{offer.kind} '{offer.component.name}' ({offer.plugin})"
    hint = offer.plugin.hint(offer.component.name)
    try:
        today = offer.component.options.migrate(version, new_names(offer.component.options, values))
    except Exception as error:
        place = failing_line(error, offer.plugin.module, offer.component.options.__module__)
        raise PluginError(f"{what}: migrate() fails: {said(error)}{place}{hint}") from error
    if not isinstance(today, dict):
        raise PluginError(f"{what}: migrate() returns {kind_of(today)}, not a dict of the values{hint}")
    return today


def _options(offer: Registration, saved: Mapping[str, Any]) -> Any:
    what = f"{offer.kind} '{offer.component.name}' ({offer.plugin})"
    version = str(saved.get("version", ""))
    options, problems = validate_options(offer, migrated(offer, version, saved.get("options", {})))
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
    plugins = [o.plugin for o in registry.registrations if o.kind == kind and o.component.name == saved.get("use")]
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
    if registry.is_blocked(module):
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
        whole = "" if plugin.is_third_party else f" of {DISTRIBUTION}"
        found = f"has version {plugin.version}{whole}, older than {version}, which saved this model"
        return f"{found}; {to_install(plugin.distribution, version)}"
    return ""


def _identity(saved: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Return plugin module, version, distribution, file and digest; models of 0.1.0 tell only the first two."""
    keys = ("plugin", "version", "distribution", "file", "sha256")
    module, version, distribution, file, sha256 = (str(saved.get(key, "")) for key in keys)
    return module, version, distribution, file, sha256
