"""Owns the clauses of what an encoder says its features depend on: they are cached by it."""

from __future__ import annotations

from typing import Any

from ...data.dataset import Split
from ...errors import TextclfError, kind_of
from ...hooks.components import Options
from ..clauses import Broken, Check, Clause, NotApplicable
from .alternatives import other_values
from .comparing import differ
from .encoders import encode, fitted, some_texts
from .subject import Subject


def _tells_its_options(subject: Subject) -> None:
    one, compared = fitted(subject), 0
    if not one.fingerprint():
        raise NotApplicable("its features are never cached")
    for values in other_values(subject):
        other = subject.component.build(values)
        if subject.component.traits_of(values) != subject.traits:
            continue
        try:
            other.fit(subject.dataset().train, subject.context())
        except TextclfError:
            continue  # it cannot be had here, as more layers than a network has
        compared += 1
        if other.fingerprint() == one.fingerprint():
            _demand_alike(subject, values, other)
    if not compared:
        raise NotApplicable("it has no option that can be changed without knowing more of it")


def _demand_alike(subject: Subject, values: Options, other: Any) -> None:
    """Raise Broken where options that give other features have the same fingerprint."""
    texts = some_texts(subject)
    if differ(encode(subject, texts), encode(subject, texts, other)):
        now, then = values.model_dump(), subject.options.model_dump()
        changed = ", ".join(f"{name} {then[name]!r} and {now[name]!r}" for name in now if now[name] != then[name])
        raise Broken(f"other features under the same fingerprint: {changed}")


def _knows_itself(subject: Subject) -> None:
    one, again, other = fitted(subject), subject.build(), subject.build()
    again.fit(subject.dataset().train, subject.context())
    other.fit(_half(subject.dataset().train), subject.context())
    if not isinstance(one.fingerprint(), str):
        raise Broken(f"fingerprint returns {kind_of(one.fingerprint())}, not a str")
    if one.fingerprint() != again.fingerprint():
        raise Broken("fitted alike, two encoders have different fingerprints")
    if one.fingerprint() and one.fingerprint() == other.fingerprint():
        texts = some_texts(subject)
        if differ(encode(subject, texts), encode(subject, texts, other)):
            raise Broken("fitted on other texts it gives other features under the same fingerprint")


def _half(train: Split) -> Split:
    import numpy as np

    return train.take(np.arange(len(train) // 2))


FINGERPRINT: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.fingerprint", "equal fingerprints mean equal features", "features are cached under it"),
        _knows_itself,
        after=("encoder.layout", "encoder.repeats", "encoder.refit"),
    ),
    Check(
        Clause("encoder.options", "options that change features change the fingerprint", "features are cached by it"),
        _tells_its_options,
        after=("component.check", "encoder.layout", "encoder.repeats", "encoder.refit", "encoder.fingerprint"),
    ),
)
