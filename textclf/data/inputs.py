"""Data that Python callers pass: DataFrames, lists and tuples become datasets and texts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from ..errors import DataError, did_you_mean, kind_of
from .dataset import Dataset, Labels, Split, Task, Texts, unsound

_TEXT, _LABEL, _OTHERS = ("text", "review", "sentence"), ("label", "labels"), ("pair", "id", "group")
_NO_COLUMNS = (str, bytes, Set, Mapping)  # whose order, or whose parts, mean something else


def dataset_of(data: Any, labels: Labels | None = None) -> Dataset:
    """Return what the caller gave as a Dataset.

    data: a Dataset; a pandas DataFrame with columns text and label (pair, id and group are used where they are there);
    or (texts, labels) or (texts, pairs, labels), in which a Texts may stand for its columns. Labels may be str, int or
    bool; a set or list of them a text makes a multi-label task. labels: those of a trained classifier, which then must
    cover all that are given.
    """
    if isinstance(data, Dataset):
        reason = unsound(data)
        if reason:
            raise DataError(f"the given dataset's {reason}")
        return data if labels is None else _in_order(data, labels)
    if hasattr(data, "columns") and hasattr(data, "to_dict") and not isinstance(data, type):
        return _of_frame(data, labels)
    if isinstance(data, tuple) and data and isinstance(data[0], Texts):
        data = (*data[0].columns(), *data[1:])
    if isinstance(data, tuple) and len(data) in (2, 3):
        columns = [_listed(column) for column in data]
        texts = Texts(_strings(columns[0], "text"), _strings(columns[1], "pair") if len(data) == 3 else None)
        return _dataset(texts, columns[-1], labels)
    raise DataError(
        f"data is {kind_of(data)}; give a DataFrame with columns text and label, a tuple (texts, labels) or "
        f"(texts, pairs, labels), or a textclf.Dataset"
    )


def _of_frame(frame: Any, labels: Labels | None) -> Dataset:
    columns = [str(name) for name in frame.columns]
    for name in (*_TEXT, *_LABEL, *_OTHERS):
        if columns.count(name) > 1:
            raise DataError(f"the DataFrame has {columns.count(name)} columns '{name}'; rename all but one")
    text, label = _column(columns, _TEXT, "text"), _column(columns, _LABEL, "label")
    pair = "pair" if "pair" in columns else None
    texts = Texts(_strings(list(frame[text]), text), _strings(list(frame[pair]), pair) if pair else None)
    ids = [str(v) for v in frame["id"]] if "id" in columns else ()
    groups = [str(v) for v in frame["group"]] if "group" in columns else None
    return _dataset(texts, list(frame[label]), labels, ids, groups)


def _column(columns: Sequence[str], names: Sequence[str], what: str) -> str:
    for name in names:
        if name in columns:
            return name
    if not columns:
        raise DataError(f"the DataFrame has no column at all; give it '{_TEXT[0]}' and '{_LABEL[0]}'")
    raise DataError(
        f"the DataFrame has no column '{what}'{did_you_mean(what, columns)} (it has: {', '.join(columns)}); rename it"
    )


def _listed(column: Any) -> list[Any]:
    if isinstance(column, _NO_COLUMNS) or not isinstance(column, Iterable) or getattr(column, "ndim", 1) == 0:
        raise DataError(f"(texts, labels) must be two columns of equal length, and one is {kind_of(column)}")
    return list(column)


def _strings(values: list[Any], column: str) -> list[str]:
    for row, value in enumerate(values):
        if not isinstance(value, str):
            if isinstance(value, (tuple, list)):
                way = "pairs come as two columns: (texts, pairs, labels), or 'text' and 'pair' of a DataFrame"
                raise DataError(f"row {row}: '{column}' is {kind_of(value)}, not a text; {way}")
            raise DataError(f"row {row}: '{column}' is {value!r}, not a text; fill or drop it")
    return values


def _dataset(
    texts: Texts, values: list[Any], labels: Labels | None, ids: Sequence[str] = (), groups: list[str] | None = None
) -> Dataset:
    if len(values) != len(texts):
        raise DataError(f"{len(texts)} texts but {len(values)} labels")
    several = bool(values) and all(isinstance(v, (list, tuple, set, frozenset)) for v in values)
    task: Task = labels.task if labels else "multi-label" if several else "single-label"
    if task == "multi-label":
        sets = [[_name(member, row) for member in _members(value, row)] for row, value in enumerate(values)]
        known = labels or Labels.of((member for members in sets for member in members), task)
        return Dataset(known, Split(texts, known.encode_sets(sets), ids, groups), source="given")
    names = [_name(value, row) for row, value in enumerate(values)]
    known = labels or Labels.of(names)
    return Dataset(known, Split(texts, known.encode(names), ids, groups), source="given")


def _members(value: Any, row: int) -> Collection[Any]:
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise DataError(f"row {row}: the labels are {value!r}; give each text a list of labels")
    return value


def _in_order(data: Dataset, labels: Labels) -> Dataset:
    """Return a Dataset with its labels in the order of a classifier's, which must know them all."""
    import numpy as np

    if data.labels.task != labels.task:
        raise DataError(f"the data is {data.labels.task}, but the classifier is {labels.task}")
    if data.labels.names == labels.names:
        return data
    columns = np.array([labels.index(name) for name in data.labels.names], np.int64)

    def moved(split: Split) -> Split:
        if labels.task == "single-label":
            return replace(split, labels=columns[split.labels])
        matrix = np.zeros((len(split), len(labels)), np.bool_)
        matrix[:, columns] = split.labels
        return replace(split, labels=matrix)

    return replace(data, labels=labels, **{name: moved(split) for name, split in data.splits().items()})  # type: ignore[arg-type]


