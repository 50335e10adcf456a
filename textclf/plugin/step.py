"""Steps: components with their options. They build, restore and call objects, and name missing libraries."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from ..errors import (
    PROBLEM_CODES,
    ArtefactError,
    DataError,
    PluginError,
    Problem,
    ResourceError,
    TextclfError,
    kind_of,
    said,
)
from ..files import is_failing, is_full
from . import single_file
from .component import Component, Kind, Options, Traits, first_line, flaw_of_traits, own_line
from .options import explain, options_as_json, read_options
from .registry import Registration


def lacking_libraries(component: Component[Any, Any]) -> list[str]:
    """Return those of the modules a component needs that cannot be found; nothing is imported to see."""
    return [name for name in component.needs if not _is_there(name)]


def absence(kind: Kind, component: Component[Any, Any], lacking: list[str]) -> str:
    """Say of a component which libraries it lacks, and what to type."""
    verb = "which is" if len(lacking) == 1 else "which are"
    what = f"{kind} '{component.name}' needs {' and '.join(lacking)}, {verb} not installed"
    return f"{what}: {pip_command(component, lacking)}"


def pip_command(component: Component[Any, Any], lacking: list[str]) -> str:
    wanted = component.install.split() or [name.partition(".")[0] for name in lacking]
    return "pip install " + " ".join(shlex.quote(word) for word in wanted)


def _is_there(name: str) -> bool:
    top, *inner = name.split(".")
    if name in sys.modules:
        return sys.modules[name] is not None
    try:
        spec = importlib.util.find_spec(top)
        # `find_spec` of a dotted name would import its parents.
        for depth, _ in enumerate(inner, start=2):
            if spec is None or spec.submodule_search_locations is None:
                return False
            spec = PathFinder.find_spec(".".join(name.split(".")[:depth]), list(spec.submodule_search_locations))
    except (ImportError, ValueError):
        return False
    return spec is not None


def other_version(offer: Registration, error: BaseException) -> str:
    """Say of what is not in a library, though that is there, where it may be; nothing of the plugin or of Python."""
    top = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    own = offer.plugin.module.partition(".")[0]
    return f"; another version of {top} may have it" if top and top not in (own, *sys.stdlib_module_names) else ""


def way_out(offer: Registration, error: ImportError) -> str:
    """Say what to do where a component's import fails; nothing where that is its own fault, as a misspelt name is."""
    if offer.plugin.file and (neighbour := single_file.neighbour(error, Path(offer.plugin.file))):
        return neighbour
    component, lacking = offer.component, lacking_libraries(offer.component)
    wanted = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    absent = "" if not wanted or _is_there(wanted) else wanted
    # The name of an import is not always that of what brings it.
    brings = f"install the library that brings '{absent}'"
    # Python names the module of whatever it cannot import; a library that lacks another one says so in its own words.
    if lacking or (component.install and (absent or not error.name)):
        other = f", or {brings}" if absent and not lacking else ""
        return f"; {pip_command(component, lacking)}{other}"
    if not absent:
        return ""
    named = "where the component's `needs` named it, that would be said before a run"
    return f"; {brings}, most often by `pip install {absent}`; {named}"


T = TypeVar("T")

