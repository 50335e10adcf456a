"""Owns which tokens of a text, or of a pair, are kept where the network reads fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Truncate = Literal["head", "tail", "head_tail"]
HEAD = 128  # Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?": the first 128 tokens and the last


def ends(
    lengths: NDArray[np.int64], rooms: NDArray[np.int64] | int, truncate: Truncate
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many first and how many last tokens of each text are kept, `rooms` together at most.

    A text that fits is all first tokens; of others head_tail keeps the 128 first (at most half) and the last.
    """
    first: Any = {"head": rooms, "tail": 0, "head_tail": np.minimum(HEAD, np.asarray(rooms) // 2)}[truncate]
    fits = lengths <= rooms
    return np.where(fits, lengths, first), np.where(fits, 0, rooms - np.asarray(first))


def longest_first(
    first: NDArray[np.int64], second: NDArray[np.int64], room: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lengths to which pairs are cut, exactly as the tokenizers library does: the longer text first."""
    short = np.minimum(first, second)
    long = np.maximum(short, room - short)
    half = short + long > room
    short, long = np.where(half, room // 2, short), np.where(half, room - room // 2, long)
    fits, ordered = first + second <= room, first <= second
    return (
        np.where(fits, first, np.where(ordered, short, long)),
        np.where(fits, second, np.where(ordered, long, short)),
    )
