"""Lanes: two threads of a CPU that each carry half of a batch through the network.

Kernels that share one product among all cores wait for each other at its end, hundreds of times a step; where another
process holds a core for a moment, all wait for it. Two threads with half of the cores each meet once a step. The rows
of a lane, its dropout and the order in which gradients are added are fixed, so the same run has the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch

from textclf import Chosen

from ..batches import share
from ..device import one_thread
from ..precision import shapes_in
from . import attention
from .dropout import Masks, seeded_dropout
from .embeddings import RowGradients, Rows, gradients_by_row
from .fused_layer import FusedLayers, LayerParts, fused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from textclf import Context, Layout, TokenEncoder, Tokens

    from ..options import TorchOptions
    from ..precision import Arithmetic


LARGE = 1 << 16  # weights of a product that is worth a thread of its own
MOST = 2  # each lane has a gradient of its own, and needs texts enough for products of good size
T = TypeVar("T")
Groups = Sequence["NDArray[np.int64]"]
Work = Callable[[Groups], list[torch.Tensor]]


class Lanes(Protocol):
    """How a batch is carried through the network: `work` calls `differentiate` for each of its micro-batches.

    rows: the gradients of large tables by row, where these are on. layers: those that go through kernels.
    """

    @property
    def rows(self) -> RowGradients | None: ...
    @property
    def layers(self) -> FusedLayers | None: ...

    def begin(self, step: int) -> None:
        """Begin a step, or begin it again: dropout depends on nothing that was drawn before."""

    def cut(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the rows of each lane."""

    def carry(self, work: Work, lanes: Sequence[Groups]) -> list[torch.Tensor]:
        """Do the work of each lane, leave the sum of all gradients in the network, and return all that was returned."""

    def differentiate(self, loss: torch.Tensor) -> None:
        """Add the gradient of a loss to that of the lane."""


