"""Batches: every text once, in an order of seed and epoch, shared evenly."""

from __future__ import annotations

import numpy as np
from textclf_torch import batches


def test_micro_batches_hold_every_row_once_and_pad_little():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 80, 100)
    rows = rng.permutation(100)[:32]
    groups = batches.micro_batches(rows, lengths, 10, 64)
    assert sorted(np.concatenate(groups)) == sorted(rows)
    assert max(map(len, groups)) <= 10
    padded = sum(len(group) * lengths[group].max() for group in groups)
    assert padded < 1.25 * lengths[rows].sum() < 32 * lengths[rows].max()


def test_an_epoch_is_a_random_order_that_follows_seed_and_epoch():
    assert sorted(batches.order(50, 0, 1)) == list(range(50))
    drawn = batches.order(50, 3, 1)
    assert batches.order(50, 3, 1) is drawn  # once an epoch, not once a step
    batches.order.cache_clear()
    assert batches.order(50, 3, 1).tolist() == drawn.tolist()
    assert batches.order(50, 3, 1).tolist() != batches.order(50, 4, 1).tolist()


def test_a_batch_is_shared_such_that_all_have_about_as_many_tokens():
    lengths = np.random.default_rng(0).integers(3, 512, 300)
    rows = np.random.default_rng(1).permutation(300)[:64]
    parts = batches.share(rows, lengths, 4)
    tokens = [int(lengths[part].sum()) for part in parts]
    assert sorted(np.concatenate(parts)) == sorted(rows)
    assert max(tokens) - min(tokens) <= 512
    assert min(len(part) for part in parts) >= 12
    assert [len(part) for part in batches.share(rows[:1], lengths, 3)] == [1, 0, 0]
