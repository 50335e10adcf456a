"""Owns what must hold of a dataset before anything is computed from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .dataset import Dataset, Labels, Split, Texts


def unsound(dataset: Dataset) -> str | None:
    """Say in which way a dataset breaks the contract of a provider, or return None."""
    return unsound_texts(dataset) or unsound_labels(dataset) or unsound_names(dataset)


def unlike_traits(dataset: Dataset, pairs: bool) -> str | None:
    """Say that a sound dataset has pairs where its provider's traits say that it has none, or none for pairs."""
    if dataset.train.texts.pairs == pairs:
        return None
    found = ("single", "that they are pairs") if pairs else ("pairs", "that they are not")
    return f"texts are {found[0]}, where its traits say {found[1]}"


def unsound_texts(dataset: Dataset) -> str | None:
    """Say what is wrong with its splits and their texts, or return None."""
    if not isinstance(dataset.train, Split):
        return f"train is a {type(dataset.train).__name__}, not a textclf.Split"
    pairs = isinstance(dataset.train.texts, Texts) and dataset.train.texts.pairs
    for name, split in dataset.splits().items():
        if not isinstance(split, Split):
            return f"{name} is a {type(split).__name__}, not a textclf.Split"
        reason = _unsound_texts(name, split.texts, pairs) or _unsound_size(name, split)
        if reason:
            return reason
    return None if dataset.unlabelled is None else _unsound_texts("unlabelled", dataset.unlabelled, pairs)


def unsound_labels(dataset: Dataset) -> str | None:
    """Say what is wrong with the labels of a dataset whose texts are sound, or return None."""
    if not isinstance(dataset.labels, Labels):
        return f"labels are a {type(dataset.labels).__name__}, not textclf.Labels"
    found = (_unsound_labels(name, split, dataset.labels) for name, split in dataset.splits().items())
    return next((reason for reason in found if reason), None)


def unsound_names(dataset: Dataset) -> str | None:
    """Say what is wrong with the ids and groups of a dataset whose texts are sound, or return None."""
    for name, split in dataset.splits().items():
        reason = _unsound_names(name, "ids", split.ids) or _unsound_names(name, "groups", split.groups or ())
        if reason:
            return reason
    return None


def _unsound_texts(name: str, texts: Any, pairs: bool) -> str | None:
    if not isinstance(texts, Texts):
        return f"{name} texts are a {type(texts).__name__}, not textclf.Texts"
    if texts.pairs != pairs:
        return f"{name} texts are {'pairs' if texts.pairs else 'single'}, unlike those of train"
    for column in texts.columns():
        row = _first_other(column)
        if row is not None:
            return f"{name} texts are not all of type str: row {row} is a {type(column[row]).__name__}"
    return None


def _unsound_size(name: str, split: Split) -> str | None:
    """Say that a split is empty; of texts to train on the run says so itself, as none may be left of many too."""
    if name == "train" or len(split):
        return None
    return f"{name} split is empty; leave it out (None), and it is drawn from train"


def _unsound_labels(name: str, split: Split, labels: Labels) -> str | None:
    import numpy as np

    given, n = split.labels, len(labels)
    if not isinstance(given, np.ndarray):
        return f"{name} labels are a {type(given).__name__}, not an array"
    if labels.task == "multi-label":
        if given.dtype != np.bool_ or given.shape != (len(split), n):
            return f"{name} labels are {given.dtype}{list(given.shape)}, not bool[{len(split)}, {n}]"
    elif given.ndim != 1 or given.dtype.kind not in "iu":
        return f"{name} labels are {given.dtype}{list(given.shape)}, not int64[{len(split)}]"
    elif len(given) and (given.min() < 0 or given.max() >= n):
        return f"{name} labels run from {given.min()} to {given.max()}, but there are {n} labels (0 to {n - 1})"
    return None


def _unsound_names(name: str, what: str, names: Sequence[Any]) -> str | None:
    row = _first_other(names)
    return None if row is None else f"{name} {what} are not all of type str: row {row} is a {type(names[row]).__name__}"


def _first_other(values: Iterable[Any]) -> int | None:
    """Return the first row that holds something other than a str."""
    return next((row for row, value in enumerate(values) if not isinstance(value, str)), None)
