"""Labels, texts, splits and datasets, and what must hold of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import DataError, counted, did_you_mean, listing, type_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Task = Literal["single-label", "multi-label"]

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a task; their order is the column order of every score matrix, and never changes.

    positive: of two labels, the one that f1, precision, recall and roc_auc are about; by default the last one.
    """

    names: tuple[str, ...]
    task: Task = "single-label"
    positive: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.names, (str, Set)):
            order = ", which has no order; use Labels.of" if isinstance(self.names, Set) else ", not a tuple of them"
            raise DataError(f"the labels are {type_name(self.names)}{order}")
        if self.task not in (tasks := get_args(Task)):
            near = did_you_mean(str(self.task), tasks)
            raise DataError(f"unknown task '{self.task}'{near} (known: {', '.join(tasks)})")
        object.__setattr__(self, "names", tuple(_label(name) for name in self.names))
        if len(set(self.names)) != len(self.names):
            raise DataError(f"labels are named twice: {', '.join(self.names)}")
        if self.positive is not None:
            object.__setattr__(self, "positive", _label(self.positive))
        if self.positive is None and self.task == "single-label" and len(self.names) == 2:
            object.__setattr__(self, "positive", self.names[1])
        if self.positive is not None and self.positive not in self.names:
            raise DataError(f"the positive label '{self.positive}' is not among the labels {', '.join(self.names)}")

    @classmethod
    def of(cls, values: Iterable[str], task: Task = "single-label", positive: str | None = None) -> Labels:
        """Collect the distinct values: sorted by code point, or numerically where all are integers."""
        distinct = _distinct(values)
        try:
            # `01` and `1` are different labels: the text breaks the tie.
            names = sorted(distinct, key=lambda v: (int(v), v))
        except ValueError:
            names = sorted(distinct)
        return cls(tuple(names), task, positive)

    def __len__(self) -> int:
        return len(self.names)

    def brief(self) -> str:
        """Return "2 labels (negative, positive)"."""
        return f"{counted(len(self), 'label')} ({listing(self.names, _SHOWN)})"

    def index(self, name: str) -> int:
        known = ", ".join(self.names[:12])
        if not isinstance(name, str):
            raise DataError(f"a label is a str, not {type_name(name)} (known: {known})")
        try:
            return self.names.index(name)
        except ValueError:
            raise DataError(f"unknown label '{name}'{did_you_mean(name, self.names)} (known: {known})") from None

    @property
    def positive_index(self) -> int | None:
        return None if self.positive is None else self.names.index(self.positive)

    def logit_name(self, column: int) -> str:
        """Name the logit of a label; with three labels or more it is compared with the mean of the others."""
        name = self.names[column]
        if self.task == "multi-label" or len(self) < 3:
            return f"log-odds of '{name}'"
        return f"logit of '{name}' above the mean of the other labels'"

    def encode(self, values: Sequence[str]) -> NDArray[np.int64]:
        """Return the column of each single label, int64[n]."""
        import numpy as np

        self._require("single-label", "encode", "use encode_sets")
        columns = {name: i for i, name in enumerate(self.names)}
        try:
            return np.fromiter((columns[v] for v in values), np.int64, len(values))
        except KeyError as error:
            self.index(error.args[0])
            raise

    def encode_sets(self, values: Sequence[Iterable[str]]) -> NDArray[np.bool_]:
        """Return the membership matrix of sets of labels, bool[n, labels]."""
        import numpy as np

        self._require("multi-label", "encode_sets", "use encode, or make them with the task 'multi-label'")
        columns = {name: i for i, name in enumerate(self.names)}
        matrix = np.zeros((len(values), len(self.names)), np.bool_)
        for row, members in enumerate(values):
            for name in members:
                matrix[row, columns[name] if name in columns else self.index(name)] = True
        return matrix

    def _require(self, task: Task, method: str, hint: str) -> None:
        if self.task != task:
            raise DataError(f"{method} is of {task} labels, and these are {self.task}; {hint}")


