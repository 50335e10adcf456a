"""Owns the clause of encoders in another process, where sets of strings have another order."""

from __future__ import annotations

from ..afresh import fit_afresh, home_of
from ..clauses import Broken, Check, Clause, NotApplicable
from .comparing import demand_same
from .encoders import encode, fitted, some_texts
from .subject import Subject

# They take long to load once more, and learn no vocabulary.
_PRETRAINED = {"transformers", "sentence_transformers"}


def _is_the_same_elsewhere(subject: Subject) -> None:
    pretrained = sorted(_PRETRAINED.intersection(subject.component.needs))
    if pretrained:
        raise NotApplicable(f"its vocabulary is that of a pretrained model ({pretrained[0]})")
    home = home_of(subject.component)
    if not home:
        raise NotApplicable("no module offers it by which another process could find it")
    here, texts = fitted(subject), some_texts(subject)
    values, train = subject.values, subject.dataset().train
    there = fit_afresh(home, subject.component.name, values, train, texts, subject.folder())
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


PROCESS: tuple[Check[Subject], ...] = (
    Check(
        Clause("encoder.process", "fitted in another process, it gives the same features", "a set has no order there"),
        _is_the_same_elsewhere,
        after=("encoder.layout", "encoder.repeats", "encoder.refit", "encoder.fingerprint"),
    ),
)
