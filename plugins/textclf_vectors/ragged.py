"""Owns the shape of texts of different lengths: one behind the other, word by word of all texts, or padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .collating import moved


@dataclass(frozen=True, slots=True)
class Ragged:
    """How the words of some texts lie.

    lengths: words of each text, int64[texts]. places: of each word, the texts one behind the other, its place in
    rows padded to the longest. order: for each step (the first word of all texts, the longest text first, then the
    second, ...) the word that stands there. alive: how many texts a step has, on the CPU, as PyTorch's packed
    sequences want it.
    """

    lengths: torch.Tensor
    longest: int
    places: torch.Tensor
    order: torch.Tensor
    alive: torch.Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device, width: int | None = None) -> Ragged:
        """Return the shape of texts of these lengths; width: what they are padded to, none given: the longest."""
        sizes = np.asarray(lengths, np.int64).reshape(-1)
        longest = max(int(sizes.max(initial=1)), width or 0)
        column = np.arange(longest)
        real = column < sizes[:, None]
        places = (np.arange(len(sizes))[:, None] * longest + column)[real]
        rows = np.argsort(-sizes, kind="stable")
        steps = real[rows].T  # [step, text, longest first]
        begins = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if len(sizes) else sizes
        order = (begins[rows][None] + column[:, None])[steps]
        alive = steps.sum(axis=1)
        on_device = [moved(torch.from_numpy(values), device) for values in (sizes, places, order)]
        return cls(on_device[0], longest, on_device[1], on_device[2], torch.from_numpy(alive[alive > 0]))

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Return values [words, width] as rows that are padded with zeros, [texts, longest, width]."""
        texts, width = len(self.lengths), values.shape[-1]
        rows = values.new_zeros(texts * self.longest, width)
        return rows.index_copy(0, self.places, values).view(texts, self.longest, width)

    def real(self, longer: int = 0) -> torch.Tensor:
        """Tell where padded rows hold words, bool[texts, longest + longer, 1]; longer: so many more places a text."""
        column = torch.arange(self.longest + longer, device=self.lengths.device)
        return (column < self.lengths[:, None] + longer)[..., None]