# What the contracts of `hooks.contracts` ask of the objects behind components.
CONTRACTS: dict[Kind, tuple[str, ...]] = {
    "dataset": ("load",),
    "encoder": ("fit", "encode", "fingerprint", "save"),
    "trainer": ("train", "restore"),
    "metric": ("__call__",),
    "output": ("write",),
}
MODEL = ("scores", "save")  # what a trainer trains and restores


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """One component of a plan with its options. note: what else to know where it fails, such as how it was made."""

    kind: Kind
    registration: Registration
    options: Options
    note: str = ""

    @property
    def name(self) -> str:
        return self.registration.component.name

    @property
    def component(self) -> Component[T, Any]:
        return self.registration.component

    @property
    def traits(self) -> Traits:
        """Return what these options make, read and can do; a PluginError where the plugin cannot say."""
        traits = self.call("traits", lambda: self.component.traits_of(self.options))
        if not isinstance(traits, Traits):
            raise self.fault(f"traits() returns {kind_of(traits)}, not textclf.Traits", self.component.traits)
        flaw = flaw_of_traits(traits)
        if flaw:
            raise self.fault(f"traits() returns Traits with {flaw}", self.component.traits)
        return traits

    def build(self) -> T:
        """Build the object; a PluginError names the plugin where that fails or breaks the contract."""
        return self._kept(self.call("build", lambda: self.component.build(self.options)), "build")

    def restore(self, folder: Path) -> T:
        """Build the object from a saved model folder, as `build` does where the component has nothing to restore."""
        restore = self.component.restore
        if restore is None:
            return self.build()
        return self._kept(self.call("restore", lambda: restore(self.options, folder)), "restore")

    def check(self) -> list[Problem]:
        """Return what is wrong here and now, such as a missing file; paths begin at the options."""
        check = self.component.check
        if check is None:
            return []
        found = self.call("check", lambda: list(check(self.options)))
        if not all(_is_problem(problem) for problem in found):
            raise self.fault("check() returns something other than textclf.Problem", check)
        if flaw := flaw_of_codes(found):
            raise self.fault(f"check() returns {flaw}", check)
        return list(found)

    def to_json(self) -> dict[str, Any]:
        """Return name, plugin module, version, where the plugin is from, and every option; `restored_step` reads it."""
        plugin = self.registration.plugin
        origin = {"distribution": plugin.distribution, "file": Path(plugin.file).name, "sha256": plugin.sha256}
        about = {"plugin": plugin.module, "version": plugin.version, **{k: v for k, v in origin.items() if v}}
        return {"use": self.name, **about, "options": self._dumped()}

    def to_recipe(self) -> dict[str, Any]:
        """Return the step as a recipe says it, every default written out."""
        return {"use": self.name, **self._dumped()}

    def _dumped(self) -> dict[str, Any]:
        """Return the options as JSON has them; a PluginError where they hold what JSON cannot."""
        dumped: dict[str, Any] = self.call("options", lambda: options_as_json(self.options))
        return dumped

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' ({self.registration.plugin})"

    def fault(self, what: str, origin: object = None) -> PluginError:
        """Return the error that tells whose fault it is, which contract was broken, where, and what can be done.

        origin: the error behind it, or the method that broke the contract.
        """
        return PluginError(f"{self}: {what}{self.place(origin)}{self.note}{self.registration.plugin.hint(self.name)}")

    def place(self, origin: object) -> str:
        """Return " (shape.py:12)", the line of the plugin's own that an error or a method stands for, or nothing."""
        own = (self.registration.plugin.module, self.component)
        line = own_line(origin, *own) if isinstance(origin, BaseException) else first_line(origin, *own)
        return f" ({line})" if line else ""

    def call(self, method: str, function: Callable[[], Any]) -> Any:
        """Call a method of the step's object; a PluginError names it where it raises anything but textclf's errors."""
        try:
            return function()
        except ArtefactError as error:
            if not self.note:
                raise
            raise ArtefactError(f"{error}{self.note}") from error
        except (TextclfError, KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:
            if isinstance(error, ImportError) and (way := way_out(self.registration, error)):
                raise PluginError(f"{self}: {method}() fails: {said(error)}{self.place(error)}{way}") from error
            if isinstance(error, OSError) and is_full(error):
                raise ResourceError(f"{self}: {method}() fails: {said(error)}; free some space") from error
            if isinstance(error, OSError) and is_failing(error):
                raise DataError(f"{self}: {method}() cannot read its data: {said(error)}") from error
            version = other_version(self.registration, error)
            raise self.fault(f"{method}() fails: {said(error)}{version}", error) from error

    def _kept(self, built: Any, method: str) -> T:
        direction = ("greater_is_better",) if self.kind == "metric" else ()
        origin = getattr(self.component, method)
        self.require(method, built, CONTRACTS[self.kind], _CONTRACT_NAMES[self.kind], direction, origin=origin)
        return built  # type: ignore[no-any-return]

    def require(
        self, method: str, built: Any, methods: tuple[str, ...], contract: str, flags: tuple[str, ...] = (), *,
        origin: object = None,
    ) -> None:  # fmt: skip
        """Raise the fault where what a method returned lacks methods, or flags, that a contract asks for."""

        def look() -> list[str]:
            lacking = [name for name in methods if not callable(getattr(built, name, None))]
            return lacking + [name for name in flags if not isinstance(getattr(built, name, None), bool)]

        lacking = self.call(method, look)
        if lacking and built is None:
            raise self.fault(f"{method}() returns nothing; return the {_NOUNS.get(contract, contract.lower())}", origin)
        if lacking:
            words = ", ".join(f"'{name}'" for name in lacking)
            asks = f"which the contract of textclf.{contract} asks for"
            raise self.fault(f"{method}() returns {kind_of(built)} without {words}, {asks}", origin)


_CONTRACT_NAMES: dict[Kind, str] = {
    "dataset": "DatasetProvider", "encoder": "Encoder", "trainer": "Trainer", "metric": "Metric", "output": "Output",
}  # fmt: skip
_NOUNS = {"DatasetProvider": "dataset provider"}


def validate(offer: Registration, values: Mapping[str, Any]) -> tuple[Options | None, list[Problem]]:
    """Return validated options, or what is wrong with the values; paths begin at the options."""
    options = offer.component.options
    try:
        return read_options(options, values), []
    except ValidationError as error:
        owner = f"{offer.kind} '{offer.component.name}' ({offer.plugin})"
        return None, explain(error, options, values, owner, offer.plugin.hint(offer.component.name))
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001 - a validator of the plugin's may raise anything
        what = f"{offer.kind} '{offer.component.name}' ({offer.plugin})"
        line = own_line(error, offer.plugin.module, offer.component)
        where = (f" ({line})" if line else "") + offer.plugin.hint(offer.component.name)
        return None, [Problem(f"the options of {what} cannot be checked: {said(error)}{where}", exit_code=5)]


def default_traits(offer: Registration) -> Traits | None:
    """Return a component's traits with its defaults; None where they hang on options that must be given, or fail."""
    traits = offer.component.traits
    if not callable(traits):
        return traits
    options, _ = validate(offer, {})
    try:
        return None if options is None else Step(offer.kind, offer, options).traits
    except PluginError:
        return None


def flaw_of_codes(problems: Iterable[Problem]) -> str:
    """Say which problem has an exit code that no command ends with, or nothing."""
    strange = [problem.exit_code for problem in problems if problem.exit_code not in PROBLEM_CODES]
    return f"a Problem of exit code {strange[0]}; there are 2 to 8, and 0 for a warning" if strange else ""


def _is_problem(found: Any) -> bool:
    return (
        isinstance(found, Problem)
        and isinstance(found.message, str)
        and isinstance(found.path, tuple)
        and type(found.exit_code) is int
    )
