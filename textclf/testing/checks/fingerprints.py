"""Owns the clauses of what an encoder says its features depend on: they are cached by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...data.dataset import Split, Texts
from ...errors import kind_of
from ...plugin.component import Options
from ..clauses import Broken, Check, Clause, NotApplicable
from .comparing import ROUNDING, differ
from .encoded import SOME, encode, fitted, some_texts, telling_texts, wordy_split
from .otherwise import fitted_otherwise
from .subject import Subject


def _tells_its_options(subject: Subject) -> None:
    one = fitted(subject)
    if not one.fingerprint():
        raise NotApplicable("its features are never cached")
    if not fitted_otherwise(subject):
        raise NotApplicable("it has no option that can be changed without knowing more of it")
    texts = telling_texts(subject)
    for other in fitted_otherwise(subject):
        _demand_told(subject, other.changed, (one, other.encoder), texts)
    # Who tells only how many words it knows tells nothing where there are more than it keeps.
    train = wordy_split(subject)
    one = _fitted_on(subject, subject.options, train)
    for other in fitted_otherwise(subject) if one else ():
        both = (one, _fitted_on(subject, other.values, train))
        _demand_told(subject, other.changed, both, train.texts.take(range(SOME)))


def _fitted_on(subject: Subject, options: Options, train: Split) -> Any:
    encoder = subject.component.build(options)
    try:
        encoder.fit(train, subject.context())
    except Exception:  # noqa: BLE001 - whether it can be fitted other clauses tell
        return None
    return encoder


def _demand_told(subject: Subject, changed: str, both: Sequence[Any], texts: Texts) -> None:
    """Raise Broken where two encoders have one fingerprint and make other features of the texts."""
    one, other = both
    if other is None or one.fingerprint() != other.fingerprint():
        return
    if differ(encode(subject, texts, one), encode(subject, texts, other), ROUNDING):
        raise Broken(f"with {changed} it gives other features under the same fingerprint")


def _knows_itself(subject: Subject) -> None:
    one, again, train = fitted(subject), subject.build(), subject.dataset().train
    again.fit(train, subject.context())
    if not isinstance(one.fingerprint(), str):
        raise Broken(f"fingerprint returns {kind_of(one.fingerprint())}, not a str")
    if one.fingerprint() != again.fingerprint():
        raise Broken("fitted alike, two encoders have different fingerprints")
    if one.fingerprint():
        _demand_another(subject, "fitted on other texts", half(train))
        _demand_another(subject, "fitted on the same texts with other labels", _relabelled(train))
        _demand_another(subject, "fitted with another context.seed", train, seed=1)


def _demand_another(subject: Subject, what: str, train: Split, seed: int = 0) -> None:
    """Raise Broken where what is fitted otherwise has the same fingerprint and gives other features."""
    other, texts = subject.build(), some_texts(subject)
    other.fit(train, subject.context(seed))
    if other.fingerprint() != fitted(subject).fingerprint():
        return
    if differ(encode(subject, texts), other.encode(texts, subject.context(seed))):
        raise Broken(f"{what} it gives other features under the same fingerprint")


def half(train: Split) -> Split:
    import numpy as np

    return train.take(np.arange(len(train) // 2))


def _relabelled(train: Split) -> Split:
    """Return the same texts, each with the label of another."""
    import numpy as np

    rows = np.random.default_rng(0).permutation(len(train))
    return replace(train, labels=train.labels[rows])


FINGERPRINT: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.fingerprint", "equal fingerprints mean equal features", "features are cached under it"),
        _knows_itself,
        after=("encoder.layout", "encoder.repeats", "encoder.refit"),
    ),
    Check(
        Clause("encoder.options", "options that change features change the fingerprint", "features are cached by it"),
        _tells_its_options,
        after=("component.check", "encoder.hostile", "encoder.repeats", "encoder.refit", "encoder.fingerprint"),
    ),
)
