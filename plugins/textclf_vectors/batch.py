"""Batches of words: one row, or padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from textclf_torch.runtime import Truncate, kept_ends, longest_first, moved

from textclf import Tokens

from .vocabulary import BORDER, PADDING, SPECIALS, UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray



@dataclass(frozen=True, slots=True)
class Collator:
    """Rows of Tokens to batches. An empty text is read as one unknown word."""

    max_length: int
    truncate: Truncate

    def lengths(self, tokens: Tokens) -> NDArray[np.int64]:
        """Return how long each text is as the network sees it, int64[n]."""
        return np.clip(self._whole(tokens), 1, self.max_length)

    def cut(self, tokens: Tokens) -> NDArray[np.bool_]:
        """Tell of which texts the network does not see every word, bool[n]."""
        cut: NDArray[np.bool_] = self._whole(tokens) > self.max_length
        return cut

    def padded(self, tokens: Tokens, rows: NDArray[np.int64], device: torch.device) -> dict[str, torch.Tensor]:
        """Return a batch padded to its longest text, [rows, longest]."""
        texts = [self.text(tokens, int(row)) for row in rows]
        ids = np.full((len(texts), max(map(len, texts), default=1)), PADDING, np.int64)
        for place, text in zip(ids, texts, strict=True):
            place[: len(text)] = text
        return {
            "input_ids": moved(ids, device),
            "attention_mask": moved((ids != PADDING).astype(np.int64), device),
        }

    def packed(self, tokens: Tokens, rows: NDArray[np.int64], device: torch.device) -> dict[str, Any]:
        """Return a batch as one row without padding, [tokens], and the length of each text."""
        texts = [self.text(tokens, int(row)) for row in rows]
        ids = np.concatenate([*texts, np.zeros(0, np.int64)]).astype(np.int64)
        return {"input_ids": moved(ids, device), "text_lengths": tuple(map(len, texts))}

    def text(self, tokens: Tokens, row: int) -> NDArray[np.int64]:
        """Return the ids that the network sees of a text, or of a pair with the border between its two."""
        ids = tokens.row(row).astype(np.int64)
        if tokens.cuts is None:
            kept = self._kept(ids, self.max_length)
        else:
            first, second = ids[: int(tokens.cuts[row])], ids[int(tokens.cuts[row]) :]
            one, other = longest_first(np.array(len(first)), np.array(len(second)), self.max_length - 1)
            kept = np.concatenate([self._kept(first, int(one)), [BORDER], self._kept(second, int(other))])
        return kept if len(kept) else np.array([UNKNOWN], np.int64)

    def seen(self, tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the position in its text of the word at each place of a padded batch, int64[rows, longest], or -1."""
        lengths = tokens.lengths()
        # Positions take the place of the ids, and are read as ids are; those of a pair are consecutive.
        positions = [np.arange(SPECIALS, SPECIALS + lengths[row]) for row in rows]
        offsets = np.concatenate([[0], np.cumsum(lengths[rows])]).astype(np.int64)
        cuts = None if tokens.cuts is None else tokens.cuts[rows]
        flat = np.concatenate([*positions, np.zeros(0, np.int64)]).astype(np.uint32)
        ids = self.padded(Tokens(flat, offsets, cuts), np.arange(len(rows)), torch.device("cpu"))["input_ids"].numpy()
        found: NDArray[np.int64] = np.where(ids >= SPECIALS, ids - SPECIALS, -1)
        return found

    def _whole(self, tokens: Tokens) -> NDArray[np.int64]:
        return tokens.lengths() + (0 if tokens.cuts is None else 1)

    def _kept(self, ids: NDArray[np.int64], room: int) -> NDArray[np.int64]:
        first, last = kept_ends(np.array(len(ids)), room, self.truncate)
        return np.concatenate([ids[:first], ids[len(ids) - last :]])
