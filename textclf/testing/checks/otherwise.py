"""Owns encoders fitted with other options than those given: made once, and looked at by several clauses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...errors import TextclfError
from ...plugin.component import Options
from ..clauses import Broken, Check, Clause, NotApplicable, raised
from .allowed import WAY
from .alternatives import difference, forbids, other_values
from .encoded import some_texts
from .extremes import crossed
from .subject import Subject, read_options


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


def _crossing(subject: Subject) -> Iterator[Other]:
    """Give an encoder for each number put just above one of the same bounds, as the least above the most."""
    known = [other.values for other in _tried(subject)]
    for changes in crossed(subject):
        try:
            values = read_options(subject.component, {**subject.values, **changes})
        except Exception:  # noqa: BLE001 - what a validator raises is for the clauses of options to tell
            continue
        if values not in known and not forbids(subject, values):
            yield from _fitted(subject, values)


def _fitted(subject: Subject, values: Options) -> list[Other]:
    component, changed = subject.component, difference(subject, values)
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


def _works_otherwise(subject: Subject) -> None:
    subject.installed()
    tried = [*_tried(subject), *_crossing(subject)]
    if not tried:
        raise NotApplicable("it has no option that can be changed without knowing more of it")
    for other in tried:
        if other.fault:
            raise Broken(f"tried with {other.changed}: {other.fault}{WAY}")


OTHERWISE: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.allowed", "what its options and its check allow, it can be fitted with", "a recipe may say it"),
        _works_otherwise,
        after=("component.allowed", "encoder.layout", "encoder.repeats"),
    ),
)
