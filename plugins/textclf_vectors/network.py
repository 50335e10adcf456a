"""Networks that read word vectors: mean, LSTM, GRU, and the CNN of Kim (2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from textclf_torch.runtime import moved
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from textclf import Labels

from .vocabulary import PADDING, SPECIALS


@dataclass(frozen=True, slots=True)
class Ragged:
    """The shape of texts of different lengths, in one row, in padded rows, and in the steps of a recurrent network.

    lengths: words of each text, int64[texts]. places: for each word of the row, its place in rows padded to the
    longest. order: for each step (the first words of all texts, the longest text first, then the second words, ...)
    the words of the row. batch_sizes: how many texts a step has, on the CPU, as PyTorch's packed sequences need it.
    """

    lengths: torch.Tensor
    longest: int
    places: torch.Tensor
    order: torch.Tensor
    batch_sizes: torch.Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device, width: int | None = None) -> Ragged:
        """Return the shape of texts of these lengths; width: the length to pad to; None: the longest."""
        sizes = np.asarray(lengths, np.int64).reshape(-1)
        longest = max(int(sizes.max(initial=1)), width or 0)
        column = np.arange(longest)
        real = column < sizes[:, None]
        places = (np.arange(len(sizes))[:, None] * longest + column)[real]
        rows = np.argsort(-sizes, kind="stable")
        steps = real[rows].T  # [step, text, longest first]
        begins = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if len(sizes) else sizes
        order = (begins[rows][None] + column[:, None])[steps]
        batch_sizes = steps.sum(axis=1)
        on_device = [moved(values, device) for values in (sizes, places, order)]
        return cls(on_device[0], longest, on_device[1], on_device[2], torch.from_numpy(batch_sizes[batch_sizes > 0]))

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Return values [words, width] as rows that are padded with zeros, [texts, longest, width]."""
        texts, width = len(self.lengths), values.shape[-1]
        rows = values.new_zeros(texts * self.longest, width)
        return rows.index_copy(0, self.places, values).view(texts, self.longest, width)

    def real(self, longer: int = 0) -> torch.Tensor:
        """Return where padded rows hold words, bool[texts, longest + longer, 1]; longer: more places for each text."""
        column = torch.arange(self.longest + longer, device=self.lengths.device)
        return (column < self.lengths[:, None] + longer)[..., None]


def mean_of(states: torch.Tensor, shape: Ragged) -> torch.Tensor:
    return shape.spread(states).sum(dim=1) / shape.lengths.clamp(min=1)[:, None]


class MeanPool(nn.Module):
    """The mean of the states; of no states zeros."""

    def __init__(self, size: int) -> None:
        super().__init__()

    def forward(self, states: torch.Tensor, shape: Ragged) -> torch.Tensor:
        return mean_of(states, shape)


class MaxPool(nn.Module):
    """The highest value of each number of the states; of no states zeros."""

    def __init__(self, size: int) -> None:
        super().__init__()

    def forward(self, states: torch.Tensor, shape: Ragged) -> torch.Tensor:
        highest = shape.spread(states).masked_fill(~shape.real(), float("-inf")).amax(dim=1)
        return highest.masked_fill((shape.lengths == 0)[:, None], 0.0)


class AttentionPool(nn.Module):
    """A mean weighted by how well each state fits one learnt query: Yang et al. (2016); of no states zeros."""

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


@dataclass(frozen=True, slots=True)
class Design:
    """The architecture of a network: sizes and kinds, no weights."""

    network: Literal["mean", "lstm", "gru", "cnn"]
    dimensions: int
    words: int
    added: int
    hidden: int
    layers: int
    bidirectional: bool
    pooling: Literal["mean", "max", "attention"]
    widths: tuple[int, ...]
    filters: int
    dropout: float
    vector_dropout: float
    train_vectors: bool


class WordVectors(nn.Module):
    """Two tables read as one: `own` is always trained, `words`, the vectors of the file, only by `train_vectors`."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.own = nn.Embedding(SPECIALS + design.added, design.dimensions, padding_idx=PADDING)
        # Passed in, since random numbers would be drawn for nothing.
        empty = torch.zeros(design.words, design.dimensions)
        self.words = nn.Embedding(design.words, design.dimensions, _weight=empty)
        self.words.weight.requires_grad_(design.train_vectors)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        count = self.own.num_embeddings
        # A word of the other table is looked up at some place here, and the result is not used.
        own, words = self.own(ids.clamp(max=count - 1)), self.words((ids - count).clamp(min=0))
        return torch.where((ids < count)[..., None], own, words)


class Mean(nn.Module):
    """The mean of the vectors, and layers over it: the deep averaging network of Iyyer et al. (2015)."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        sizes = [design.dimensions, *[design.hidden] * design.layers]
        self.stack: nn.ModuleList = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.dropout = nn.Dropout(design.dropout)
        self.size = sizes[-1]

    def forward(self, words: torch.Tensor, shape: Ragged) -> torch.Tensor:
        found = mean_of(words, shape)
        for place, layer in enumerate(self.stack):
            found = functional.relu(layer(self.dropout(found) if place else found))
        return found


