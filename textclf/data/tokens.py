"""Tokens: ragged token ids in flat arrays, untruncated, which may be memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import DataError, type_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token ids of n texts, without special tokens and without truncation.

    ids: uint16 or uint32, flat. offsets: int64[n + 1]; text i is `ids[offsets[i]:offsets[i + 1]]`.
    cuts: int64[n], for pairs, where the second text begins, counted from the text's own start.
    """

    ids: NDArray[np.uint16] | NDArray[np.uint32]
    offsets: NDArray[np.int64]
    cuts: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.cuts is not None and len(self.cuts) != len(self):
            raise DataError(f"{len(self)} token rows but {len(self.cuts)} cuts")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, index: int) -> NDArray[np.uint16] | NDArray[np.uint32]:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of ids of each text, int64[n]."""
        import numpy as np

        return np.diff(self.offsets)

    def flaw(self) -> str:
        """Return what is wrong with the types and shapes of the arrays, or ""; the ids themselves are not read."""
        import numpy as np

        known = (np.dtype(np.uint16), np.dtype(np.uint32))
        if not _flat(self.ids) or self.ids.dtype not in known:
            return f"ids are {_form(self.ids)}, not a flat array of uint16 or uint32"
        if not _flat(self.offsets) or self.offsets.dtype != np.int64 or not len(self.offsets):
            return f"offsets are {_form(self.offsets)}, not int64[texts + 1]"
        lengths = self.lengths()
        if self.offsets[0] != 0:
            return f"offsets begin at {self.offsets[0]}, not at 0"
        if (lengths < 0).any():
            return f"offsets decrease behind text {int((lengths < 0).argmax())}"
        if self.offsets[-1] != len(self.ids):
            return f"offsets end at {self.offsets[-1]}, but there are {len(self.ids)} ids"
        return "" if self.cuts is None else _wrong_cuts(self.cuts, lengths)

    def take(self, rows: NDArray[np.int64]) -> Tokens:
        """Return the texts of these rows, in this order, as new arrays."""
        import numpy as np

        lengths = self.lengths()[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        ids = np.concatenate([self.row(int(r)) for r in rows]) if len(rows) else self.ids[:0]
        return Tokens(ids, offsets, None if self.cuts is None else self.cuts[rows])

    def paired(self, second: Tokens) -> Tokens:
        """Return pairs of texts: each of these, followed by the one of `second` in the same row."""
        import numpy as np

        cuts, others = self.lengths(), second.lengths()
        offsets = np.concatenate([[0], np.cumsum(cuts + others)]).astype(np.int64)
        ids = np.empty(int(offsets[-1]), self.ids.dtype)
        # An id moves right by the number of ids that the other column has put before it.
        ids[np.arange(len(self.ids)) + np.repeat(second.offsets[:-1], cuts)] = self.ids
        ids[np.arange(len(second.ids)) + np.repeat(self.offsets[1:], others)] = second.ids
        return Tokens(ids, offsets, cuts)

    def followed_by(self, more: Tokens) -> Tokens:
        """Return these texts and then the others, as new arrays; both are pairs, or neither is."""
        import numpy as np

        offsets = np.concatenate([self.offsets, more.offsets[1:] + self.offsets[-1]])
        if (self.cuts is None) != (more.cuts is None):
            raise DataError("pairs of texts cannot be followed by single texts, nor these by pairs")
        cuts = None if self.cuts is None or more.cuts is None else np.concatenate([self.cuts, more.cuts])
        return Tokens(np.concatenate([self.ids, more.ids]), offsets, cuts)


def _wrong_cuts(cuts: Any, lengths: NDArray[np.int64]) -> str:
    import numpy as np

    if not _flat(cuts) or cuts.dtype != np.int64:
        return f"cuts are {_form(cuts)}, not int64[texts]"
    outside = (cuts < 0) | (cuts > lengths)
    if not outside.any():
        return ""
    row = int(outside.argmax())
    return f"cut of text {row} is {cuts[row]}, but the text has {lengths[row]} ids"


def _flat(array: Any) -> bool:
    import numpy as np

    return isinstance(array, np.ndarray) and array.ndim == 1


def _form(array: Any) -> str:
    import numpy as np

    return f"{array.dtype}{list(array.shape)}" if isinstance(array, np.ndarray) else type_name(array)
