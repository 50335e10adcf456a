"""A recipe's split applied to a dataset: fractions, folds, limits, empty texts, rare labels and leaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from textclf import DataError, Dataset, Labels, RecipeError, Split, Texts
from textclf.recipe.settings import SplitSettings
from textclf.run.splitting import DataSplits, split

AB = Labels(("a", "b"))


def split_of(texts: Sequence[str], labels: Sequence[int], groups: Sequence[str] | None = None) -> Split:
    return Split(Texts(list(texts)), np.array(labels, np.int64), groups=groups)


def numbered(n: int, prefix: str = "text") -> Split:
    return split_of([f"{prefix} {i}" for i in range(n)], [i % 2 for i in range(n)])


def parted(
    dataset: Dataset, *, validate: bool = True, unlabelled: bool = False, fold: int | None = None, **settings: Any
) -> tuple[DataSplits, list]:
    heard: list[str] = []
    rules = SplitSettings(**settings)
    parts = split(dataset, rules, validate=validate, unlabelled=unlabelled, fold=fold, warn=heard.append)
    return parts, heard


def sizes(parts: DataSplits) -> dict[str, int]:
    return {name: len(split) for name, split in parts.splits().items()}


def test_fractions_are_of_the_whole() -> None:
    parts, heard = parted(Dataset(AB, numbered(200)), test=0.25, validation=0.2)
    assert sizes(parts) == {"train": 110, "validation": 40, "test": 50}
    assert np.bincount(parts.test.labels).tolist() == [25, 25]
    ids = [i for split in parts.splits().values() for i in split.ids]
    assert sorted(ids, key=int) == [str(i) for i in range(200)]
    assert heard == []


def test_validation_is_drawn_only_where_somebody_reads_it_and_never_changes_the_test_split() -> None:
    without, _ = parted(Dataset(AB, numbered(100)), validate=False)
    with_it, _ = parted(Dataset(AB, numbered(100)))
    assert sizes(without) == {"train": 80, "test": 20}
    assert with_it.test.ids == without.test.ids


def test_each_text_is_tested_in_exactly_one_fold() -> None:
    tested = [parted(Dataset(AB, numbered(23)), fold=fold, folds=4)[0].test.ids for fold in range(4)]
    assert sorted(int(i) for ids in tested for i in ids) == list(range(23))


def test_texts_without_labels_hold_none_that_the_run_is_judged_by() -> None:
    drawn, _ = parted(Dataset(AB, numbered(100)))
    held = [drawn.test.texts.first[0].upper(), f" {drawn.validation.texts.first[1]}"]  # type: ignore[union-attr]
    own = [f"free {i}" for i in range(30)]
    dataset = Dataset(AB, numbered(100), unlabelled=Texts([*held, " ", drawn.train.texts.first[0], *own]))
    parts, heard = parted(dataset, unlabelled=True)
    assert parts.unlabelled is not None
    assert list(parts.unlabelled.first) == [drawn.train.texts.first[0], *own]
    assert parts.notes["unlabelled"] == 31
    assert heard == [
        "2 of 34 texts without labels also stand in the validation or test data; they are left out"
    ]
    assert parted(dataset)[0].unlabelled is None
    fewer, _ = parted(dataset, unlabelled=True, limit=20)
    again, _ = parted(dataset, unlabelled=True, limit=20)
    assert fewer.unlabelled == again.unlabelled
    assert fewer.unlabelled is not None
    assert len(fewer.unlabelled) == 20


def test_few_labels_are_drawn_evenly_and_the_other_training_texts_lose_theirs() -> None:
    whole, _ = parted(Dataset(AB, numbered(200)), unlabelled=True)
    parts, _ = parted(Dataset(AB, numbered(200), unlabelled=Texts(["free"])), unlabelled=True, labelled=20)
    assert (sizes(parts), whole.unlabelled) == ({**sizes(whole), "train": 20}, None)
    assert np.bincount(parts.train.labels).tolist() == [10, 10]
    assert parts.test.ids == whole.test.ids
    assert parts.unlabelled is not None
    assert sorted([*parts.unlabelled.first, *parts.train.texts.first]) == sorted([*whole.train.texts.first, "free"])
    assert len(parts.train_keys) == 20


def test_no_label_loses_its_last_text_and_more_labels_than_there_are_lose_none() -> None:
    labels = [0] * 90 + [1] * 8 + [2] * 2
    dataset = Dataset(Labels(("a", "b", "c")), split_of([f"text {i}" for i in range(100)], labels))
    whole, _ = parted(dataset, validate=False)
    few, heard = parted(dataset, validate=False, labelled=2)
    assert (np.bincount(few.train.labels) >= 1).all()
    assert heard[-1] == "split.labelled is 2, but 4 training texts keep their label: one at least of each"
    some, none = parted(dataset, validate=False, labelled=30)
    assert (len(some.train), none) == (30, [])
    for wanted in (len(whole.train), 1000):
        parts, heard = parted(dataset, validate=False, labelled=wanted)
        assert parts.train.ids == whole.train.ids
        several = f"split.labelled is 1000, but there are {len(whole.train)} training texts: all keep their label"
        assert heard == ([several] if wanted == 1000 else [])


def test_a_limit_keeps_the_shares_of_labels_and_of_given_splits() -> None:
    parts, _ = parted(Dataset(AB, numbered(300), test=numbered(100, "test")), limit=40, validation=0.1)
    assert sizes(parts) == {"train": 27, "validation": 3, "test": 10}
    assert np.bincount(parts.test.labels).tolist() == [5, 5]


def test_a_limit_leaves_no_given_split_without_texts() -> None:
    few = split_of(["one", "two"], [0, 1])
    parts, _ = parted(Dataset(AB, numbered(98), validation=numbered(1, "held"), test=few), limit=50)
    assert sizes(parts) == {"train": 48, "validation": 1, "test": 1}


@pytest.mark.parametrize("name", ["validation", "test"])
def test_a_given_split_of_empty_texts_only_is_not_dropped_silently(name: str) -> None:
    data = Dataset(AB, numbered(20), **{name: split_of(["", " "], [0, 1])})
    with pytest.raises(DataError) as raised:
        parted(data, empty="drop")
    assert str(raised.value) == (
        f"2 of 2 texts of the {name} data are empty (id 0, 1), and `split.empty: drop` leaves none; correct them, or "
        f"omit the {name} data"
    )


def test_a_fraction_beside_a_given_split_is_refused() -> None:
    given = Dataset(AB, numbered(40), test=numbered(10, "test"))
    with pytest.raises(RecipeError, match=r"^split\.test: the dataset brings its own test split; remove split\.test"):
        parted(given, test=0.2)
    with pytest.raises(RecipeError, match=r"^split\.folds: the dataset brings its own test split"):
        parted(given, folds=3)


@pytest.mark.parametrize("task", ["single", "pairs"])
def test_empty_texts_are_counted_and_kept_unless_the_recipe_says_otherwise(task: str) -> None:
    """D07: empty texts: warn, counted, `empty: keep | drop | refuse`."""
    first = [f"text {i}" for i in range(20)]
    first[3] = first[8] = " \t"
    second = None if task == "single" else ["" if i == 3 else f"pair {i}" for i in range(20)]
    data = Dataset(AB, Split(Texts(first, second), np.isin(np.arange(20), [3, 8, *range(0, 20, 3)]).astype(np.int64)))
    count, ids = ("2", "3, 8") if task == "single" else ("1", "3")
    message = f"{count} of 20 texts of the train data are empty (id {ids})"
    parts, heard = parted(data)
    assert heard == [f"{message}; kept; `split.empty: drop` leaves them out"]
    assert sum(sizes(parts).values()) == 20
    parts, heard = parted(data, empty="drop")
    assert heard == [f"{message}; left out"]
    assert sum(sizes(parts).values()) == 20 - int(count)
    with pytest.raises(DataError) as raised:
        parted(data, empty="refuse")
    assert str(raised.value) == f"{message}; correct them, or set `split.empty: keep` or `drop`"


def test_texts_of_one_label_only_are_refused() -> None:
    """D09: one class only."""
    with pytest.raises(DataError) as raised:
        parted(Dataset(AB, split_of(["x", "y", "z"], [1, 1, 1])))
    assert str(raised.value) == "a classifier needs texts of at least two labels; the data has only 'b'"


@pytest.mark.parametrize(("names", "limit"), [((), None), (("a", "b"), None), ((), 2)])
def test_texts_of_which_none_has_a_label_are_refused(names: tuple[str, ...], limit: int | None) -> None:
    labels = Labels(names, "multi-label")
    with pytest.raises(DataError) as raised:
        parted(Dataset(labels, Split(Texts(["x", "y", "z"]), labels.encode_sets([[], [], []]))), limit=limit)
    assert str(raised.value) == "a classifier needs texts with labels; none of the data's has one"


def test_a_label_with_one_text_goes_to_training() -> None:
    """D10: a class with one text: warn."""
    labels = Labels(("a", "b", "rare"))
    for seed in range(20):
        data = Dataset(labels, split_of([f"t{i}" for i in range(31)], [*([0, 1] * 15), 2]))
        parts, heard = parted(data, seed=seed, test=0.4, validation=0.4)
        assert 2 in parts.train.labels
        assert heard == ["label 'rare' has one text, which goes to training: nothing can be measured for it"]


def test_a_label_that_stands_in_the_test_split_only_is_said() -> None:
    """D10: a label only in test: warn."""
    labels = Labels(("a", "b", "new"))
    given = split_of(["p", "q", "r"], [0, 2, 2])
    _, heard = parted(Dataset(labels, numbered(20), test=given), validate=False)
    assert heard == ["label 'new' is in the test split only (2 texts): it cannot be learned"]


def test_texts_on_both_sides_of_given_splits_are_counted_or_refused() -> None:
    """D16: texts on both sides of a given split: warn, `leaks: refuse` makes it an error."""
    test = split_of(["TEXT 1", "new", "text  2 "], [1, 0, 0])
    parts, heard = parted(Dataset(AB, numbered(20), test=test), validate=False)
    leak = "2 of 3 test texts also stand in the training data"
    assert heard == [f"{leak}: the score is too good by that; `split.leaks: refuse` stops here"]
    assert parts.notes["leaks_test"] == {"texts": 2, "groups": 0}
    with pytest.raises(DataError) as raised:
        parted(Dataset(AB, numbered(20), test=test), validate=False, leaks="refuse")
    assert str(raised.value) == f"{leak}; take them out, or set `split.leaks: warn`"


def test_a_leak_from_validation_into_test_is_found_too() -> None:
    """D16: choosing on texts that are tested is a leak as well."""
    data = Dataset(AB, numbered(20), validation=numbered(6, "held"), test=numbered(4, "held"))
    _, heard = parted(data)
    assert heard == [
        "4 of 4 test texts also stand in the validation data: the score is too good by that; `split.leaks: refuse` "
        "stops here"
    ]


def test_groups_on_both_sides_of_a_given_split_are_counted() -> None:
    """D16: rows of one group on both sides leak, unless groups are switched off."""
    train = split_of([f"t{i}" for i in range(10)], [0, 1] * 5, [f"g{i // 2}" for i in range(10)])
    test = split_of(["p", "q"], [0, 1], ["g1", "g9"])
    _, heard = parted(Dataset(AB, train, test=test), validate=False)
    assert heard[0].startswith("1 of 2 test texts belong to groups that also stand in the training data: the score is")
    assert parted(Dataset(AB, train, test=test), validate=False, group=False)[1] == []
    test = split_of(["t3", "q"], [0, 1], ["g1", "g9"])
    _, heard = parted(Dataset(AB, train, test=test), validate=False)
    assert heard[0].startswith("1 of 2 test texts also stand in the training data, and 1 belong to groups that do: the")


def test_rows_of_a_group_and_equal_texts_stay_on_one_side() -> None:
    texts = [f"Text {i // 2}" if i % 2 else f" text  {i // 2}" for i in range(60)]
    data = Dataset(AB, split_of(texts, [i // 2 % 2 for i in range(60)], [f"g{i // 4}" for i in range(60)]))
    parts, _ = parted(data, test=0.3, validation=0.2)
    groups = [set(split.groups or ()) for split in parts.splits().values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 15
    assert parts.notes == {"texts": 60, "units": 15, "repeated_texts": 30, "groups": 15}


def test_one_group_of_everything_cannot_be_split() -> None:
    with pytest.raises(DataError) as raised:
        parted(Dataset(AB, split_of(["p", "q", "r", "s"], [0, 1, 0, 1], ["g"] * 4)))
    assert str(raised.value) == (
        "the test split would be empty: there are 4 texts, and equal texts and groups make them 1 unit that must stay "
        "together; give more data or other fractions"
    )


def test_several_labels_a_text_are_split_by_the_rarest() -> None:
    members = np.zeros((100, 3), np.bool_)
    members[:, 0] = True
    members[:20, 1] = True
    members[:10, 2] = True
    labels = Labels(("all", "some", "few"), "multi-label")
    parts, _ = parted(Dataset(labels, Split(Texts([f"t{i}" for i in range(100)]), members)), test=0.2, validate=False)
    assert parts.test.labels.sum(axis=0).tolist() == [20, 4, 2]


def test_equal_texts_with_different_labels_are_counted() -> None:
    texts = [f"text {i}" for i in range(20)] + ["Text 3", "TEXT  4", "text 5"]
    parts, heard = parted(Dataset(AB, split_of(texts, [0, 1] * 10 + [0, 1, 1])))
    assert heard == ["2 texts carry another label than an equal text: no classifier can get all of them right"]
    assert len(parts.train_keys) == len({text.casefold().replace("  ", " ") for text in parts.train.texts.first})