def _name(value: Any, row: int) -> str:
    """Return a label as text; missing values and fractions are no labels."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        if isinstance(value, bool):
            return str(value).lower()
        raise DataError(f"row {row}: the label is {value!r}; give a str or an int, or leave the row out")
    if value == "":
        empty = "the label is empty, and so is what stands for an abstention"
        raise DataError(f"row {row}: {empty}; give it a name, or leave the row out")
    return str(value)


_BOTH = "give the second texts as pairs=[...], or both as textclf.Texts(first, second)"


def columns_of(texts: Any, pairs: Any, takes: str = "predict takes a list of texts") -> Texts:
    """Return what was given as texts and, where they come in pairs, as second ones; takes: what may be given."""
    if isinstance(texts, Texts):
        return texts
    return Texts(list(column_of(texts, takes)), None if pairs is None else list(column_of(pairs, takes)))


def column_of(texts: Any, takes: str) -> Iterable[Any]:
    """Return a column of texts, whatever the caller has them in; takes: what the caller may give."""
    if isinstance(texts, str):
        raise DataError(f"{takes}; for a single text use predict_one")
    table = hasattr(texts, "columns")  # gives the names of its columns one after the other
    if table or isinstance(texts, (Mapping, Set, bytes)) or not isinstance(texts, Iterable):
        raise DataError(f"{takes}, not {kind_of(texts)}")
    return texts


def rows_of(rows: Sequence[Any], paired: bool, done: int = 0) -> Texts:
    """Return rows, texts or pairs of texts, as Texts; a DataError names the first, behind `done`, that is none."""
    for row, text in enumerate(rows, done):
        if paired and not (isinstance(text, (tuple, list)) and len(text) == 2):
            raise DataError(f"text {row} is a {type(text).__name__}; this classifier was trained on pairs of texts")
        if not paired and isinstance(text, (tuple, list)):
            raise DataError(f"text {row} is a {type(text).__name__}; this classifier was trained on single texts")
    first = [first for first, _ in rows] if paired else list(rows)
    return checked(Texts(first, [second for _, second in rows] if paired else None), paired, done)


def checked(texts: Texts, paired: bool, done: int = 0) -> Texts:
    """Return texts that a classifier can read; paired: whether it reads pairs. done: how many came before."""
    for column in texts.columns():
        for row, text in enumerate(column, done):
            if not isinstance(text, str):
                way = f"; {_BOTH}" if paired and isinstance(text, (tuple, list)) and not texts.pairs else ""
                raise DataError(f"text {row} is a {type(text).__name__}, not a str{way}")
    if texts.pairs != paired:
        wants = f"pairs of texts; {_BOTH}" if paired else "single texts; give one"
        raise DataError(f"this classifier was trained on {wants}")
    return texts
