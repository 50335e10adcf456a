"""Components, their options and traits, and the validation of all three."""

from __future__ import annotations

import inspect
import re
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from ..data.dataset import Task
from ..errors import Problem, error_text, type_name

Kind = Literal["dataset", "encoder", "trainer", "metric", "output"]
# Of features; plugins may have words of their own.
LAYOUTS = ("tokens", "matrix", "counts")
KINDS: tuple[Kind, ...] = ("dataset", "encoder", "trainer", "metric", "output")


class Options(BaseModel):
    """What a recipe may say of a component. Subclass it; give every field a description and its bounds.

    Values are read as JSON, strictly: no string becomes a number, `true` is no number, unknown names are errors.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )

    # Options that have another name now: {"hi": ("high", "textclf-band 0.3")} is read until that version, and warns.
    renamed: ClassVar[Mapping[str, tuple[str, str]]] = {}

    if not TYPE_CHECKING:  # type checkers know the options from their annotations

        def __init__(self, **values: Any) -> None:
            for old, (new, until) in self.renamed.items():
                if old in values:
                    what = f"option '{old}' of {type(self).__name__} is now '{new}'"
                    warnings.warn(f"{what}; the old name goes in {until}", DeprecationWarning, stacklevel=2)
            super().__init__(**new_names(type(self), values))

        # Without this mark, which pydantic's own constructor has, pydantic reads JSON through the constructor, by the
        # rules of Python: a list is then no tuple.
        __init__.__pydantic_base_init__ = True

    def __init_subclass__(cls, **settings: Any) -> None:
        """Refuse an option that hides what every Options has: pydantic would only warn, and warn all users."""
        super().__init_subclass__(**settings)
        for name in _options_named_by(cls):
            if hasattr(Options, name):
                raise TypeError(
                    f"an option of {cls.__name__} cannot be called '{name}', as something of textclf.Options is; write "
                    f"{name}_: ... = Field(..., alias='{name}'), and recipes say '{name}' all the same"
                )

    @classmethod
    def migrate(cls, version: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return `values`, saved by this or an older version of the plugin, in today's terms; "" is no version.

        Override as a class method where more changes than names: it is called for every model that is loaded, with
        values that have the names in `renamed` already.
        """
        return new_names(cls, values)


def new_names(options: type[Options], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with each option that was renamed under its new name, unless both names are there."""
    renamed = {old: new for old, (new, _) in options.renamed.items() if new not in values}
    return {renamed.get(name, name): value for name, value in values.items()}


def _options_named_by(options: type[Options]) -> list[str]:
    """Return what a class itself calls its options, before pydantic looks at them."""
    try:
        annotations = inspect.get_annotations(options)
    except NameError:  # from Python 3.14 on, where a type is defined further below
        return []
    return [name for name, kind in annotations.items() if name != "model_config" and "ClassVar" not in str(kind)]


class NoOptions(Options):
    """The options of a component that has none."""


T = TypeVar("T")
O = TypeVar("O", bound=Options)  # noqa: E741 - T and O: what is built, and from which options


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a component makes, reads and can do; the plan refuses combinations that do not fit.

    makes: the layout of an encoder's features: "tokens", "matrix", "counts" (a matrix without negative values), or a
    plugin's own word. reads: the layouts a trainer can read; "counts" is also a "matrix". objectives: an encoder's
    network has objectives to learn before the labels; a trainer teaches them.
    """

    makes: str | None = None
    reads: frozenset[str] = frozenset()
    tasks: frozenset[Task] = frozenset({"single-label"})
    pairs: bool = False
    uses_validation: bool = False
    uses_unlabelled: bool = False
    objectives: bool = False


def validate_traits(traits: Traits) -> str:
    """Return which trait has a wrong type or value, or ""."""
    for name in ("reads", "tasks"):
        value = getattr(traits, name)
        if not isinstance(value, frozenset) or not all(isinstance(word, str) for word in value):
            return f"{type_name(value)} as {name}, not a frozenset of str"
    unknown = sorted(traits.tasks.difference(get_args(Task)))
    if unknown or not traits.tasks:
        return f"{unknown[0]!r} among its tasks" if unknown else "no tasks"
    if traits.makes is not None and not isinstance(traits.makes, str):
        return f"{type_name(traits.makes)} as makes, not a str"
    flags = ("pairs", "uses_validation", "uses_unlabelled", "objectives")
    wrong = [name for name in flags if not isinstance(getattr(traits, name), bool)]
    return f"{type_name(getattr(traits, wrong[0]))} as {wrong[0]}, not a bool" if wrong else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Generic[T, O]):
    """One thing a recipe can name.

    build: makes the object; the only place where the wrapped library is imported. No I/O, no download.
    restore: makes it from a saved model folder: no network, nothing that only training needs.
    check: looks at the options for what is wrong here and now (a missing file, column, package); local and cheap.
    state: tells in a few words what it found on this machine; cheap, and called where all of `needs` are there.
    needs: the modules that must be importable, by their import names; install: the pip requirement that brings them.
    """

    name: str
    build: Callable[[O], T]
    options: type[O] = NoOptions  # type: ignore[assignment]
    summary: str = ""
    restore: Callable[[O, Path], T] | None = None
    traits: Traits | Callable[[O], Traits] = field(default_factory=Traits)
    check: Callable[[O], Iterable[Problem]] | None = None
    state: Callable[[], str] | None = None
    needs: tuple[str, ...] = ()
    install: str = ""

    def traits_of(self, options: O) -> Traits:
        return self.traits(options) if callable(self.traits) else self.traits


