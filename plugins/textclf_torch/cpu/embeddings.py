"""Gradients of large embedding tables on the CPU, of only the rows that a batch touched.

PyTorch fills and adds a gradient of the whole table in each backward pass: 47 MB for the words of BERT, an eighth of a
step on short texts. Adding rows to one table that stays in memory gives the same sums.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from . import kernels

LARGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to add to a table's gradient: values[i] belongs to row ids[i]."""

    table: torch.Tensor
    ids: torch.Tensor
    values: torch.Tensor


class RowGradients:
    """The gradients of large tables: added at once, or deferred by a thread that shares the tables with others.

    native: a compiled kernel adds the rows, where no thread of torch waits for others.
    """

    def __init__(self, *, native: bool = False) -> None:
        self._native = native
        self._local = threading.local()
        self._touched: dict[int, list[torch.Tensor]] = {}

    def add_or_defer(self, rows: Rows) -> None:
        waiting: list[Rows] | None = getattr(self._local, "waiting", None)
        if waiting is None:
            self.add(rows)
        else:
            waiting.append(rows)

    def add(self, rows: Rows) -> None:
        table = rows.table
        if table.grad is None:
            table.grad = torch.zeros_like(table)
        if self._native:
            kernels.add_rows(table.grad, rows.ids.contiguous(), rows.values.to(table.dtype).contiguous())
        else:
            table.grad.index_add_(0, rows.ids, rows.values.to(table.dtype))
        self._touched.setdefault(id(table), []).append(rows.ids)

    def touched(self, table: torch.Tensor) -> torch.Tensor | None:
        """Return the rows of a table that were added to, int64[rows]; None for other tables, or where none was."""
        ids = self._touched.get(id(table))
        return torch.unique(torch.cat(ids)) if ids else None

    def clear(self) -> None:
        self._touched.clear()

    @contextmanager
    def deferred(self) -> Iterator[list[Rows]]:
        """Yield the list in which this thread's rows wait to be added."""
        waiting: list[Rows] = []
        self._local.waiting = waiting
        try:
            yield waiting
        finally:
            del self._local.waiting


@contextmanager
def gradients_by_row(network: torch.nn.Module, large: int = LARGE, *, native: bool = False) -> Iterator[RowGradients]:
    """Let the large embeddings of a network on the CPU add to their gradients row by row."""
    gradients, tables = RowGradients(native=native), _tables(network, large)
    for table in tables:
        table.forward = partial(_look_up, table, gradients)  # type: ignore[method-assign]
    try:
        yield gradients
    finally:
        for table in tables:
            del table.forward


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, ids: torch.Tensor, padding: int | None, gradients: RowGradients
    ) -> torch.Tensor:
        ctx.weight, ctx.ids, ctx.padding, ctx.gradients = weight, ids, padding, gradients
        return functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, None, None, None]:
        rows, ids = gradient.reshape(-1, gradient.shape[-1]), ctx.ids.reshape(-1)
        if ctx.padding is not None:
            rows = rows.masked_fill((ids == ctx.padding)[:, None], 0.0)
        ctx.gradients.add_or_defer(Rows(ctx.weight, ids, rows))
        return None, None, None, None


def _look_up(table: torch.nn.Embedding, gradients: RowGradients, ids: torch.Tensor) -> torch.Tensor:
    if not (torch.is_grad_enabled() and table.weight.requires_grad):
        return functional.embedding(ids, table.weight)
    found: torch.Tensor = _Lookup.apply(table.weight, ids, table.padding_idx, gradients)  # type: ignore[no-untyped-call]
    return found


def _tables(network: torch.nn.Module, large: int) -> list[torch.nn.Embedding]:
    # A table that another module reads as well, such as a tied output layer, has gradients in other rows too.
    owners = Counter(id(p) for m in network.modules() for p in m.parameters(recurse=False))
    tables = [
        m
        for m in network.modules()
        if type(m) is torch.nn.Embedding and m.weight.numel() >= large and owners[id(m.weight)] == 1
    ]
    return [m for m in tables if not (m.sparse or m.scale_grad_by_freq or m.max_norm is not None)]
