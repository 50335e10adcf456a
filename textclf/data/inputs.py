"""Data that Python callers pass: DataFrames, lists and tuples become datasets and texts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from ..errors import DataError, did_you_mean, type_name
from .dataset import Dataset, Labels, Split, Task, Texts, check_dataset

# What the columns of a table are usually called, likely names first: in files, and in DataFrames.
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "text": (
        "text", "texts", "review", "reviews", "sentence", "content", "body", "comment", "message", "document", "tweet",
    ),
    "pair": ("pair", "text_pair", "text2", "sentence2", "second", "hypothesis"),
    "label": ("label", "labels", "class", "category", "target", "sentiment", "topic", "polarity"),
}  # fmt: skip
_NO_COLUMNS = (str, bytes, Set, Mapping)  # their parts are no rows, or have no order


def dataset_of(data: Any, labels: Labels | None = None) -> Dataset:
    """Return a caller's data as a Dataset; a DataError names the row where it is no text or label.

    data: a Dataset; a pandas DataFrame with columns text and label (or others of `COLUMN_NAMES`; pair, id and group are
    optional); or a tuple (texts, labels) or (texts, pairs, labels), in which a Texts may stand for its columns. Labels
    are str, int or bool; with a set or list of them for each text the task is multi-label. labels: those of a trained
    classifier, among which the data's labels must be.
    """
    if isinstance(data, Dataset):
        if reason := check_dataset(data):
            raise DataError(f"the dataset's {reason}")
        return data if labels is None else _in_order(data, labels)
    if hasattr(data, "columns") and hasattr(data, "to_dict") and not isinstance(data, type):
        return _of_frame(data, labels)
    if isinstance(data, tuple) and data and isinstance(data[0], Texts):
        data = (*data[0].columns(), *data[1:])
    if isinstance(data, tuple) and len(data) in (2, 3):
        columns = [_as_list(column) for column in data]
        texts = Texts(_strings(columns[0], "text"), _strings(columns[1], "pair") if len(data) == 3 else None)
        return _dataset(texts, columns[-1], labels)
    raise DataError(
        f"data is {type_name(data)}; pass a DataFrame with columns text and label, a tuple (texts, labels) or "
        f"(texts, pairs, labels), or a textclf.Dataset"
    )


def _of_frame(frame: Any, labels: Labels | None) -> Dataset:
    columns = [str(name) for name in frame.columns]
    text, label = _column(columns, "text"), _column(columns, "label")
    for name in (text, label, "pair", "id", "group"):
        if columns.count(name) > 1:
            raise DataError(f"the DataFrame has {columns.count(name)} columns '{name}'; rename all but one")
    second = _strings(list(frame["pair"]), "pair") if "pair" in columns else None
    texts = Texts(_strings(list(frame[text]), text), second)
    ids = [str(v) for v in frame["id"]] if "id" in columns else ()
    groups = [str(v) for v in frame["group"]] if "group" in columns else None
    return _dataset(texts, list(frame[label]), labels, ids, groups)


def _column(columns: Sequence[str], role: str) -> str:
    for name in COLUMN_NAMES[role]:
        if name in columns:
            return name
    if not columns:
        raise DataError("the DataFrame has no column at all; it needs 'text' and 'label'")
    raise DataError(
        f"the DataFrame has no column '{role}'{did_you_mean(role, columns)} (it has: {', '.join(columns)}); rename it"
    )


def _as_list(column: Any) -> list[Any]:
    if isinstance(column, _NO_COLUMNS) or not isinstance(column, Iterable) or getattr(column, "ndim", 1) == 0:
        raise DataError(f"(texts, labels) must be two columns of equal length, and one is {type_name(column)}")
    return list(column)


def _strings(values: list[Any], column: str) -> list[str]:
    for row, value in enumerate(values):
        if not isinstance(value, str):
            if isinstance(value, (tuple, list)):
                hint = "pairs are two columns: (texts, pairs, labels), or 'text' and 'pair' of a DataFrame"
                raise DataError(f"row {row}: '{column}' is {type_name(value)}, not a text; {hint}")
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
        raise DataError(f"row {row}: the labels are {value!r}; each text needs a list of labels")
    return value


def _in_order(data: Dataset, labels: Labels) -> Dataset:
    """Return a dataset with its labels in the order of a classifier's, which must have them all."""
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
    """Return a label as text; a DataError where it is missing or a fraction."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        if isinstance(value, bool):
            return str(value).lower()
        raise DataError(f"row {row}: the label is {value!r}; use a str or an int, or leave the row out")
    if value == "":
        raise DataError(f"row {row}: the label is empty, which means an abstention; name it, or leave the row out")
    return str(value)


_PAIRS = "pass the second texts as pairs=[...], or both as textclf.Texts(first, second)"


def columns_of(texts: Any, pairs: Any, takes: str = "predict takes a list of texts") -> Texts:
    """Return a caller's texts, and second texts of pairs, as Texts; takes: what the method takes, for its error."""
    if isinstance(texts, Texts):
        return texts
    return Texts(list(column_of(texts, takes)), None if pairs is None else list(column_of(pairs, takes)))


def column_of(texts: Any, takes: str) -> Iterable[Any]:
    """Return a caller's column of texts; a DataError where it is none. takes: what the method takes."""
    if isinstance(texts, str):
        raise DataError(f"{takes}; for a single text use predict_one")
    table = hasattr(texts, "columns")  # iterating over it yields the names of its columns
    if table or isinstance(texts, (Mapping, Set, bytes)) or not isinstance(texts, Iterable):
        raise DataError(f"{takes}, not {type_name(texts)}")
    return texts


def rows_of(rows: Sequence[Any], paired: bool, done: int = 0) -> Texts:
    """Return rows, texts or pairs of texts, as Texts; a DataError names the first wrong one, counted from `done`."""
    for row, text in enumerate(rows, done):
        if paired and not (isinstance(text, (tuple, list)) and len(text) == 2):
            raise DataError(f"text {row} is a {type(text).__name__}; this classifier was trained on pairs of texts")
        if not paired and isinstance(text, (tuple, list)):
            raise DataError(f"text {row} is a {type(text).__name__}; this classifier was trained on single texts")
    first = [first for first, _ in rows] if paired else list(rows)
    return checked(Texts(first, [second for _, second in rows] if paired else None), paired, done)


def checked(texts: Texts, paired: bool, done: int = 0) -> Texts:
    """Return the texts where a classifier can read them; paired: whether it reads pairs. done: texts before these."""
    for column in texts.columns():
        for row, text in enumerate(column, done):
            if not isinstance(text, str):
                hint = f"; {_PAIRS}" if paired and isinstance(text, (tuple, list)) and not texts.pairs else ""
                raise DataError(f"text {row} is a {type(text).__name__}, not a str{hint}")
    if texts.pairs != paired:
        wants = f"pairs of texts; {_PAIRS}" if paired else "single texts; pass one column"
        raise DataError(f"this classifier was trained on {wants}")
    return texts
