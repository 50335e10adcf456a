"""Texts to token ids: what token encoders share."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from textclf import Context, Progress, Stopped, Texts, Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

Truncate = Literal["head", "tail", "head_tail"]
HEAD = 128  # Sun et al. 2019, "How to Fine-Tune BERT for Text Classification?": the first 128 tokens and the last


def both_ends(text: str, letters: int) -> str:
    """Return a text, or the first and last `letters` of one that is longer than both together."""
    return text if len(text) <= 2 * letters else f"{text[:letters]} {text[-letters:]}"


def encode_texts(
    texts: Texts,
    letters: int,
    ids_of: Callable[[Iterable[str]], Iterable[Sequence[int]]],
    vocabulary: int,
    context: Context,
) -> Tokens:
    """Return the ids of all texts, of which `both_ends` are read; Stopped where the run is to stop.

    ids_of: gives the ids of each text, below `vocabulary`.
    """
    columns = [texts.first] if texts.second is None else [texts.first, texts.second]
    longer = sum(len(text) > 2 * letters for column in columns for text in column)
    if longer:
        context.warn(f"texts of more than {2 * letters:,} characters: {longer}; only both ends of them are read")
    encoded = [
        _gather(ids_of(both_ends(text, letters) for text in column), len(column), vocabulary, context)
        for column in columns
    ]
    return encoded[0] if len(encoded) == 1 else encoded[0].paired(encoded[1])


def _gather(rows: Iterable[Sequence[int]], total: int, vocabulary: int, context: Context) -> Tokens:
    # A typed array grows in place; the ids of all texts as Python lists would take ten times the memory.
    small = vocabulary <= 1 << 16
    ids, lengths, reported = array("H" if small else "I"), array("q"), time.monotonic()
    for row in rows:
        ids.extend(row)
        lengths.append(len(row))
        if time.monotonic() - reported > 0.3:
            reported = time.monotonic()
            context.emit(Progress(stage="encode", done=len(lengths), total=total, unit="texts"))
            if context.stopping():
                raise Stopped("stopped while encoding texts")
    offsets = np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64)
    return Tokens(np.array(ids, np.uint16) if small else np.array(ids, np.uint32), offsets)


def kept_ends(
    lengths: NDArray[np.int64], rooms: NDArray[np.int64] | int, truncate: Truncate
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many first and how many last tokens of each text are read, at most `rooms` together.

    A text that fits is all first tokens. Of others head_tail reads the first 128 (at most half) and the last.
    """
    first: Any = {"head": rooms, "tail": 0, "head_tail": np.minimum(HEAD, np.asarray(rooms) // 2)}[truncate]
    fits = lengths <= rooms
    return np.where(fits, lengths, first), np.where(fits, 0, rooms - np.asarray(first))


def longest_first(
    first: NDArray[np.int64], second: NDArray[np.int64], room: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lengths to which pairs are truncated, as the tokenizers library does: the longer text first."""
    short = np.minimum(np.minimum(first, second), room // 2)
    fits, ordered = first + second <= room, first <= second
    return (
        np.where(fits, first, np.where(ordered, short, room - short)),
        np.where(fits, second, np.where(ordered, room - short, short)),
    )
