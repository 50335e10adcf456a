"""Steps: components with their options. They build, restore and call objects, and name missing libraries."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
    error_text,
    type_name,
)
from ..files import is_failing, is_full
from . import single_file
from .component import Component, Kind, Options, Traits, failing_line, validate_traits
from .options import explain, options_as_json, read_options
from .registry import Plugin, Registration

T = TypeVar("T")

# The methods that the protocols of plugin/protocols.py require of what a component builds.
CONTRACTS: dict[Kind, tuple[str, ...]] = {
    "dataset": ("load",),
    "encoder": ("fit", "encode", "fingerprint", "save"),
    "trainer": ("train", "restore"),
    "metric": ("__call__",),
    "output": ("write",),
}
MODEL = ("scores", "save")  # of what a trainer trains and restores
_PROTOCOLS: dict[Kind, str] = {
    "dataset": "DatasetProvider", "encoder": "Encoder", "trainer": "Trainer", "metric": "Metric", "output": "Output",
}  # fmt: skip
_NOUNS = {"DatasetProvider": "dataset provider"}


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """One component of a plan with its options. note: what to add to its errors, such as how it was made.

    traits: of the component with these options; a PluginError where it cannot tell them.
    """

    kind: Kind
    registration: Registration
    options: Options
    note: str = ""
    traits: Traits = field(init=False, compare=False)

    def __post_init__(self) -> None:
        traits = self.call("traits", lambda: self.component.traits_of(self.options))
        if not isinstance(traits, Traits):
            raise self.error(f"traits() returns {type_name(traits)}, not textclf.Traits")
        if wrong := validate_traits(traits):
            raise self.error(f"traits() returns Traits with {wrong}")
        object.__setattr__(self, "traits", traits)

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def component(self) -> Component[T, Any]:
        return self.registration.component

    @property
    def plugin(self) -> Plugin:
        return self.registration.plugin

    def __str__(self) -> str:
        return str(self.registration)

    def build(self) -> T:
        """Build the object; a PluginError names the plugin where that fails or breaks the contract."""
        return self._checked("build", self.call("build", lambda: self.component.build(self.options)))

    def restore(self, folder: Path) -> T:
        """Build the object from a saved model folder; without a `restore`, as `build` does."""
        restore = self.component.restore
        if restore is None:
            return self.build()
        return self._checked("restore", self.call("restore", lambda: restore(self.options, folder)))

    def check(self) -> list[Problem]:
        """Return what is wrong here and now, such as a missing file; paths begin at the options."""
        check = self.component.check
        if check is None:
            return []
        found: list[Problem] = self.call("check", lambda: list(check(self.options)))
        if wrong := validate_problems(found):
            raise self.error(f"check() returns {wrong}")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return name, plugin, version, origin, and every option, as `restored_step` reads it."""
        plugin = self.plugin
        origin = {"distribution": plugin.distribution, "file": Path(plugin.file).name, "sha256": plugin.sha256}
        about = {"plugin": plugin.module, "version": plugin.version, **{k: v for k, v in origin.items() if v}}
        return {"use": self.name, **about, "options": self._options()}

    def to_recipe(self) -> dict[str, Any]:
        """Return the step as a recipe has it, with every default."""
        return {"use": self.name, **self._options()}

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = self.call("options", lambda: options_as_json(self.options))
        return options

    def call(self, method: str, function: Callable[[], Any]) -> Any:
        """Call a method of the step's object. A PluginError names it for what it raises, but for textclf's errors."""
        try:
            return function()
        except ArtefactError as error:
            if not self.note:
                raise
            raise ArtefactError(f"{error}{self.note}") from error
        except (TextclfError, KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit included
            if isinstance(error, ImportError) and (hint := import_hint(self.registration, error)):
                raise PluginError(f"{self}: {method}() fails: {error_text(error)}{self.place(error)}{hint}") from error
            if isinstance(error, OSError) and is_full(error):
                raise ResourceError(f"{self}: {method}() fails: {error_text(error)}; free some space") from error
            if isinstance(error, OSError) and is_failing(error):
                raise DataError(f"{self}: {method}() cannot read its data: {error_text(error)}") from error
            version = other_version(self.registration, error)
            raise self.error(f"{method}() fails: {error_text(error)}{version}", error) from error

    def require(
        self, method: str, built: Any, methods: tuple[str, ...], contract: str, flags: tuple[str, ...] = ()
    ) -> None:
        """Raise the error where what a method returned lacks methods, or flags, that a contract requires."""

        def missing() -> list[str]:
            found = [name for name in methods if not callable(getattr(built, name, None))]
            return found + [name for name in flags if not isinstance(getattr(built, name, None), bool)]

        names = self.call(method, missing)
        if names and built is None:
            raise self.error(f"{method}() returns nothing; return the {_NOUNS.get(contract, contract.lower())}")
        if names:
            words = ", ".join(f"'{name}'" for name in names)
            demand = f"which the contract of textclf.{contract} requires"
            raise self.error(f"{method}() returns {type_name(built)} without {words}, {demand}")

    def _checked(self, method: str, built: Any) -> T:
        flags = ("greater_is_better",) if self.kind == "metric" else ()
        self.require(method, built, CONTRACTS[self.kind], _PROTOCOLS[self.kind], flags)
        return built  # type: ignore[no-any-return]

    def error(self, what: str, cause: BaseException | None = None) -> PluginError:
        """Return the error that names the component and its plugin, the line of a cause, and what to do."""
        place = "" if cause is None else self.place(cause)
        return PluginError(f"{self}: {what}{place}{self.note}{self.plugin.hint(self.name)}")

    def place(self, error: BaseException) -> str:
        """Return " (shape.py:12)", the last line of the plugin that an error went through, or ""."""
        return _place(self.registration, error)


def _place(registration: Registration, error: BaseException) -> str:
    # The functions of a single file are in a module of another name than the plugin's.
    return failing_line(error, registration.plugin.module, getattr(registration.component.build, "__module__", ""))


def validate_options(registration: Registration, values: Mapping[str, Any]) -> tuple[Options | None, list[Problem]]:
    """Return validated options, or what is wrong with the values; paths begin at the options."""
    options, hint = registration.component.options, registration.plugin.hint(registration.component.name)
    try:
        return read_options(options, values), []
    except ValidationError as error:
        return None, explain(error, options, values, str(registration), hint)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001 - a validator of the plugin may raise anything
        reason = f"{error_text(error)}{_place(registration, error)}{hint}"
        what = f"the options of {registration} cannot be checked: {reason}"
        return None, [Problem(what, exit_code=PluginError.exit_code)]


def validate_problems(found: Iterable[Any]) -> str:
    """Return what is wrong with the problems that a component's check returns, or ""."""
    for problem in found:
        types = (str, tuple, int)
        if not isinstance(problem, Problem) or not all(
            isinstance(value, kind)
            for value, kind in zip((problem.message, problem.path, problem.exit_code), types, strict=True)
        ):
            return "something other than textclf.Problem"
        if problem.exit_code not in PROBLEM_CODES:
            return f"a Problem of exit code {problem.exit_code}; there are 2 to 8, and 0 for a warning"
    return ""


def default_traits(registration: Registration) -> Traits | None:
    """Return a component's traits with its defaults; None where options are required, or where it fails."""
    if not callable(registration.component.traits):
        return registration.component.traits
    options, _ = validate_options(registration, {})
    try:
        return None if options is None else Step(registration.kind, registration, options).traits
    except PluginError:
        return None


def missing_libraries(component: Component[Any, Any]) -> list[str]:
    """Return the modules that a component needs and that cannot be found; nothing is imported to see."""
    return [name for name in component.needs if not _is_installed(name)]


def state_of(component: Component[Any, Any]) -> str:
    """Return what a component tells of this machine, or that it fails; "" where a library is missing."""
    if component.state is None or missing_libraries(component):
        return ""
    try:
        return str(component.state())
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and the others are still to be listed
        return f"state() fails: {error_text(error)}"


def missing_message(kind: Kind, component: Component[Any, Any], missing: list[str]) -> str:
    """Return which libraries a component misses, and the command that installs them."""
    verb = "which is" if len(missing) == 1 else "which are"
    what = f"{kind} '{component.name}' needs {' and '.join(missing)}, {verb} not installed"
    return f"{what}: {pip_command(component, missing)}"


def pip_command(component: Component[Any, Any], missing: list[str]) -> str:
    wanted = component.install.split() or [name.partition(".")[0] for name in missing]
    return "pip install " + " ".join(shlex.quote(word) for word in wanted)


def _is_installed(name: str) -> bool:
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


def import_hint(registration: Registration, error: ImportError) -> str:
    """Return what to install where a component's import fails; "" for an error of its own, such as a misspelt name."""
    plugin, component = registration.plugin, registration.component
    if plugin.file and (hint := single_file.neighbour_hint(error, Path(plugin.file))):
        return hint
    missing = missing_libraries(component)
    wanted = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    absent = "" if not wanted or _is_installed(wanted) else wanted
    # A module's name is not always the name of the package that installs it.
    brings = f"install the library that brings '{absent}'"
    # Python names the module that it cannot import; a library that misses another one has a message of its own.
    if missing or (component.install and (absent or not error.name)):
        other = f", or {brings}" if absent and not missing else ""
        return f"; {pip_command(component, missing)}{other}"
    if not absent:
        return ""
    advice = "list it in the component's `needs`, and this is reported before a run"
    return f"; {brings}, most often by `pip install {absent}`; {advice}"


def other_version(registration: Registration, error: BaseException) -> str:
    """Return that another version of a library may have the name that an import misses."""
    top = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    own = registration.plugin.module.partition(".")[0]
    return f"; another version of {top} may have it" if top and top not in (own, *sys.stdlib_module_names) else ""