@dataclass(frozen=True, slots=True)
class OneLane:
    """The whole batch in the calling thread."""

    masks: Masks | None = None
    rows: RowGradients | None = None
    layers: FusedLayers | None = None

    def begin(self, step: int) -> None:
        if self.masks:
            self.masks.begin(step)

    def cut(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return [rows]

    def carry(self, work: Work, lanes: Sequence[Groups]) -> list[torch.Tensor]:
        if self.masks:
            self.masks.enter(0)
        if self.layers is None:
            return work(lanes[0])
        self.layers.enter(0)
        losses = work(lanes[0])
        self.layers.collect()
        return losses

    def differentiate(self, loss: torch.Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class _Gradient:
    """The gradient of one lane: of the parameters, and the rows to add to large tables."""

    tensors: list[torch.Tensor | None] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)


class ParallelLanes:
    """Several lanes, the first in the calling thread."""

    def __init__(
        self, network: torch.nn.Module, count: int, masks: Masks, rows: RowGradients, layers: FusedLayers
    ) -> None:
        self._network, self._parameters = network, list(network.parameters())
        self._count, self._masks, self.rows, self.layers = count, masks, rows, layers
        self._pool = ThreadPoolExecutor(count - 1, "lane")
        self._local = threading.local()

    def close(self) -> None:
        self._pool.shutdown()

    def begin(self, step: int) -> None:
        self._parameters = [p for p in self._network.parameters() if p.requires_grad]
        self._masks.begin(step)

    def cut(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return share(rows, lengths, self._count)

    def carry(self, work: Work, lanes: Sequence[Groups]) -> list[torch.Tensor]:
        def carry_lane(lane: int) -> tuple[list[torch.Tensor], _Gradient]:
            self._masks.enter(lane)
            self.layers.enter(lane)
            self._local.gradient = gradient = _Gradient()
            try:
                with self.rows.deferred() as gradient.rows:
                    return work(lanes[lane]), gradient
            finally:
                del self._local.gradient  # it is as large as the network

        results = run_in_lanes(self._pool, self._count, carry_lane)
        # In the order of the lanes, whichever ended first: sums of floating-point numbers depend on their order.
        with one_thread():
            for _, gradient in results:
                for parameter, tensor in zip(self._parameters, gradient.tensors, strict=False):
                    if tensor is not None:
                        parameter.grad = tensor if parameter.grad is None else parameter.grad.add_(tensor)
                for rows in gradient.rows:
                    self.rows.add(rows)
        self.layers.collect()
        return [losses for lane, _ in results for losses in lane]

    def differentiate(self, loss: torch.Tensor) -> None:
        gradient: _Gradient = self._local.gradient
        # Not `backward`: it would add to the gradients that all lanes share. Large tables add theirs by row.
        found = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        gradient.tensors = _sum(gradient.tensors, found) if gradient.tensors else list(found)


def _sum(one: Sequence[torch.Tensor | None], other: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
    return [a if b is None else b if a is None else a.add_(b) for a, b in zip(one, other, strict=True)]


def run_in_lanes(pool: ThreadPoolExecutor, count: int, work: Callable[[int], T]) -> list[T]:
    """Do the work of each lane with its share of the process's threads; lane 0 is the calling thread."""
    threads = torch.get_num_threads()
    each = max(1, threads // count)
    try:
        others = [pool.submit(_with_threads, each, work, lane) for lane in range(1, count)]
        torch.set_num_threads(each)
        try:
            results = [work(0)]
        finally:
            # No lane may still run when an error is raised here: the work may be done again.
            wait(others)
        return results + [other.result() for other in others]
    finally:
        torch.set_num_threads(threads)


def _with_threads(threads: int, work: Callable[[int], T], lane: int) -> T:
    torch.set_num_threads(threads)  # those of the thread that calls
    return work(lane)


@contextmanager
def opened(
    network: torch.nn.Module,
    device: torch.device,
    seed: tuple[int, ...],
    count: int,
    layers: Sequence[LayerParts] = (),
) -> Iterator[Lanes]:
    """Open so many lanes through a network, with the dropout and embedding gradients of the CPU.

    seed: of dropout. layers: those that go through kernels.
    """
    if device.type != "cpu":
        yield OneLane()
        return
    with (
        gradients_by_row(network, native=bool(layers)) as rows,
        seeded_dropout(network, seed) as masks,
        fused(layers, masks) as through,
    ):
        if count == 1:
            yield OneLane(masks, rows, through)
            return
        lanes = ParallelLanes(network, count, masks, rows, through)
        try:
            yield lanes
        finally:
            lanes.close()


def choose(
    options: TorchOptions,
    numbers: Arithmetic,
    network: torch.nn.Module,
    encoder: TokenEncoder,
    tokens: Tokens,
    layout: Layout,
    context: Context,
) -> Arithmetic:
    """Return the arithmetic with as many lanes as the option names, or as pay, and report the choice.

    It has the attention, too, that pays on the threads of a lane.
    """
    if next(network.parameters()).device.type != "cpu":
        return numbers
    count = options.lanes or MOST
    why = "as requested" if options.lanes else "one product on all threads makes them wait"
    threads = max(1, torch.get_num_threads() // options.devices)
    reason = ("" if options.lanes else too_small(network, threads)) or _unsafe(network, encoder, tokens, layout)
    if count > 1 and reason:
        count, why = 1, reason
    context.emit(Chosen(what="lanes", choice=count, why=why, options={"trainer.lanes": count}))
    return attention.choose(replace(numbers, lanes=count), network, layout, context)


def for_scoring(network: torch.nn.Module, encoder: object, device: torch.device) -> int:
    """Return how many threads may score batches at once, each with one core, where `encoder.concurrent` allows it."""
    threads = torch.get_num_threads()
    alone = device.type != "cpu" or not getattr(encoder, "concurrent", False) or too_small(network, threads)
    return 1 if alone else threads


def too_small(network: torch.nn.Module, threads: int) -> str:
    """Return why threads would gain nothing from texts of their own, or an empty string."""
    if threads < 2:
        return "there is one thread"
    large = any(out * into >= LARGE for out, into in shapes_in(network))
    return "" if large else "the network is small"


def _unsafe(network: torch.nn.Module, encoder: TokenEncoder, tokens: Tokens, layout: Layout) -> str:
    """Return why threads must not share the network, or an empty string.

    By its attribute `concurrent` an encoder declares that several threads may run its networks at once.
    """
    if not getattr(encoder, "concurrent", False):
        return "the encoder does not say that threads may share its network"
    batch = encoder.collate(tokens, np.arange(min(2, len(tokens))), layout, torch.device("cpu"))
    return "the network draws random numbers in no fixed order" if _draws(network, batch) else ""


def _draws(network: torch.nn.Module, batch: dict[str, Any]) -> bool:
    """Tell whether a network in training draws from the generator that all threads share, apart from its dropout."""
    before = torch.get_rng_state()
    with seeded_dropout(network, (0,)) as masks, torch.no_grad():
        masks.begin(0)
        masks.enter(0)
        network.train()(**batch)
    changed = not torch.equal(before, torch.get_rng_state())
    torch.set_rng_state(before)
    return changed
