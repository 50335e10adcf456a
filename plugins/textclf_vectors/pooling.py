"""Owns how the states at all words of a text become one: their mean, their highest values, or a weighted mean."""

from __future__ import annotations

import torch
from torch import nn

from .ragged import Ragged


class MeanPool(nn.Module):
    """The mean of the states; of no states zeros."""

    def __init__(self, size: int) -> None:
        super().__init__()

    def forward(self, states: torch.Tensor, shape: Ragged) -> torch.Tensor:
        return shape.spread(states).sum(dim=1) / shape.lengths.clamp(min=1)[:, None]


class MaxPool(nn.Module):
    """The highest value of each number of the states; of no states zeros."""

    def __init__(self, size: int) -> None:
        super().__init__()

    def forward(self, states: torch.Tensor, shape: Ragged) -> torch.Tensor:
        highest = shape.spread(states).masked_fill(~shape.real(), float("-inf")).amax(dim=1)
        return highest.masked_fill((shape.lengths == 0)[:, None], 0.0)


class AttentionPool(nn.Module):
    """A mean weighted by how much each state answers to one learnt question: Yang et al. (2016); of no states zeros."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.inner = nn.Linear(size, size)
        self.question = nn.Linear(size, 1, bias=False)

    def forward(self, states: torch.Tensor, shape: Ragged) -> torch.Tensor:
        scores = shape.spread(self.question(torch.tanh(self.inner(states))))
        # Finite, so that a text without states has weights that are numbers, of states that are zeros.
        lowest = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(~shape.real(), lowest).softmax(dim=1)
        return (weights * shape.spread(states)).sum(dim=1)


POOLS: dict[str, type[MeanPool] | type[MaxPool] | type[AttentionPool]] = {
    "mean": MeanPool, "max": MaxPool, "attention": AttentionPool,
}  # fmt: skip
