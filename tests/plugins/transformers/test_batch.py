"""Batches by index arithmetic equal those that are cut and joined text by text."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from textclf_torch.runtime import kept_ends, longest_first
from textclf_transformers.batch import FILLED, Collator, DeviceIds, Template, TokenCache

from textclf import Tokens

CPU = torch.device("cpu")
SINGLE = Template(((101,), (102,)), ((0,), (0,)), (0,))
PAIR = Template(((101,), (102, 103), (104,)), ((0,), (0, 1), (1,)), (0, 1))
BARE = Template(((), ()), ((), ()), (0,))
ROUTES = ["from memory", "from the device"]


@some.composite
def cases(draw):
    """Return a collator, tokens, and rows of them in any order."""
    lengths = draw(some.lists(some.integers(0, 300), min_size=1, max_size=6))
    ids = np.arange(sum(lengths), dtype=np.uint16) + 200
    cuts = [draw(some.integers(0, length)) for length in lengths] if draw(some.booleans()) else None
    collator = Collator(
        single=SINGLE,
        pair=PAIR,
        max_length=draw(some.integers(1, 310)),
        truncate=draw(some.sampled_from(["head", "tail", "head_tail"])),
        pad_id=9,
        pad_type=draw(some.integers(0, 1)),
        types=draw(some.booleans()),
        first_position=draw(some.integers(0, 2)),
    )
    rows = draw(some.lists(some.integers(0, len(lengths) - 1), min_size=1, max_size=8))
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    return collator, Tokens(ids, offsets, None if cuts is None else np.array(cuts, np.int64)), np.array(rows, np.int64)


def cut(ids: list[int], room: int, truncate: str) -> list[int]:
    first = {"head": room, "tail": 0, "head_tail": min(128, room // 2)}[truncate]
    return ids if len(ids) <= room else ids[:first] + ids[len(ids) - (room - first) :]


def text_by_text(collator: Collator, tokens: Tokens, row: int) -> tuple[list[int], list[int]]:
    """Return the ids and types of one text."""
    ids, template = tokens.row(row).tolist(), collator.template(tokens)
    room = max(0, collator.max_length - template.size)
    if tokens.cuts is None:
        parts = [cut(ids, room, collator.truncate)]
    else:
        pair = ids[: tokens.cuts[row]], ids[tokens.cuts[row] :]
        rooms = longest_first(*(np.array([len(part)]) for part in pair), room)
        parts = [cut(part, int(r[0]), collator.truncate) for part, r in zip(pair, rooms, strict=True)]
    kinds = [[kind] * len(part) for part, kind in zip(parts, template.text_types, strict=True)]
    joined = [*chain(*zip(template.specials, parts, strict=False)), template.specials[-1]]
    types = [*chain(*zip(template.special_types, kinds, strict=False)), template.special_types[-1]]
    return [*chain(*joined)], [*chain(*types)]


def source(route: str, collator: Collator, tokens: Tokens) -> DeviceIds | None:
    return None if route == ROUTES[0] else DeviceIds.of(tokens.ids, collator.template(tokens).flat, CPU)


@pytest.mark.parametrize("route", ROUTES)
@given(case=cases())
def test_a_packed_batch_is_all_texts_in_one_row_filled_behind_the_last(route, case):
    collator, tokens, rows = case
    expected = [text_by_text(collator, tokens, int(row)) for row in rows]
    lengths = [len(ids) for ids, _ in expected]
    batch = collator.packed(tokens, rows, CPU, source(route, collator, tokens))
    assert batch.pop("text_lengths") == tuple(lengths) == tuple(collator.lengths(tokens)[rows])
    borders = batch.pop("text_borders")
    assert (borders.dtype, borders.tolist()) == (torch.int32, np.cumsum([0, *lengths]).tolist())
    first, behind = collator.first_position, -sum(lengths) % FILLED
    whole = {"input_ids": [*chain(*(ids for ids, _ in expected)), *[9] * behind]}
    whole["position_ids"] = [*chain(*(range(first, first + n) for n in lengths)), *[first] * behind]
    if collator.types:
        whole["token_type_ids"] = [*chain(*(types for _, types in expected)), *[collator.pad_type] * behind]
    assert {name: values.tolist() for name, values in batch.items()} == {name: [v] for name, v in whole.items()}
    assert {values.dtype for values in batch.values()} == {torch.int64}


@pytest.mark.parametrize("route", ROUTES)
@given(case=cases())
def test_a_padded_batch_is_a_row_for_each_text(route, case):
    collator, tokens, rows = case
    expected = [text_by_text(collator, tokens, int(row)) for row in rows]
    longest = max(len(ids) for ids, _ in expected)
    batch = collator.padded(tokens, rows, CPU, source(route, collator, tokens))
    whole = {"input_ids": [ids + [9] * (longest - len(ids)) for ids, _ in expected]}
    if any(len(ids) < longest for ids, _ in expected):
        whole["attention_mask"] = [[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in expected]
    if collator.types:
        whole["token_type_ids"] = [types + [collator.pad_type] * (longest - len(types)) for _, types in expected]
    assert {name: values.tolist() for name, values in batch.items()} == whole
    assert {values.dtype for values in batch.values()} == {torch.int64}


def test_an_empty_text_without_special_tokens_is_padding_alone():
    collator = Collator(BARE, PAIR, 8, "head", pad_id=9, pad_type=0, types=False)
    batch = collator.padded(Tokens(np.zeros(0, np.uint16), np.zeros(2, np.int64)), np.array([0]), CPU)
    assert (batch["input_ids"].tolist(), batch["attention_mask"].tolist()) == ([[9]], [[0]])


def test_head_tail_keeps_the_first_128_and_the_last():
    lengths = np.array([1000, 3])
    assert [part.tolist() for part in kept_ends(lengths, 510, "head_tail")] == [[128, 3], [382, 0]]
    assert [part.tolist() for part in kept_ends(lengths, 100, "head_tail")] == [[50, 3], [50, 0]]
    assert [part.tolist() for part in kept_ends(lengths, 3, "head")] == [[3, 3], [0, 0]]
    assert [part.tolist() for part in kept_ends(lengths, 3, "tail")] == [[0, 3], [3, 0]]


def test_the_longer_text_of_a_pair_is_cut_first():
    first, second = longest_first(np.array([4, 3, 20, 8]), np.array([6, 20, 3, 9]), 10)
    assert [*zip(first.tolist(), second.tolist(), strict=True)] == [(4, 6), (3, 7), (7, 3), (5, 5)]


def test_off_a_gpu_the_ids_stay_where_they_are():
    tokens = Tokens(np.arange(4, dtype=np.uint16), np.array([0, 4]))
    assert TokenCache().source(tokens, lambda: SINGLE.flat, CPU).ids is tokens.ids
