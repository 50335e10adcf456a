"""Owns which tokens of a text are hidden from a masked language model, and what stands in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from textclf import ArtefactError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of hidden tokens eight in ten become the mask and one in ten a random token; the last one stays: Devlin et al. 2019.
MASKED, SWAPPED = 0.8, 0.1
# How a vocabulary marks the tokens inside of words, or those that begin one.
_INSIDE, _BEGINS = "##", ("Ġ", "▁")


@dataclass(frozen=True, slots=True)
class Masking:
    """The rule by which tokens are hidden.

    share: of the tokens that may be hidden, which are all but special ones. mask: what stands in place of a hidden one.
    others: what else may. special, inside: bool[vocabulary]; inside is None where tokens are hidden one by one, else
    it tells the tokens that go on with a word, which is hidden as a whole.
    """

    share: float
    mask: int
    others: NDArray[np.int64]
    special: NDArray[np.bool_]
    inside: NDArray[np.bool_] | None

    @classmethod
    def of(cls, tokenizer: Any, share: float, *, whole_words: bool, checkpoint: str) -> Masking:
        """Read off a tokenizer what may be hidden; an ArtefactError where it knows no mask, or no words."""
        if tokenizer.mask_token_id is None:
            raise ArtefactError(
                f"the tokenizer of '{checkpoint}' has no mask token, so no words can be hidden from its network; "
                "remove encoder.adapt"
            )
        tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        special = np.zeros(len(tokens), np.bool_)
        special[tokenizer.all_special_ids] = True
        inside = _inside(tokens, checkpoint) if whole_words else None
        return cls(share, tokenizer.mask_token_id, np.flatnonzero(~special), special, inside)

    def draw(
        self, ids: NDArray[np.int64], begins: NDArray[np.bool_], seed: tuple[int, ...]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which of a text's tokens are hidden, bool[n], and the ids that the network sees, int64[n].

        begins: where a word begins whatever its token says, since what stood before it is another text or was cut off.
        How many are hidden is the share of all, rounded up or down at random such that the mean is the share itself.
        """
        random = np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))
        unit, count = self._units(ids, begins)
        many = int(self.share * count + random.random())
        chosen = np.zeros(count + 1, np.bool_)
        chosen[random.permutation(count)[:many]] = True
        hidden: NDArray[np.bool_] = chosen[unit]
        fate, seen = random.random(len(ids)), ids.astype(np.int64)
        seen[hidden & (fate < MASKED)] = self.mask
        swapped = hidden & (fate >= MASKED) & (fate < MASKED + SWAPPED)
        seen[swapped] = self.others[random.integers(len(self.others), size=int(swapped.sum()))]
        return hidden, seen

    def _units(self, ids: NDArray[np.int64], begins: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
        """Return to which unit, a token or a word, each token belongs, int64[n] (-1: none), and how many there are."""
        free = ~self.special[ids]
        first = free if self.inside is None else free & (begins | ~self.inside[ids] | ~_before(free))
        unit = np.cumsum(first) - 1
        return np.where(free, unit, -1), int(first.sum())


def _before(free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell of each token whether the one before it may be hidden: a word does not go on behind one that may not."""
    return np.concatenate([[False], free[:-1]])


def _inside(tokens: list[str], checkpoint: str) -> NDArray[np.bool_]:
    if any(token.startswith(_INSIDE) for token in tokens):
        return np.array([token.startswith(_INSIDE) for token in tokens])
    for mark in _BEGINS:
        if any(token.startswith(mark) for token in tokens):
            return np.array([not token.startswith(mark) for token in tokens])
    raise ArtefactError(
        f"the tokenizer of '{checkpoint}' does not mark where words begin; set encoder.adapt.whole_words to false"
    )