def _label(name: Any) -> str:
    """Return a label as a plain str, also one of a subclass such as an enum; a DataError where it is no label."""
    if name is None or (isinstance(name, float) and name != name):
        raise DataError(f"a label is {name}: leave the texts without a label out, or pass them as unlabelled")
    if not isinstance(name, str):
        raise DataError(f"label {name} is {type_name(name)}, not a str; use str(...)")
    if not name:
        raise DataError("a label is empty, which means an abstention; give it a name")
    return str.__str__(name)


def _distinct(values: Iterable[Any]) -> set[str]:
    """Return the distinct labels; a DataError names the place of a wrong one, where the values have an order."""
    try:
        return {_label(value) for value in set(values)}
    except (DataError, TypeError):
        for place, value in enumerate(values if isinstance(values, Collection) and not isinstance(values, Set) else ()):
            try:
                _label(value)
            except DataError as error:
                raise DataError(f"value {place}: {error}") from None
        raise


def by_position(column: Any) -> Any:
    """Return a column of pandas or numpy as a list, and any other column as it is."""
    # A Series is indexed by name, not by position. A memory-mapped array stays where it is.
    in_memory = hasattr(column, "iloc") or (type(column).__module__ == "numpy" and not hasattr(column, "filename"))
    return column.tolist() if in_memory and hasattr(column, "tolist") else column


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of texts, or two for text pairs. The columns may be lists, tuples, Arrow- or memmap-backed."""

    first: Sequence[str]
    second: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for column in (self.first, self.second):
            if isinstance(column, (str, bytes)):
                kind = type_name(column)
                raise DataError(f"the texts are {kind}, not a sequence of them; write Texts([text]) for one")
        object.__setattr__(self, "first", by_position(self.first))
        object.__setattr__(self, "second", by_position(self.second))
        if self.second is not None and len(self.second) != len(self.first):
            raise DataError(f"{len(self.first)} first texts but {len(self.second)} second texts")

    def __len__(self) -> int:
        return len(self.first)

    def __repr__(self) -> str:
        return f"<Texts: {counted(len(self), 'pair' if self.pairs else 'text')}>"

    @property
    def pairs(self) -> bool:
        return self.second is not None

    def columns(self) -> tuple[Sequence[str], ...]:
        """Return the first texts and, where there are any, the second ones."""
        return (self.first,) if self.second is None else (self.first, self.second)

    def take(self, rows: Iterable[int]) -> Texts:
        rows = list(rows)
        second = None if self.second is None else [self.second[r] for r in rows]
        return Texts([self.first[r] for r in rows], second)


@dataclass(frozen=True, slots=True)
class Split:
    """Labelled texts. `labels` is int64[n], or bool[n, labels] for multi-label tasks.

    ids: the user's, else row numbers as text. groups: a split never separates the rows of one group.
    """

    texts: Texts
    labels: NDArray[np.int64] | NDArray[np.bool_]
    ids: Sequence[str] = field(default=())
    groups: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("ids", "groups"):
            column = by_position(getattr(self, name))
            object.__setattr__(self, name, column if isinstance(column, (list, tuple, type(None))) else list(column))
        if len(self.ids) == 0:
            object.__setattr__(self, "ids", [str(i) for i in range(len(self.texts))])
        sizes = {"texts": len(self.texts), "labels": len(self.labels), "ids": len(self.ids)}
        if self.groups is not None:
            sizes["groups"] = len(self.groups)
        if len(set(sizes.values())) > 1:
            raise DataError("a split's columns differ in length: " + ", ".join(f"{v} {k}" for k, v in sizes.items()))

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"<Split: {counted(len(self), 'text')}>"

    def take(self, rows: NDArray[np.int64]) -> Split:
        groups = None if self.groups is None else [self.groups[r] for r in rows]
        return Split(self.texts.take(rows), self.labels[rows], [self.ids[r] for r in rows], groups)


@dataclass(frozen=True, slots=True)
class Dataset:
    """The data of a run. A split that is None is drawn from `train` by the recipe's `split`."""

    labels: Labels
    train: Split
    validation: Split | None = None
    test: Split | None = None
    unlabelled: Texts | None = None
    source: str = ""
    licence: str = ""

    def __repr__(self) -> str:
        # Before `check_dataset` a provider may have put anything here.
        labels = self.labels.brief() if isinstance(self.labels, Labels) else type_name(self.labels)
        sizes = [f"{len(split):,} {name}" for name, split in self.splits().items() if isinstance(split, Split)]
        return f"<Dataset: {labels}; texts: {', '.join(sizes)}>"

    def splits(self) -> dict[str, Split]:
        """Return the splits that are there, by name, train first."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}


def check_dataset(dataset: Dataset) -> str | None:
    """Return what is wrong with a dataset, or None. It goes behind "the dataset's ...", as in all these checks."""
    return check_texts(dataset) or check_labels(dataset) or check_ids(dataset)


def check_pairs(dataset: Dataset, pairs: bool) -> str | None:
    """Check that a dataset has pairs of texts where its provider's traits promise them, and only there."""
    if dataset.train.texts.pairs == pairs:
        return None
    found = ("single", "that they are pairs") if pairs else ("pairs", "that they are not")
    return f"texts are {found[0]}, where its traits say {found[1]}"


