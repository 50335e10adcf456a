"""Owns the encoder that clauses look at, fitted once, and what it makes of the stand-in texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...data.dataset import Split, Texts
from ..texts import ORDINARY, many, wordy
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


def telling_texts(subject: Subject) -> Texts:
    """Return texts in which options show: of the stand-in, also in capitals, ordinary ones, and a long one."""
    texts = some_texts(subject).first
    long = " ".join(subject.dataset().train.texts.first)
    return subject.texts([*texts, *(text.upper() for text in texts), *ORDINARY, long])


def wordy_split(subject: Subject) -> Split:
    """Return the training split with far more words in its texts, written in all ways."""
    train = subject.dataset().train
    return replace(train, texts=replace(train.texts, first=wordy(train.texts.first)))


def many_texts(subject: Subject) -> Texts:
    """Return more texts than a batch holds, of several lengths, some of them alike in all but a little."""
    texts = subject.dataset().train.texts
    return Texts(many(texts.first), None if texts.second is None else many(texts.second))


def together(subject: Subject) -> Any:
    if "together" not in subject.memory:
        subject.memory["together"] = encode(subject, many_texts(subject))
    return subject.memory["together"]
