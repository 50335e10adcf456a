"""Owns encoders fitted with other options than those given: made once, and looked at by several clauses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import TextclfError
from ...hooks.components import Options
from ...recipe.kept import options_as_json
from ..clauses import Broken, Check, Clause, NotApplicable, raised
from .alternatives import other_values
from .encoded import some_texts
from .subject import Subject

_WAY = "; if options do not go together, refuse them: in Component(check=...), or by a pydantic model_validator"


@dataclass(frozen=True, slots=True)
class Other:
    """An encoder fitted with one option changed; `changed` says which, as in "low 4 in place of 3".

    features: of some texts. fault: what was raised on the way there; then there are no features.
    """

    values: Options
    changed: str
    encoder: Any = None
    features: Any = None
    fault: str = ""


def fitted_otherwise(subject: Subject) -> list[Other]:
    """Return an encoder for each option that can be changed without changing what the traits say."""
    return [other for other in _tried(subject) if not other.fault]


def _tried(subject: Subject) -> list[Other]:
    if "otherwise" not in subject.memory:
        subject.memory["otherwise"] = [other for values in other_values(subject) for other in _fitted(subject, values)]
    others: list[Other] = subject.memory["otherwise"]
    return others


def _fitted(subject: Subject, values: Options) -> list[Other]:
    component, changed = subject.component, _said(subject, values)
    try:
        if component.check is not None:
            list(component.check(values))
        if component.traits_of(values) != subject.traits:
            return []
        encoder = component.build(values)
        encoder.fit(subject.dataset().train, subject.context())
        features = encoder.encode(some_texts(subject), subject.context())
    except TextclfError:
        return []  # it cannot be had here, as more layers than a network has
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
        return [Other(values, changed, fault=raised(error, component))]
    return [Other(values, changed, encoder, features)]


def _said(subject: Subject, values: Options) -> str:
    now, then = options_as_json(values), options_as_json(subject.options)
    return ", ".join(f"{name} {now[name]!r} in place of {then[name]!r}" for name in now if now[name] != then[name])


def _works_otherwise(subject: Subject) -> None:
    subject.installed()
    tried = _tried(subject)
    if not tried:
        raise NotApplicable("it has no option that can be changed without knowing more of it")
    for other in tried:
        if other.fault:
            raise Broken(f"tried with {other.changed}: {other.fault}{_WAY}")


OTHERWISE: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.allowed", "what its options and its check allow, it can be fitted with", "a recipe may say it"),
        _works_otherwise,
        after=("component.check", "encoder.layout", "encoder.repeats"),
    ),
)
