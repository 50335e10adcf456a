"""Owns the clauses of dataset providers."""

from __future__ import annotations

from typing import Any

from ...data.dataset import Dataset, Split
from ...data.text import texts_digest
from ..clauses import Broken, Check, Clause
from .subject import Subject


def _dataset(subject: Subject) -> Dataset:
    if "loaded" not in subject.memory:
        subject.memory["loaded"] = subject.build().load(subject.context())
    dataset = subject.memory["loaded"]
    if not isinstance(dataset, Dataset):
        raise Broken(f"load returns a {type(dataset).__name__}, no Dataset")
    return dataset


def _has_texts(subject: Subject) -> None:
    dataset = _dataset(subject)
    if len(dataset.train) == 0:
        raise Broken("its train split is empty")
    for name, split in dataset.splits().items():
        for column in (split.texts.first, split.texts.second or ()):
            wrong = next((row for row, text in enumerate(column) if not isinstance(text, str)), None)
            if wrong is not None:
                raise Broken(f"text {wrong} of {name} is a {type(column[wrong]).__name__}, no str")


def _labels_are_in_range(subject: Subject) -> None:
    import numpy as np

    dataset = _dataset(subject)
    for name, split in dataset.splits().items():
        values = np.asarray(split.labels)
        if dataset.labels.task == "multi-label":
            if values.dtype != np.bool_ or values.shape != (len(split), len(dataset.labels)):
                raise Broken(f"the labels of {name} are {_array(values)}, not bool{[len(split), len(dataset.labels)]}")
        elif values.dtype != np.int64 or values.ndim != 1:
            raise Broken(f"the labels of {name} are {_array(values)}, not int64[{len(split)}]")
        elif len(values) and not 0 <= values.min() <= values.max() < len(dataset.labels):
            raise Broken(f"the labels of {name} are {values.min()} to {values.max()}, of {len(dataset.labels)}")


def _array(values: Any) -> str:
    return f"{values.dtype}{list(values.shape)}"


def _ids_are_strings(subject: Subject) -> None:
    for name, split in _dataset(subject).splits().items():
        for what, column in (("id", split.ids), ("group", split.groups or ())):
            wrong = next((value for value in column if not isinstance(value, str)), None)
            if wrong is not None:
                raise Broken(f"{what} {wrong!r} of {name} is a {type(wrong).__name__}, no str")


def _keeps_its_traits(subject: Subject) -> None:
    dataset, traits = _dataset(subject), subject.traits
    if dataset.labels.task not in traits.tasks:
        raise Broken(f"its labels are {dataset.labels.task}, its traits say {', '.join(sorted(traits.tasks))}")
    if dataset.train.texts.pairs and not traits.pairs:
        raise Broken("its texts are pairs, its traits say they are not")


def _loads_the_same_again(subject: Subject) -> None:
    one, other = _dataset(subject), subject.build().load(subject.context(seed=1))
    if one.labels != other.labels:
        raise Broken(f"loaded twice, its labels are {one.labels} and {other.labels}")
    if list(one.splits()) != list(other.splits()):
        raise Broken(f"loaded twice, its splits are {list(one.splits())} and {list(other.splits())}")
    for name, split in one.splits().items():
        if _content(split) != _content(other.splits()[name]):
            raise Broken(f"loaded with another seed, its split {name} differs")


def _content(split: Split) -> tuple[Any, ...]:
    groups = None if split.groups is None else list(split.groups)
    return texts_digest(split.texts), split.labels.tolist(), list(split.ids), groups


DATASET: tuple[Check[Subject], ...] = (
    Check(
        Clause("dataset.texts", "there are texts to train on, and every text is a str", "encoders read nothing else"),
        _has_texts,
    ),
    Check(
        Clause("dataset.labels", "labels are int64[n] below their number, or bool[n, labels]", "they are columns"),
        _labels_are_in_range,
    ),
    Check(
        Clause("dataset.ids", "ids and groups are str", "reports write them, splits keep groups together"),
        _ids_are_strings,
    ),
    Check(
        Clause("dataset.traits", "task and pairs are as the traits say", "the plan has promised it to the other steps"),
        _keeps_its_traits,
    ),
    Check(
        Clause("dataset.stable", "loaded twice, it is the same, whatever the seed", "the seed is of training only"),
        _loads_the_same_again,
    ),
)
