"""Owns the encoder that clauses look at, fitted once, and what it makes of the stand-in texts."""

from __future__ import annotations

from typing import Any

from ...data.dataset import Texts
from ..texts import many
from .subject import Subject

SOME = 12


def fitted(subject: Subject) -> Any:
    if "fitted" not in subject.memory:
        encoder = subject.build()
        encoder.fit(subject.dataset().train, subject.context())
        subject.memory["fitted"] = encoder
    return subject.memory["fitted"]


def encode(subject: Subject, texts: Texts, encoder: Any = None) -> Any:
    return (encoder or fitted(subject)).encode(texts, subject.context())


def some_texts(subject: Subject) -> Texts:
    return subject.dataset().train.texts.take(range(SOME))


def many_texts(subject: Subject) -> Texts:
    """Return more texts than a batch holds, of several lengths, some of them alike in all but a little."""
    texts = subject.dataset().train.texts
    return Texts(many(texts.first), None if texts.second is None else many(texts.second))


def together(subject: Subject) -> Any:
    if "together" not in subject.memory:
        subject.memory["together"] = encode(subject, many_texts(subject))
    return subject.memory["together"]
