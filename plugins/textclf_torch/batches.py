"""Batches: the texts of a step, their shares, and micro-batches of texts of like length."""

from __future__ import annotations

import heapq
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Tokens of one packed forward and backward pass, at most: more gains nothing on a CPU, and costs memory.
PACKED_BUDGET = {"cpu": 4096, "mps": 4096, "cuda": 32_768}


# Drawing a million texts takes longer than a step on some of them.
@lru_cache(maxsize=2)
def order(rows: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """Return the random order of an epoch's texts: a function of seed and epoch alone, so a resumed run has it too."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    drawn: NDArray[np.int64] = torch.randperm(rows, generator=generator).numpy()
    return drawn


def share(rows: NDArray[np.int64], lengths: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Divide a batch into shares of about as many tokens each: the longest text left goes to the smallest share."""
    taken = [(0, 0, number) for number in range(size)]
    parts: list[list[int]] = [[] for _ in range(size)]
    for row in rows[np.argsort(-lengths[rows], kind="stable")]:
        tokens, texts, number = heapq.heappop(taken)
        parts[number].append(int(row))
        heapq.heappush(taken, (tokens + int(lengths[row]), texts + 1, number))
    return [np.array(part, np.int64) for part in parts]


def micro_batches(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], most: int, overhead: int
) -> list[NDArray[np.int64]]:
    """Cut a randomly drawn batch into groups of like length, each of at most `most` rows.

    The batch stays a random draw: only the rows inside of it are sorted. `overhead` is what one more forward and
    backward pass costs, in tokens; of all cuts the one with the least padded tokens plus overhead is taken.
    """
    rows = rows[np.argsort(lengths[rows], kind="stable")]
    size, padded = len(rows), lengths[rows]
    cost = np.zeros(size + 1, np.int64)
    start = np.zeros(size + 1, np.int64)
    for end in range(1, size + 1):
        first = max(0, end - most)
        costs = cost[first:end] + (end - np.arange(first, end)) * padded[end - 1] + overhead
        best = int(costs.argmin())
        cost[end], start[end] = costs[best], first + best
    groups, end = [], size
    while end:
        groups.append(rows[start[end] : end])
        end = int(start[end])
    return groups[::-1]


def packed_batches(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], most: int, budget: int
) -> list[NDArray[np.int64]]:
    """Cut a randomly drawn batch, sorted by length, into groups of at most `most` rows and `budget` tokens."""
    rows = rows[np.argsort(lengths[rows], kind="stable")]
    groups: list[list[int]] = []
    tokens = 0
    for row in rows:
        if not groups or len(groups[-1]) == most or tokens + lengths[row] > budget:
            groups.append([])
            tokens = 0
        groups[-1].append(int(row))
        tokens += int(lengths[row])
    return [np.array(group, np.int64) for group in groups]


def scoring_batches(lengths: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Cut all texts, longest first, into batches of at most `budget` padded tokens (at least one text each).

    Longest first, so that what does not fit into memory fails at once.
    """
    rows = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(rows):
        most = max(1, budget // max(1, int(lengths[rows[start]])))
        batches.append(rows[start : start + most])
        start += most
    return batches
