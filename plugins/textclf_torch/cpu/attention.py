"""Attention on the CPU by batched products, over texts of nearly equal length at a time; chosen where that is faster.

PyTorch's fused attention is slow in bf16, most of all in its backward pass and over few tokens. Batched products reach
more of the peak of processors that compute in bf16, but store the probabilities of all pairs of tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from textclf import Chosen

from ..precision import Arithmetic, machine, measured_once, too_small

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from textclf import Context, Layout

    from ..job import Job

STEP = 32  # a softmax of bf16 is up to four times as fast on rows that fill whole registers
PAYS = 1.1  # so much faster must products be than fused attention
# The lengths of the texts of each measurement; products are taken for texts of at most the last length that pays.
MEASURED = (tuple(range(16, 65, 3)), (232, 240, 248, 256), (480, 512))


class _Setting:
    """The longest text whose attention is by products, 0: none; of the process, since lanes are threads."""

    longest = 0


@contextmanager
def products(longest: int) -> Iterator[None]:
    """Compute attention of bf16 by products in training, in batches without a text of more tokens than `longest`."""
    before, _Setting.longest = _Setting.longest, longest
    try:
        yield
    finally:
        _Setting.longest = before


def takes_products(query: torch.Tensor, lengths: tuple[int, ...]) -> bool:
    """Tell whether the attention of a packed row is to be by products; a forward pass alone is faster when fused."""
    trained = query.dtype == torch.bfloat16 and query.device.type == "cpu" and torch.is_grad_enabled()
    return trained and max(lengths) <= _Setting.longest


def by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...], *,
    scale: float | None = None, reach: int | None = None, causal: bool = False,
) -> torch.Tensor:  # fmt: skip
    """Return the attention of each token to those of its own text, [tokens, heads, width].

    query, key, value: [tokens, heads, width]; tokens behind the last text get zeros. scale: None is the inverse root of
    the width. reach: how many tokens to either side a token sees, None: all; causal: none to the right.
    """
    factor = query.shape[2] ** -0.5 if scale is None else scale
    answer: torch.Tensor = _Products.apply(query, key, value, _groups(lengths, reach, causal, query.dtype), factor)  # type: ignore[no-untyped-call]
    return answer


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Texts side by side in a packed row, padded to one length.

    start, stop: their tokens in the row. sources: the token of each place, int64[texts * length]; places: the place of
    each token; empty: which places have none, bool[texts, 1, length, 1]; all None without padding. hidden: what to add
    to scores, [texts or 1, 1, length or 1, length], None where every token sees all places.
    """

    texts: int
    length: int
    start: int
    stop: int
    sources: torch.Tensor | None
    places: torch.Tensor | None
    empty: torch.Tensor | None
    hidden: torch.Tensor | None

    def pad(self, row: torch.Tensor) -> torch.Tensor:
        """Return [texts * heads, length, width] of a row [tokens, heads, width]; padding repeats a token."""
        part = row[self.start : self.stop]
        heads, width = part.shape[1:]
        if self.sources is not None:
            part = part.flatten(1).index_select(0, self.sources)
        return part.reshape(self.texts, -1, heads, width).transpose(1, 2).reshape(-1, self.length, width)

    def pad_gradient(self, row: torch.Tensor) -> torch.Tensor:
        """As `pad`, with zeros for padding."""
        if self.empty is None:
            return self.pad(row)
        padded = self.pad(row)
        padded.view(self.texts, -1, *padded.shape[1:]).masked_fill_(self.empty, 0.0)
        return padded

    def unpad(self, padded: torch.Tensor, row: torch.Tensor) -> None:
        """Write [texts * heads, length, width] without its padding into a row [tokens, heads, width]."""
        into = row[self.start : self.stop].flatten(1)
        places = padded.view(self.texts, -1, *padded.shape[1:]).transpose(1, 2).reshape(-1, into.shape[1])
        if self.places is None:
            into.copy_(places)
        else:
            torch.index_select(places, 0, self.places, out=into)