def check_texts(dataset: Dataset) -> str | None:
    """Return what is wrong with the splits and their texts, or None."""
    if not isinstance(dataset.train, Split):
        return f"train is a {type(dataset.train).__name__}, not a textclf.Split"
    pairs = isinstance(dataset.train.texts, Texts) and dataset.train.texts.pairs
    for name, split in dataset.splits().items():
        if not isinstance(split, Split):
            return f"{name} is a {type(split).__name__}, not a textclf.Split"
        if reason := _check_column(name, split.texts, pairs):
            return reason
        # An empty train split is left to the run: many texts too may leave none to train on.
        if name != "train" and not len(split):
            return f"{name} split is empty; leave it out (None), and it is drawn from train"
    return None if dataset.unlabelled is None else _check_column("unlabelled", dataset.unlabelled, pairs)


def check_labels(dataset: Dataset) -> str | None:
    """Return what is wrong with the labels of a dataset whose texts are valid, or None."""
    if not isinstance(dataset.labels, Labels):
        return f"labels are a {type(dataset.labels).__name__}, not textclf.Labels"
    found = (_check_label_array(name, split, dataset.labels) for name, split in dataset.splits().items())
    return next((reason for reason in found if reason), None)


def check_ids(dataset: Dataset) -> str | None:
    """Return what is wrong with the ids and groups of a dataset whose texts are valid, or None."""
    for name, split in dataset.splits().items():
        for column, values in (("ids", split.ids), ("groups", split.groups or ())):
            row = _first_other(values)
            if row is not None:
                return f"{name} {column} are not all of type str: row {row} is a {type(values[row]).__name__}"
    return None


def _check_column(name: str, texts: Any, pairs: bool) -> str | None:
    if not isinstance(texts, Texts):
        return f"{name} texts are a {type(texts).__name__}, not textclf.Texts"
    if texts.pairs != pairs:
        return f"{name} texts are {'pairs' if texts.pairs else 'single'}, unlike those of train"
    for column in texts.columns():
        row = _first_other(column)
        if row is not None:
            return f"{name} texts are not all of type str: row {row} is a {type(column[row]).__name__}"
    return None


def _check_label_array(name: str, split: Split, labels: Labels) -> str | None:
    import numpy as np

    array, n = split.labels, len(labels)
    if not isinstance(array, np.ndarray):
        return f"{name} labels are a {type(array).__name__}, not an array"
    if labels.task == "multi-label":
        if array.dtype != np.bool_ or array.shape != (len(split), n):
            return f"{name} labels are {array.dtype}{list(array.shape)}, not bool[{len(split)}, {n}]"
    elif array.ndim != 1 or array.dtype.kind not in "iu":
        return f"{name} labels are {array.dtype}{list(array.shape)}, not int64[{len(split)}]"
    elif len(array) and (array.min() < 0 or array.max() >= n):
        return f"{name} labels run from {array.min()} to {array.max()}, but there are {n} labels (0 to {n - 1})"
    return None


def _first_other(values: Iterable[Any]) -> int | None:
    """Return the first row that holds something other than a str."""
    return next((row for row, value in enumerate(values) if not isinstance(value, str)), None)
