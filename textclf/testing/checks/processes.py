"""Owns the clauses of encoders in another process, where sets of str have another order and nothing is known yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ...data.dataset import Texts
from ...plugin.options import options_as_json
from ..afresh import Answer, Wanted, fit_afresh, home_of
from ..clauses import Broken, Check, Clause, NotApplicable
from .alternatives import alike, other_values
from .comparing import ROUNDING, demand_same, take
from .encoded import encode, fitted, many_texts, some_texts
from .fingerprints import half
from .subject import Subject, read_options

# They take long to load once more, and learn no vocabulary.
_PRETRAINED = {"transformers", "sentence_transformers"}
# Those of many texts that differ little, and some beside them.
_TWINS = range(144, 168)


def _is_the_same_elsewhere(subject: Subject) -> None:
    home, here, texts = _home(subject), fitted(subject), some_texts(subject)
    there = next(iter(_answers(subject)), None)
    if there is None:
        raise NotApplicable(f"another process cannot load '{home}'")
    if there.raised:
        raise Broken(f"in another process it raises {there.raised}")
    if there.features is None:
        raise NotApplicable("its features are in no layout that textclf knows")
    what = "fitted in another process, where a set of str has another order"
    demand_same(encode(subject, texts), there.features, what)
    if there.fingerprint != here.fingerprint():
        raise Broken(f"{what}, it has another fingerprint: nothing would be found in the cache")


def _home(subject: Subject) -> str:
    pretrained = sorted(_PRETRAINED.intersection(subject.component.needs))
    if pretrained:
        raise NotApplicable(f"its vocabulary is that of a pretrained model ({pretrained[0]})")
    home = home_of(subject.component)
    if not home:
        raise NotApplicable("no module offers it by which another process could find it")
    return home


def _answers(subject: Subject) -> list[Answer]:
    """Return what the encoder gives in another process, and then what others of it would give if they were the first.

    Those read their texts in another order.
    """
    if "answers" not in subject.memory:
        train = subject.dataset().train
        backwards = _near(subject).take(list(reversed(range(len(_TWINS)))))
        wanted = [Wanted(subject.values, train, some_texts(subject))]
        wanted += [Wanted(values, half(train), backwards) for values in _others(subject)]
        subject.memory["answers"] = fit_afresh(_home(subject), subject.component.name, wanted, subject.folder())
    answers: list[Answer] = subject.memory["answers"]
    return answers


def _near(subject: Subject) -> Texts:
    return many_texts(subject).take(_TWINS)


def _others(subject: Subject) -> Iterator[Mapping[str, Any]]:
    """Give options of other encoders: with all changed that can be, where that is sound, and the given ones."""
    given, changed = options_as_json(subject.options), {**subject.values}
    for options in other_values(subject):
        if alike(subject, options):
            now = options_as_json(options)
            changed |= {name: now[name] for name in now if now[name] != given[name]}
    with suppress(Exception):  # a validator may raise anything
        if changed != subject.values and alike(subject, read_options(subject.component, changed)):
            yield changed
    yield subject.values


def _stands_alone(subject: Subject) -> None:
    one, texts = subject.build(), _near(subject)
    one.fit(subject.dataset().train, subject.context())
    known, before = one.fingerprint(), encode(subject, texts, one)
    others = [(values, _fitted_and_read(subject, values)) for values in _others(subject)]
    demand_same(before, encode(subject, texts, one), "before and after others of it were fitted", ROUNDING)
    if one.fingerprint() != known:
        raise Broken("when others of it are fitted, it has another fingerprint")
    try:
        alone = _answers(subject)[1:]
    except NotApplicable:
        return
    for (values, features), there in zip(others, alone, strict=False):
        # What cannot be had with those options, or on so few texts, is no fault.
        if features is not None and there.features is not None:
            what = "fitted after others of it, and alone in a process"
            what += "" if values == subject.values else f" ({_said(subject, values)})"
            back = take(there.features, list(reversed(range(len(_TWINS)))))
            demand_same(features, back, what, ROUNDING)


def _said(subject: Subject, values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items() if subject.values.get(name) != value)


def _fitted_and_read(subject: Subject, values: Mapping[str, Any]) -> Any:
    try:
        other = subject.component.build(read_options(subject.component, values))
        other.fit(half(subject.dataset().train), subject.context())
        return encode(subject, _near(subject), other)
    except Exception:  # noqa: BLE001 - other clauses tell what fails
        return None


PROCESS: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.process", "fitted in another process, it gives the same features", "a set has no order there"),
        _is_the_same_elsewhere,
        after=("component.check", "encoder.layout", "encoder.repeats", "encoder.refit", "encoder.fingerprint"),
    ),
    Check(
        Clause("encoder.alone", "others of it in the same process change nothing", "several models may be loaded"),
        _stands_alone,
        after=("encoder.order", "encoder.fingerprint", "encoder.options", "encoder.process"),
    ),
)
