"""Owns what a plugin offers: a Component with validated Options, declared Traits, and a lazy build."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from ..data.dataset import Task
from ..errors import Problem, kind_of

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

        Override where terms change, as a class method: it is asked about every model that is loaded.
        """
        return values


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


def flaw_of_traits(traits: Traits) -> str:
    """Say which trait is of a wrong type, or nothing."""
    for name in ("reads", "tasks"):
        value = getattr(traits, name)
        if not isinstance(value, frozenset) or not all(isinstance(word, str) for word in value):
            return f"{kind_of(value)} as {name}, not a frozenset of str"
    strange = sorted(traits.tasks.difference(get_args(Task)))
    if strange or not traits.tasks:
        return f"{strange[0]!r} among its tasks" if strange else "no tasks"
    if traits.makes is not None and not isinstance(traits.makes, str):
        return f"{kind_of(traits.makes)} as makes, not a str"
    flags = ("pairs", "uses_validation", "uses_unlabelled", "objectives")
    wrong = [name for name in flags if not isinstance(getattr(traits, name), bool)]
    return f"{kind_of(getattr(traits, wrong[0]))} as {wrong[0]}, not a bool" if wrong else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Generic[T, O]):
    """One thing a recipe can name.

    build: makes the object; the only place where the wrapped library is imported. No I/O, no download.
    restore: makes it from a saved model folder: no network, nothing that only training needs.
    check: looks at the options for what is wrong here and now (a missing file, column, package); local and cheap.
    needs: the modules that must be importable, by their import names; install: the pip requirement that brings them.
    """

    name: str
    build: Callable[[O], T]
    options: type[O] = NoOptions  # type: ignore[assignment]
    summary: str = ""
    restore: Callable[[O, Path], T] | None = None
    traits: Traits | Callable[[O], Traits] = field(default_factory=Traits)
    check: Callable[[O], Iterable[Problem]] | None = None
    needs: tuple[str, ...] = ()
    install: str = ""

    def traits_of(self, options: O) -> Traits:
        return self.traits(options) if callable(self.traits) else self.traits
