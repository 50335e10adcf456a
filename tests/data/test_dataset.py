"""What a provider may give as labels, texts, ids and groups, and what is refused at once."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from textclf import DataError, Dataset, Labels, Split, Texts
from textclf.data.cleaning import texts_digest
from textclf.data.dataset import check_dataset


class Mood(str, enum.Enum):  # noqa: UP042 - as users write it
    GOOD = "good"
    BAD = "bad"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((0, 1), "label 0 is an int, not a str; use str(...)"),
        (tuple(np.unique([3, 1])), "label 1 is an int64, not a str; use str(...)"),
        (("a", True), "label True is a bool, not a str; use str(...)"),
        (("a", None), "a label is None: leave the texts without a label out, or pass them as unlabelled"),
        (("a", float("nan")), "a label is nan: leave the texts without a label out, or pass them as unlabelled"),
        (("a", ""), "a label is empty, which means an abstention; give it a name"),
        (("a", "a"), "labels are named twice: a, a"),
        ("ab", "the labels are a str, not a tuple of them"),
        ({"a", "b"}, "the labels are a set, which has no order; use Labels.of"),
    ],
)
def test_labels_that_could_not_be_told_or_saved_are_refused_at_once(names: Any, says: str) -> None:
    with pytest.raises(DataError) as caught:
        Labels(names)
    assert str(caught.value) == says


@pytest.mark.parametrize("values", [[0, 1, 0], np.array([1, 0]), pd.Series([0, 1])])
def test_collected_labels_are_refused_as_well(values: Any) -> None:
    with pytest.raises(DataError, match=r"^value \d: label [01] is an int(64)?, not a str; use str\(\.\.\.\)$"):
        Labels.of(values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["a", None, "a"], "value 1: a label is None: leave the texts without a label out, or pass them as unlabelled"),
        (pd.Series(["a", ""]), "value 1: a label is empty, which means an abstention; give it a name"),
        (["a", ["b"]], "value 1: label ['b'] is a list, not a str; use str(...)"),
        ({""}, "a label is empty, which means an abstention; give it a name"),
        (iter([""]), "a label is empty, which means an abstention; give it a name"),
    ],
)
def test_what_is_no_label_is_named_by_its_place_where_it_has_one(values: Any, says: str) -> None:
    with pytest.raises(DataError) as caught:
        Labels.of(values)
    assert str(caught.value) == says


@pytest.mark.parametrize("names", [["bad", "good"], np.unique(["good", "bad"]), (Mood.BAD, Mood.GOOD)])
def test_labels_of_any_kind_of_str_become_a_tuple_of_plain_ones(names: Any) -> None:
    labels = Labels(names, positive=names[0])
    assert labels == Labels(("bad", "good"), positive="bad")
    assert [type(name) for name in (*labels.names, labels.positive)] == [str] * 3
    assert labels.encode(names).tolist() == [0, 1]


def test_a_positive_label_that_is_no_str_is_refused() -> None:
    with pytest.raises(DataError, match=r"^label 1 is an int, not a str; use str\(\.\.\.\)$"):
        Labels(("0", "1"), positive=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("multilabel", "unknown task 'multilabel'; did you mean 'multi-label'? (known: single-label, multi-label)"),
        ("regression", "unknown task 'regression' (known: single-label, multi-label)"),
        (None, "unknown task 'None' (known: single-label, multi-label)"),
    ],
)
def test_a_task_that_is_none_is_refused_with_the_one_meant(task: Any, says: str) -> None:
    for make in (Labels, Labels.of):
        with pytest.raises(DataError) as caught:
            make(("a", "b"), task=task)
        assert str(caught.value) == says


def test_labels_are_encoded_as_their_task_asks_for() -> None:
    single, several = Labels(("a", "b")), Labels(("a", "b"), "multi-label")
    assert single.encode(["b", "a"]).tolist() == [1, 0]
    assert several.encode_sets([["b"], []]).tolist() == [[False, True], [False, False]]
    with pytest.raises(DataError) as caught:
        single.encode_sets([["b"], []])
    assert str(caught.value) == (
        "encode_sets is of multi-label labels, and these are single-label; use encode, or make them with the task "
        "'multi-label'"
    )
    with pytest.raises(DataError) as caught:
        several.encode(["b", "a"])
    assert str(caught.value) == "encode is of single-label labels, and these are multi-label; use encode_sets"


@pytest.mark.parametrize(("columns", "kind"), [(["abc"], "a str"), ([["a", "b"], "ab"], "a str"), ([b"a"], "a bytes")])
def test_a_single_text_is_no_column_of_letters(columns: Any, kind: str) -> None:
    with pytest.raises(DataError) as caught:
        Texts(*columns)
    assert str(caught.value) == f"the texts are {kind}, not a sequence of them; write Texts([text]) for one"


ROWS = [(f"text {n}", f"id {n}", f"group {n // 2}", f"other {n}") for n in range(6)]


def _columns(kind: str) -> list[Any]:
    columns = list(zip(*ROWS, strict=True))
    if kind == "numpy":
        return [np.array(column) for column in columns]
    if kind == "objects":
        return [np.array(column, object) for column in columns]
    names = [4, 0, 5, 2, 1, 3]
    return [pd.Series(column, names) for column in columns]


@pytest.mark.parametrize("kind", ["series", "numpy", "objects"])
def test_columns_of_pandas_and_numpy_are_read_by_their_place(kind: str) -> None:
    """Rows of a shuffled frame go by names: `series[0]` is any of them."""
    first, ids, groups, second = _columns(kind)
    split = Split(Texts(first, second), np.zeros(6, np.int64), ids, groups)
    plain = [list(column) for column in zip(*ROWS, strict=True)]
    assert [split.texts.first, split.ids, split.groups, split.texts.second] == plain
    assert {type(value) for column in (split.texts.first, split.ids, split.groups) for value in column} == {str}
    taken = split.take(np.array([4, 1]))
    assert [*taken.ids, *taken.groups, *taken.texts.first] == [
        "id 4", "id 1", "group 2", "group 0", "text 4", "text 1",
    ]  # fmt: skip
    assert texts_digest(split.texts) == texts_digest(Texts(plain[0], plain[3]))
    assert check_dataset(Dataset(Labels(("a", "b")), split)) is None


def test_columns_without_a_truth_value_are_looked_at_all_the_same() -> None:
    index = pd.Index([f"name {n}" for n in range(6)])
    split = Split(Texts(index, index), np.zeros(6, np.int64), index, index)
    assert check_dataset(Dataset(Labels(("a", "b")), split)) is None
    assert split.groups == list(index)
    assert texts_digest(split.texts) == texts_digest(Texts(list(index), list(index)))


def test_lists_and_columns_on_the_disk_are_not_copied(tmp_path: Any) -> None:
    ids, groups = [f"id {n}" for n in range(3)], ("a", "b", "c")
    on_disk = np.memmap(tmp_path / "texts", "U8", "w+", shape=(3,))
    split = Split(Texts(on_disk), np.zeros(3, np.int64), ids, groups)
    assert split.ids is ids
    assert split.groups is groups
    assert split.texts.first is on_disk