# Every layer asks for the groups of the same batch.
@lru_cache(maxsize=8)
def _groups(lengths: tuple[int, ...], reach: int | None, causal: bool, dtype: torch.dtype) -> tuple[_Group, ...]:
    found, start = [], 0
    for steps, run in groupby(lengths, lambda length: -(-length // STEP)):
        found.append(_group(np.array(list(run)), steps * STEP, start, reach, causal, dtype))
        start = found[-1].stop
    return tuple(found)


def _group(sizes: Any, length: int, start: int, reach: int | None, causal: bool, dtype: torch.dtype) -> _Group:
    places, stop = np.arange(length), start + int(sizes.sum())
    full = places < sizes[:, None]
    seen = np.ones((1, 1, 1), bool) if full.all() else full[:, None]
    left = places[:, None] - places
    if reach is not None:
        seen = seen & (abs(left) <= reach)
    if causal:
        seen = seen & (left >= 0)
    # Not infinity: the scores of a padding token that sees nothing would become nan.
    hidden = torch.from_numpy(np.where(seen, 0.0, torch.finfo(dtype).min)).to(dtype)[:, None]
    hiding = None if seen.all() else hidden
    if full.all():
        return _Group(len(sizes), length, start, stop, None, None, None, hiding)
    sources = np.where(full, (np.cumsum(sizes) - sizes)[:, None] + places, 0).ravel()
    return _Group(
        len(sizes), length, start, stop,
        torch.from_numpy(sources), torch.from_numpy(np.flatnonzero(full)), torch.from_numpy(~full)[:, None, :, None],
        hiding,
    )  # fmt: skip


class _Products(torch.autograd.Function):
    """The textbook's softmax(scale * Q K') V of each group. Nothing passes through autograd's own small steps."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, groups: tuple[_Group, ...], scale: float
    ) -> torch.Tensor:
        answer = _empty_row(query, groups)
        saved = []
        for group in groups:
            queries, keys, values = (group.pad(row) for row in (query, key, value))
            scores = _scaled(queries, keys.transpose(1, 2), scale)
            if group.hidden is not None:
                scores.view(group.texts, -1, *scores.shape[1:]).add_(group.hidden)
            weights = scores.softmax(-1)
            group.unpad(torch.bmm(weights, values), answer)
            saved += [queries, keys, values, weights]
        ctx.save_for_backward(*saved)
        ctx.groups, ctx.scale = groups, scale
        return answer

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows = [_empty_row(gradient, ctx.groups) for _ in range(3)]
        saved = ctx.saved_tensors
        for at, group in enumerate(ctx.groups):
            queries, keys, values, weights = saved[4 * at : 4 * at + 4]
            answers = group.pad_gradient(gradient)
            of_weights = torch.bmm(answers, values.transpose(1, 2))
            of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            found = (
                _scaled(of_scores, keys, ctx.scale),
                _scaled(of_scores.transpose(1, 2), queries, ctx.scale),
                torch.bmm(weights.transpose(1, 2), answers),
            )
            for padded, row in zip(found, rows, strict=True):
                group.unpad(padded, row)
        return *rows, None, None


def _empty_row(row: torch.Tensor, groups: tuple[_Group, ...]) -> torch.Tensor:
    """Return memory for a row like this one, with zeros behind the last text."""
    made = torch.empty(row.shape, dtype=row.dtype)
    made[groups[-1].stop :] = 0.0
    return made


def _scaled(one: torch.Tensor, other: torch.Tensor, scale: float) -> torch.Tensor:
    return torch.baddbmm(one.new_empty(1), one, other, beta=0, alpha=scale)


def heads_of(network: torch.nn.Module) -> tuple[int, int] | None:
    """Return how many heads a layer of a transformer has, and how wide they are; None of other networks."""
    config: Any = getattr(network, "config", None)
    heads = getattr(config, "num_attention_heads", None)
    return (heads, getattr(config, "head_dim", None) or config.hidden_size // heads) if heads else None


def stored(job: Job, layers: int, lengths: NDArray[np.int64]) -> int:
    """Return the bytes of probabilities that products store for the backward pass of texts of these lengths."""
    heads = heads_of(job.network)
    if heads is None or job.layout != "packed" or lengths.max() > job.arithmetic.products:
        return 0
    padded = -(-lengths // STEP) * STEP
    return 2 * layers * heads[0] * int((padded**2).sum())


def choose(numbers: Arithmetic, network: torch.nn.Module, layout: Layout, context: Context) -> Arithmetic:
    """Return the arithmetic with the attention of packed rows that was measured to pay, and report the choice.

    In float32 fused attention was measured to be as fast as products on short texts, and faster on long ones. Compiled
    kernels have an attention of their own.
    """
    if numbers.kernels == "native":
        return numbers
    shape = heads_of(network)
    if layout != "packed" or numbers.dtype != torch.bfloat16 or shape is None or too_small(network):
        return numbers
    heads, width = shape
    threads = max(1, torch.get_num_threads() // numbers.lanes)
    about = {**machine(), "threads": threads, "attention": [heads, width], "lengths": [each[-1] for each in MEASURED]}
    found, how = measured_once(about, context, lambda: _measure(heads, width, threads), {"longest": int})
    longest = found["longest"]
    choice = f"products, texts of at most {longest} tokens" if longest else "fused"
    context.emit(Chosen(what="attention", choice=choice, why=how))
    return replace(numbers, products=longest)


def _measure(heads: int, width: int, threads: int) -> tuple[dict[str, Any], str]:
    """Return the longest text for which products pay, and how many times as fast as fused attention they are."""
    before, longest, found = torch.get_num_threads(), 0, []
    torch.set_num_threads(threads)
    try:
        for lengths in MEASURED:
            ratio = _ratio(lengths, heads, width)
            found.append(f"{ratio:.1f} at {lengths[-1]} tokens")
            if ratio < PAYS:
                break
            longest = lengths[-1]
    finally:
        torch.set_num_threads(before)
    return {"longest": longest}, f"speed of products over fused: {', '.join(found)}"


def _ratio(lengths: tuple[int, ...], heads: int, width: int, seconds: float = 0.1) -> float:
    """Return the least time of fused attention, forward and backward, over that of products, in turn."""
    drawn = torch.randn(3, sum(lengths), heads, width, generator=torch.Generator().manual_seed(0))
    rows = [row.bfloat16().requires_grad_() for row in drawn]
    gradient = rows[0].detach()

    def once(attend: Callable[..., torch.Tensor]) -> float:
        begun = time.perf_counter()
        with torch.enable_grad():
            torch.autograd.grad(attend(*rows, lengths), rows, gradient)
        return time.perf_counter() - begun

    fused: list[float] = []
    ours: list[float] = []
    begun = time.perf_counter()
    while len(ours) < 3 or time.perf_counter() - begun < seconds:
        fused.append(once(_fused))
        ours.append(once(by_products))
    # The first of each also prepares its kernels.
    return min(fused[1:]) / min(ours[1:])


def _fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...]) -> torch.Tensor:
    texts = zip(*(torch.split(row.transpose(0, 1)[None], list(lengths), 2) for row in (query, key, value)), strict=True)
    return torch.cat([functional.scaled_dot_product_attention(*text)[0].transpose(0, 1) for text in texts])
