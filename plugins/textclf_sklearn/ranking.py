"""Owns the area under the ROC curve of weighted texts: sorted once, drawn many times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Weights looked at together: 16 MB, which stays near the caches and bounds the memory for any number of draws.
_CHUNK = 2_000_000


def areas(scores: NDArray[np.float32], wanted: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the chance that a wanted text scores above another, ties counting half, float64[draws].

    NaN in draws [draws, n] whose weight lies all on one side.
    """
    order = np.argsort(scores, kind="stable")
    ranked, wanted = scores[order], wanted[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])) if len(order) else np.zeros(0, int)
    found = [_areas(block[:, order], wanted, starts) for block in _blocks(weights)]
    return np.concatenate(found) if found else np.zeros(0)


def _blocks(weights: Floats) -> Iterator[Floats]:
    size = max(1, _CHUNK // max(1, weights.shape[1]))
    for start in range(0, len(weights), size):
        yield weights[start : start + size]


def _areas(weights: Floats, wanted: NDArray[np.bool_], starts: NDArray[np.int64]) -> Floats:
    if len(starts) == 0:
        return np.full(len(weights), np.nan)
    positive = np.add.reduceat(weights * wanted, starts, axis=1)
    negative = np.add.reduceat(weights * ~wanted, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * below).sum(axis=1)
    return np.asarray(np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0))
