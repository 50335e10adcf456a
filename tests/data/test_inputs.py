"""Data that a program hands over: frames, tuples and datasets, refused by row where they are no texts or labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from textclf import DataError, Dataset, Labels, Split, Texts
from textclf.data.inputs import dataset_of

FRAME = pd.DataFrame({"text": ["a", "b", "c"], "label": ["x", "y", "x"]}, index=[7, 8, 9])
TWO = "pairs are two columns: (texts, pairs, labels), or 'text' and 'pair' of a DataFrame"
FORMS = (
    "data is a tuple; pass a DataFrame with columns text and label, a tuple (texts, labels) or (texts, pairs, labels), "
    "or a textclf.Dataset"
)
EMPTY = (
    "row 1: the label is empty, which means an abstention; name it, or leave the row out"
)


def test_a_frame_gives_texts_labels_ids_and_groups() -> None:
    data = dataset_of(FRAME.assign(id=[10, 11, 12], group=["g", "g", "h"], pair=["p", "q", "r"]))
    assert (data.labels.names, list(data.train.labels)) == (("x", "y"), [0, 1, 0])
    assert (data.train.ids, data.train.groups, data.train.texts.second) == (
        ["10", "11", "12"], ["g", "g", "h"], ["p", "q", "r"],
    )  # fmt: skip


@pytest.mark.parametrize("labels", [[1, 0, 10], [1.0, 0.0, 10.0], np.array([1, 0, 10], np.int8)])
def test_numbers_are_labels_in_numerical_order(labels: Any) -> None:
    data = dataset_of((["a", "b", "c"], labels))
    assert data.labels.names == ("0", "1", "10")
    assert list(data.train.labels) == [1, 0, 2]


def test_texts_may_come_as_one_with_their_pairs_or_without() -> None:
    apart = dataset_of((["a", "b"], ["c", "d"], ["x", "y"]))
    assert dataset_of((Texts(["a", "b"], ["c", "d"]), ["x", "y"])).train.texts == apart.train.texts
    assert dataset_of((Texts(["a", "b"]), ["c", "d"], ["x", "y"])).train.texts == apart.train.texts
    assert dataset_of((Texts(["a", "b"]), ["x", "y"])).train.texts == Texts(["a", "b"])


def test_booleans_and_sets_are_labels_too() -> None:
    assert dataset_of((["a", "b"], [True, False])).labels.names == ("false", "true")
    several = dataset_of((["a", "b"], [["x", "y"], []]))
    assert several.labels == Labels(("x", "y"), "multi-label")
    assert several.train.labels.tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (5, "data is an int; pass a DataFrame with columns text and label, a tuple (texts, labels) or (texts, pairs, "
            "labels), or a textclf.Dataset"),
        (("ab", ["x", "y"]), "(texts, labels) must be two columns of equal length, and one is a str"),
        ((["a"], 5), "(texts, labels) must be two columns of equal length, and one is an int"),
        (({"a": 1}, ["x"]), "(texts, labels) must be two columns of equal length, and one is a dict"),
        (({"a"}, ["x"]), "(texts, labels) must be two columns of equal length, and one is a set"),
        ((np.array("a"), ["x"]), "(texts, labels) must be two columns of equal length, and one is a ndarray"),
        ((["a"], ["x", "y"]), "1 texts but 2 labels"),
        ((["a", None], ["x", "y"]), "row 1: 'text' is None, not a text; fill or drop it"),
        ((["a", "b"], ["x", None]), "row 1: the label is None; use a str or an int, or leave the row out"),
        ((["a", "b"], ["x", float("nan")]), "row 1: the label is nan; use a str or an int, or leave the row out"),
        ((["a", "b"], ["x", 0.5]), "row 1: the label is 0.5; use a str or an int, or leave the row out"),
        ((["a", "b"], ["x", ""]), EMPTY),
        ((["a", "b"], [["x"], ["y", ""]]), EMPTY),
        (FRAME.rename(columns={"text": "txt"}), "the DataFrame has no column 'text'; did you mean 'txt'? (it has: "
            "txt, label); rename it"),
        (pd.DataFrame(), "the DataFrame has no column at all; it needs 'text' and 'label'"),
        (pd.concat([FRAME, FRAME[["text"]]], axis=1), "the DataFrame has 2 columns 'text'; rename all but one"),
        (Dataset(Labels(("a", "b")), None), "the dataset's train is a NoneType, not a textclf.Split"),
        (FRAME.assign(text=["a", 5, "c"]), "row 1: 'text' is 5, not a text; fill or drop it"),
        (([("a", "b")], ["x"]), f"row 0: 'text' is a tuple, not a text; {TWO}"),
        ((["a"], [["b"]], ["x"]), f"row 0: 'pair' is a list, not a text; {TWO}"),
        ((Texts(["a", None]), ["x", "y"]), "row 1: 'text' is None, not a text; fill or drop it"),
        ((Texts(["a"], ["b"]), ["c"], ["x"]), FORMS),
    ],
)  # fmt: skip
def test_what_is_no_data_is_named_by_its_row(data: Any, says: str) -> None:
    with pytest.raises(DataError) as raised:
        dataset_of(data)
    assert str(raised.value) == says


def test_a_classifiers_labels_decide_the_columns() -> None:
    known = Labels(("y", "x", "z"))
    assert list(dataset_of(FRAME, known).train.labels) == [1, 0, 1]
    given = Dataset(Labels(("x", "y")), Split(Texts(["a", "b"]), np.array([0, 1])))
    assert list(dataset_of(given, known).train.labels) == [1, 0]
    with pytest.raises(DataError, match=r"^unknown label 'x' \(known: y, z\)$"):
        dataset_of(given, Labels(("y", "z")))
    with pytest.raises(DataError, match=r"^the data is single-label, but the classifier is multi-label$"):
        dataset_of(given, Labels(("x", "y"), "multi-label"))
    with pytest.raises(DataError, match=r"^row 0: the labels are 'x'; each text needs a list of labels$"):
        dataset_of(FRAME, Labels(("x", "y"), "multi-label"))


def test_several_labels_are_moved_to_a_classifiers_columns() -> None:
    given = Dataset(Labels(("x", "y"), "multi-label"), Split(Texts(["a"]), np.array([[True, False]])))
    moved = dataset_of(given, Labels(("z", "y", "x"), "multi-label"))
    assert moved.train.labels.tolist() == [[False, False, True]]


@pytest.mark.parametrize(
    ("data", "found"),
    [({"text": ["a"]}, "a dict"), (iter(["a"]), "a list_iterator"), (FRAME.text, "a Series"), (pd.DataFrame, "a type")],
)
def test_what_is_no_form_of_data_is_named_with_the_forms_there_are(data: Any, found: str) -> None:
    with pytest.raises(DataError) as raised:
        dataset_of(data)
    forms = "a DataFrame with columns text and label, a tuple (texts, labels) or (texts, pairs, labels), or a"
    assert str(raised.value) == f"data is {found}; pass {forms} textclf.Dataset"