PREFIX = "textclf_"
MARK = "textclf_impl"  # what pluggy's marker leaves on a function that is a hook by another name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def is_named_as_hook(name: str, found: object) -> bool:
    """Tell whether something looks like a hook: by its name, or by pluggy's marker."""
    return name.startswith(PREFIX) or hasattr(found, MARK)


def validate_component(component: Any) -> str:
    """Return what is wrong with a component that a hook offers, or ""."""
    if not isinstance(component, Component):
        return f"returns {type_name(component)} in its list, not a Component"
    if not isinstance(component.name, str) or not _NAME.fullmatch(component.name):
        return f"offers a component with the unusable name {component.name!r}: letters, digits, '_' and '-' are allowed"
    named = f"offers '{component.name}'"
    if not (isinstance(component.options, type) and issubclass(component.options, Options)):
        return f"{named} with options that are not a subclass of textclf.Options"
    if reason := _unfinished(component.options):
        return f"{named} with options that are not fully defined: {reason}"
    if any("use" in (name, info.alias) for name, info in component.options.model_fields.items()):
        return f"{named} with an option called 'use', which in a recipe names the component"
    for part in ("build", "restore", "check", "state"):
        value = getattr(component, part)
        if not callable(value) and (value is not None or part == "build"):
            return f"{named} with {type_name(value)} as {part}, not a function"
    if not callable(component.traits) and not isinstance(component.traits, Traits):
        return f"{named} with {type_name(component.traits)} as traits, not textclf.Traits"
    if isinstance(component.traits, Traits) and (error := validate_traits(component.traits)):
        return f"{named} with {error}"
    for part in ("summary", "install"):
        if not isinstance(getattr(component, part), str):
            return f"{named} with {type_name(getattr(component, part))} as {part}, not a str"
    if not isinstance(component.needs, tuple) or not all(isinstance(need, str) for need in component.needs):
        return f"{named} with {type_name(component.needs)} as needs, not a tuple of module names"
    for need in component.needs:
        if not all(part.isidentifier() for part in need.split(".")):
            hint = "name what is imported, such as 'sklearn', and what pip installs, 'scikit-learn', as `install`"
            return f"{named}, which needs '{need}', and no module has such a name; {hint}"
    return ""


def _unfinished(options: type[Options]) -> str:
    """Return why options cannot be validated, or ""; pydantic completes some only when they are first used."""
    try:
        if not options.__pydantic_complete__:
            options.model_rebuild()
    except Exception as error:  # noqa: BLE001 - types of a plugin's own may raise anything
        return error_text(error)
    return ""


def failing_line(error: BaseException, *modules: object) -> str:
    """Return " (shape.py:12)": the last line that an error went through in the packages of these modules, or ""."""
    packages = {re.split(r"[.:]", str(module))[0] for module in modules} - {"", "None", "textclf"}
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages:
            return f" ({Path(frame.f_code.co_filename).name}:{line})"
    return ""
