"""Plugins in a single Python file, passed with --plugin FILE.

It is run from the very bytes whose digest is recorded, under a module name that nothing else can have: its stem and a
part of that digest. So it shadows nothing, two engines may hold two files of one stem, and `sys.path` stays as it is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import sys
import traceback
from dataclasses import replace
from importlib.abc import SourceLoader
from pathlib import Path
from types import ModuleType

from ..errors import PluginError, RecipeError, closest, error_text
from .component import is_named_as_hook
from .registry import Plugin

# `sys.modules` has it while classes are made: dataclasses and pydantic look up their module there.
_NAME = "{stem}@{digest}"


def find(file: str) -> tuple[Plugin, ModuleType | None]:
    """Return the plugin that a file is, and its module; where it fails the plugin is broken, and there is no module.

    A RecipeError where there is no such file.
    """
    source = read(file)
    stem = Path(file).stem
    plugin = Plugin(stem, stem, file=file, sha256=hashlib.sha256(source).hexdigest())
    try:
        return plugin, _loaded(file, source)
    except PluginError as error:
        return replace(plugin, error=str(error)), None


def load(file: str) -> ModuleType:
    """Run the file, or return the module where it was run before.

    A RecipeError where there is no such file; a PluginError where it fails.
    """
    try:
        return _loaded(file, read(file))
    except PluginError as error:
        raise PluginError(f"plugin {file} {error}") from error


def _loaded(file: str, source: bytes) -> ModuleType:
    path = Path(file).absolute()
    whole = os.path.realpath(path)
    digest = hashlib.sha256(b"\0".join([bytes(whole, "utf-8", "surrogateescape"), source])).hexdigest()
    name = _NAME.format(stem=path.stem, digest=digest[:12])
    return sys.modules.get(name) or _run(name, path, source)


def read(file: str) -> bytes:
    """Return what is in the file; a RecipeError where there is none that could be a plugin."""
    refuse(file)
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from None


def refuse(file: str) -> None:
    """Raise a RecipeError where there is no file that could be a plugin; what is in it is not looked at."""
    path = Path(file)
    try:
        if path.is_dir():
            raise RecipeError(f"plugin '{file}' is a folder; name one Python file, or install the package with pip")
        if path.suffix != ".py":
            raise RecipeError(f"plugin '{file}' is no Python file: its name must end in .py")
        if not path.exists():
            # Without their suffix, which makes any two names look alike.
            near = closest(path.stem, (other.stem for other in path.parent.glob("*.py")))
            meant = f"; did you mean '{path.with_name(f'{near}.py')}'?" if near else ""
            raise RecipeError(f"plugin '{file}': no such file{meant}")
        if not path.is_file():
            raise RecipeError(f"plugin '{file}' is no regular file; name one Python file")
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: str, error: OSError) -> RecipeError:
    return RecipeError(f"plugin '{file}' cannot be read: {(error.strerror or str(error)).lower()}")


def is_loose(module: ModuleType) -> bool:
    """Tell whether the module is such a file."""
    return isinstance(getattr(module.__spec__, "loader", None), _Source)


def digest_of(module: object) -> str:
    """Return the sha256 of a module's file, of a package's Python files together, or nothing where it has none."""
    file = getattr(module, "__file__", None) if isinstance(module, ModuleType) else None
    if not file or not Path(file).is_file():
        return ""
    path = Path(file)
    if path.name != "__init__.py":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for part in sorted(path.parent.rglob("*.py")):
        inner = hashlib.sha256(part.read_bytes()).hexdigest()
        whole.update(f"{part.relative_to(path.parent).as_posix()}:{inner}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


class _Source(SourceLoader):
    """Loads a module from bytes that were read already; no bytecode is written beside the user's file."""

    def __init__(self, path: Path, source: bytes) -> None:
        self._path, self._source = str(path), source

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        return self._source


def _run(name: str, path: Path, source: bytes) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, loader=_Source(path, source))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, KeyboardInterrupt):
            raise
        raise PluginError(f"fails at import{_line(error, path)}: {error_text(error)}{_hint(error, path)}") from error
    if not any(inspect.isroutine(found) and is_named_as_hook(name, found) for name, found in vars(module).items()):
        sys.modules.pop(name, None)
        raise PluginError("has no hook; define one, such as textclf_encoders()")
    return module


def _line(error: BaseException, path: Path) -> str:
    """Say in which line of the file it was; a SyntaxError says so itself."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" (line {lines[-1]})" if lines else ""


def neighbour_hint(error: ImportError, path: Path) -> str:
    """Say what can be done where the file reaches for its neighbours, or nothing where it does not."""
    wanted = (error.name or "").partition(".")[0]
    beside = wanted and any(place.exists() for place in (path.with_name(f"{wanted}.py"), path.with_name(wanted)))
    if beside or "relative import" in str(error):
        return "; --plugin takes one file and does not look beside it: make a package of them, and install it"
    return ""


def _hint(error: BaseException, path: Path) -> str:
    if not isinstance(error, ImportError):
        return ""
    wanted = (error.name or "").partition(".")[0]
    if found := neighbour_hint(error, path):
        return found
    return f"; install the library that brings '{wanted}'" if isinstance(error, ModuleNotFoundError) and wanted else ""
