"""Splits are deterministic, stratified and leak-free, whatever the order of the rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from textclf import Labels, Split, Texts
from textclf.data.splits import deal, draw, find_units, shared_rows, strata, text_keys

LABELS = Labels(("a", "b", "c"))
WORDS = ["Good", "good ", "GOOD", "bad", "Bad", "fine", "\ufb01ne", "great", "caf\u00e9", "cafe\u0301", "x", "y", "z"]
ROWS = st.lists(
    st.tuples(st.sampled_from(WORDS), st.integers(0, 2), st.sampled_from("pqrstuvw")), min_size=1, max_size=40
)


def split_of(rows: Sequence[tuple[str, int, str]], *, groups: bool = True) -> Split:
    texts, labels, named = zip(*rows, strict=True)
    ids = [f"{i}" for i in range(len(rows))]
    return Split(Texts(texts), np.array(labels, np.int64), ids, list(named) if groups else None)


def distinct(sizes: Sequence[int]) -> Split:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return Split(Texts([f"text number {i}" for i in range(len(labels))]), labels)


def chosen_rows(split: Split, labels: Labels, rows: int, seed: int = 0) -> NDArray[np.bool_]:
    units = find_units(split)
    free = np.ones(len(units), np.bool_)
    return draw(units, strata(split, labels, units), free, rows, seed, "test")[units.of_row]


@given(ROWS, st.booleans())
def test_equal_texts_and_rows_of_a_group_form_one_unit(rows: list[tuple[str, int, str]], grouped: bool) -> None:
    split = split_of(rows, groups=grouped)
    unit_of = find_units(split).of_row
    keys = text_keys(split)
    for i in range(len(split)):
        for j in range(i):
            if keys[i] == keys[j] or (split.groups and split.groups[i] == split.groups[j]):
                assert unit_of[i] == unit_of[j]
    if not grouped:
        assert len(set(unit_of)) == len(set(keys))


@given(ROWS, st.randoms(use_true_random=False), st.integers(0, 5), st.integers(0, 20))
@settings(max_examples=60)
def test_a_split_does_not_depend_on_the_order_of_rows(rows: list, random: object, seed: int, wanted: int) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def taken(of: list[tuple[str, int, str]]) -> Counter[tuple[str, int, str]]:
        split = split_of(of)
        chosen = chosen_rows(split, LABELS, wanted, seed)
        return Counter(row for row, on in zip(of, chosen, strict=True) if on)

    assert taken(rows) == taken(shuffled)


@given(st.lists(st.integers(2, 30), min_size=2, max_size=3), st.floats(0.01, 0.9), st.integers(0, 3))
def test_single_rows_are_drawn_stratified_within_one_and_exactly_in_all(
    sizes: list[int], fraction: float, seed: int
) -> None:
    split = distinct(sizes)
    wanted = round(fraction * len(split))
    chosen = chosen_rows(split, LABELS, wanted, seed)
    counts = np.bincount(split.labels[chosen], minlength=len(sizes))
    share = np.array(sizes) * wanted / len(split)
    # One row of each stratum always stays.
    assert (np.abs(counts - np.minimum(share, np.array(sizes) - 1)) < 1).all()
    whole_strata = (np.ceil(share) >= sizes).any()
    assert counts.sum() == wanted or (whole_strata and counts.sum() < wanted)
    assert (counts < sizes).all()


@given(ROWS, st.integers(2, 5), st.integers(0, 3))
def test_each_row_is_in_one_fold_and_no_unit_is_parted(rows: list, folds: int, seed: int) -> None:
    split = split_of(rows)
    units = find_units(split)
    fold_of = deal(units, strata(split, LABELS, units), folds, seed)
    assert len(fold_of) == len(units)
    assert set(fold_of) <= set(range(folds))


def test_folds_hold_each_label_within_one_row() -> None:
    split = distinct([31, 17, 8])
    units = find_units(split)
    folds = deal(units, strata(split, LABELS, units), 5, 0)[units.of_row]
    for label, size in enumerate([31, 17, 8]):
        held = np.bincount(folds[split.labels == label], minlength=5)
        assert held.min() >= size // 5
        assert held.max() <= -(-size // 5)
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 1


def test_a_pair_is_equal_only_where_both_texts_are() -> None:
    split = Split(Texts(["a", "A", "a"], ["b", " B ", "c"]), np.array([0, 1, 0]))
    units = find_units(split)
    assert units.of_row[0] == units.of_row[1] != units.of_row[2]
    assert units.repeated == 1


def test_a_text_with_several_labels_stands_for_its_rarest() -> None:
    members = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]], np.bool_)
    split = Split(Texts(["p", "q", "r", "s"]), members)
    units = find_units(split)
    labels = Labels(("a", "b", "c"), "multi-label")
    assert list(strata(split, labels, units)[units.of_row]) == [1, 0, 0, 3]


def test_a_large_group_is_taken_only_where_it_brings_the_count_nearer() -> None:
    rows = [(f"t{i}", 0, "big") for i in range(30)] + [(f"u{i}", 0, f"g{i}") for i in range(30)]
    for seed in range(10):
        assert chosen_rows(split_of(rows), LABELS, 10, seed).sum() == 10


def test_another_seed_draws_other_rows() -> None:
    split = distinct([50, 50])
    assert (chosen_rows(split, LABELS, 20, 0) != chosen_rows(split, LABELS, 20, 1)).any()


def test_shared_texts_and_groups_are_counted() -> None:
    one = split_of([("Good", 0, "p"), ("bad", 1, "q")])
    other = split_of([("good", 0, "r"), ("new", 1, "q"), ("other", 1, "s")])
    assert shared_rows(one, other) == (1, 1)
    assert shared_rows(one, split_of([("good ", 0, "p")], groups=False)) == (1, 0)


def test_sixty_thousand_long_reviews_are_split_in_seconds() -> None:
    review = "The film was a long one, and it was not good at all. " * 20
    n = 60_000
    named = [f"g{i // 3}" for i in range(n)]
    split = Split(Texts([f"{i} {review}" for i in range(n)]), np.arange(n) % 2, groups=named)
    began = time.process_time()
    chosen = chosen_rows(split, Labels(("a", "b")), 12_000)
    assert time.process_time() - began < 5
    assert abs(int(chosen.sum()) - 12_000) <= 2