class Recurrent(nn.Module):
    """An LSTM or GRU over packed sequences, so that no step is of padding, and a pool over its states."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        kind = nn.LSTM if design.network == "lstm" else nn.GRU
        self.size = design.hidden * (2 if design.bidirectional else 1)
        sizes = [design.dimensions, *[self.size] * (design.layers - 1)]
        # A module for each layer, since the dropout inside PyTorch's own stacks is drawn from all threads' generator.
        self.stack = nn.ModuleList(kind(size, design.hidden, bidirectional=design.bidirectional) for size in sizes)
        self.dropout = nn.Dropout(design.dropout)
        self.pool = POOLS[design.pooling](self.size)

    def forward(self, words: torch.Tensor, shape: Ragged) -> torch.Tensor:
        steps = words.index_select(0, shape.order)
        for place, layer in enumerate(self.stack if len(words) else ()):
            steps = self.dropout(steps) if place else steps
            steps = layer(PackedSequence(steps, shape.batch_sizes))[0].data
        steps = steps if len(words) else words.new_zeros(0, self.size)
        states = torch.empty_like(steps).index_copy(0, shape.order, steps)
        pooled: torch.Tensor = self.pool(states, shape)
        return pooled


class Convolutions(nn.Module):
    """Filters of several widths over the words, and the maximum of each: Kim (2014).

    A text is padded on both sides by a width less one, so that texts shorter than a filter have outputs too.
    """

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.stack = nn.ModuleList(
            nn.Conv1d(design.dimensions, design.filters, width, padding=width - 1) for width in design.widths
        )
        self.size, self.widths = design.filters * len(design.widths), design.widths

    def forward(self, words: torch.Tensor, shape: Ragged) -> torch.Tensor:
        rows = shape.spread(words).transpose(1, 2)
        found = []
        for layer, width in zip(self.stack, self.widths, strict=True):
            outputs = functional.relu(layer(rows)).transpose(1, 2)
            # No output is below zero, so that zeros hide those of padding alone.
            real = shape.real(longer=width - 1)
            found.append(outputs.masked_fill(~real, 0.0).amax(dim=1))
        return torch.cat(found, dim=1)


Body = Mean | Recurrent | Convolutions
BODIES: dict[str, type[Body]] = {"mean": Mean, "lstm": Recurrent, "gru": Recurrent, "cnn": Convolutions}


class VectorsNetwork(nn.Module):
    """Word vectors, a body that makes one vector of a text, and a head; forward returns logits [texts, labels]."""

    def __init__(self, design: Design, labels: Labels) -> None:
        super().__init__()
        self.design, self.labels = design, labels
        self.vectors = WordVectors(design)
        self.vector_dropout = nn.Dropout(design.vector_dropout)
        self.body: Body = BODIES[design.network](design)
        self.dropout = nn.Dropout(design.dropout)
        self.head = nn.Linear(self.body.size, len(labels))

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        text_lengths: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Read padded rows [texts, longest] with their mask, or texts in one row [words] with their lengths."""
        words = self.vector_dropout(self.vectors(input_ids))
        if text_lengths is not None:
            shape = Ragged.of(text_lengths, words.device)
        else:
            rows, width = input_ids.shape
            lengths = [width] * rows if attention_mask is None else attention_mask.sum(dim=1).tolist()
            shape = Ragged.of(lengths, words.device, width)
            words = words.flatten(0, 1).index_select(0, shape.places)
        logits: torch.Tensor = self.head(self.dropout(self.body(words, shape)))
        return logits

    def get_input_embeddings(self) -> nn.Module:
        """Return the module that makes vectors of ids, by the name that Hugging Face networks have for it."""
        return self.vectors

    def layers(self) -> list[list[nn.Parameter]]:
        """Return every parameter once: vectors first, then each layer, the pool and head last."""
        groups = [list(part.parameters()) for part in (self.vectors, *self.body.stack)]
        seen = {id(parameter) for group in groups for parameter in group}
        return [*groups, [p for p in self.parameters() if id(p) not in seen]]
