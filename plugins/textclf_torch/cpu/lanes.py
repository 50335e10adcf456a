"""Two threads of the CPU that each carry half of a batch through the network.

Kernels that share one product among all cores wait for each other at its end, hundreds of times a step; where another
process holds a core for a moment, all wait for it. Two lanes with half of the cores each meet once a step. The rows of
a lane, its dropout and the order in which gradients are added are fixed, so the same run comes to the same bits.
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

from ..distributed.team import share
from ..precision import shapes_in
from .dropout import Masks, drawn
from .embeddings import Added, RowGradients, gradients_by_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from textclf import Context, Layout, TokenEncoder, Tokens

    from ..options import TorchOptions
    from ..precision import Arithmetic


LARGE = 1 << 16
T = TypeVar("T")


def abreast(pool: ThreadPoolExecutor, count: int, work: Callable[[int], T]) -> list[T]:
    """Do the work of each lane with its share of the threads, the first in this thread; return when all have ended."""
    threads = torch.get_num_threads()

    def lane(number: int) -> T:
        torch.set_num_threads(max(1, threads // count))  # those of the thread that calls
        return work(number)

    try:
        others = [pool.submit(lane, number) for number in range(1, count)]
        try:
            found = [lane(0)]
        finally:
            # Nothing may run on once an error is on its way: the work may be done again.
            wait(others)
        return found + [other.result() for other in others]
    finally:
        torch.set_num_threads(threads)


def futile(network: torch.nn.Module, threads: int) -> str:
    """Say why threads would gain nothing by working on texts of their own, or return an empty string."""
    if threads < 2:
        return "there is one thread"
    large = any(out * into >= LARGE for out, into in shapes_in(network))
    return "" if large else "the network is small"


def for_scoring(network: torch.nn.Module, encoder: object, device: torch.device) -> int:
    """Return how many threads may score batches beside one another, each with one core, where `encoder.concurrent`."""
    threads = torch.get_num_threads()
    alone = device.type != "cpu" or not getattr(encoder, "concurrent", False) or futile(network, threads)
    return 1 if alone else threads


MOST = 2  # each lane has a gradient of its own, and texts enough for products of good size

Groups = Sequence["NDArray[np.int64]"]
Work = Callable[[Groups], list[torch.Tensor]]


class Lanes(Protocol):
    """How a batch is carried through the network: `work` calls `differentiate` for each of its micro-batches.

    rows: what knows the gradients of large tables by row, where that is on.
    """

    @property
    def rows(self) -> RowGradients | None: ...

    def begin(self, step: int) -> None:
        """Begin a step, or begin it anew: dropout depends on nothing that was drawn before."""

    def cut(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the rows of each lane."""

    def carry(self, work: Work, lanes: Sequence[Groups]) -> list[torch.Tensor]:
        """Do the work of each lane, leave the sum of all gradients in the network, and return what work returned."""

    def differentiate(self, loss: torch.Tensor) -> None: ...


@dataclass(frozen=True, slots=True)
class OneLane:
    """Everything in the calling thread."""

    masks: Masks | None = None
    rows: RowGradients | None = None

    def begin(self, step: int) -> None:
        if self.masks:
            self.masks.begin(step)

    def cut(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return [rows]

    def carry(self, work: Work, lanes: Sequence[Groups]) -> list[torch.Tensor]:
        if self.masks:
            self.masks.enter(0)
        return work(lanes[0])

    def differentiate(self, loss: torch.Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class _Gradient:
    """What one lane has found: the gradients of the parameters, and the rows to add to large tables."""

    tensors: list[torch.Tensor | None]
    added: list[Added] = field(default_factory=list)


class SideBySide:
    """Several lanes. The calling thread is the first of them."""

    def __init__(self, network: torch.nn.Module, count: int, masks: Masks, rows: RowGradients) -> None:
        self._network, self._parameters = network, list(network.parameters())
        self._count, self._masks, self.rows = count, masks, rows
        self._pool = ThreadPoolExecutor(count - 1, "lane")
        self._own = threading.local()

    def close(self) -> None:
        self._pool.shutdown()

    def begin(self, step: int) -> None:
        self._parameters = [p for p in self._network.parameters() if p.requires_grad]
        self._masks.begin(step)

    def cut(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return share(rows, lengths, self._count)

    def carry(self, work: Work, lanes: Sequence[Groups]) -> list[torch.Tensor]:
        found = abreast(self._pool, self._count, lambda lane: self._lane(lane, work, lanes[lane]))
        for _, gradient in found:
            self._add(gradient)
        return [losses for lane, _ in found for losses in lane]

    def differentiate(self, loss: torch.Tensor) -> None:
        gradient: _Gradient = self._own.gradient
        # Not `backward`: it would add to the gradients that all lanes share. What is large comes by row.
        found = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        gradient.tensors = _sum(gradient.tensors, found) if gradient.tensors else list(found)

    def _lane(self, lane: int, work: Work, groups: Groups) -> tuple[list[torch.Tensor], _Gradient]:
        self._masks.enter(lane)
        self._own.gradient = gradient = _Gradient([])
        try:
            with self.rows.put_off() as gradient.added:
                return work(groups), gradient
        finally:
            del self._own.gradient

    def _add(self, gradient: _Gradient) -> None:
        for parameter, tensor in zip(self._parameters, gradient.tensors, strict=False):
            if tensor is not None:
                parameter.grad = tensor if parameter.grad is None else parameter.grad.add_(tensor)
        for each in gradient.added:
            self.rows.add(each)


def _sum(one: Sequence[torch.Tensor | None], other: Sequence[torch.Tensor | None]) -> list[torch.Tensor | None]:
    return [a if b is None else b if a is None else a.add_(b) for a, b in zip(one, other, strict=True)]


@contextmanager
def opened(network: torch.nn.Module, device: torch.device, seed: tuple[int, ...], count: int) -> Iterator[Lanes]:
    """Open so many lanes through a network, and what makes its steps on the CPU cheaper; seed: of dropout."""
    if device.type != "cpu":
        yield OneLane()
        return
    with gradients_by_row(network) as rows, drawn(network, seed) as masks:
        if count == 1:
            yield OneLane(masks, rows)
            return
        side_by_side = SideBySide(network, count, masks, rows)
        try:
            yield side_by_side
        finally:
            side_by_side.close()


def choose(
    options: TorchOptions,
    numbers: Arithmetic,
    network: torch.nn.Module,
    encoder: TokenEncoder,
    tokens: Tokens,
    layout: Layout,
    context: Context,
) -> Arithmetic:
    """Return the arithmetic with as many lanes as an option says, or as pay, and tell the run."""
    if next(network.parameters()).device.type != "cpu":
        return numbers
    count, why = options.lanes or MOST, "as asked" if options.lanes else "one product on all threads makes them wait"
    threads = max(1, torch.get_num_threads() // options.devices)
    reason = ("" if options.lanes else futile(network, threads)) or _unsafe(network, encoder, tokens, layout)
    if count > 1 and reason:
        count, why = 1, reason
    context.emit(Chosen(what="lanes", choice=count, why=why, options={"trainer.lanes": count}))
    return replace(numbers, lanes=count)


def _unsafe(network: torch.nn.Module, encoder: TokenEncoder, tokens: Tokens, layout: Layout) -> str:
    """Say why threads must not share the network, or return an empty string.

    An encoder says by its attribute `concurrent` that several threads may run its networks at once.
    """
    if not getattr(encoder, "concurrent", False):
        return "the encoder does not say that threads may share its network"
    batch = encoder.collate(tokens, np.arange(min(2, len(tokens))), layout, torch.device("cpu"))
    return "the network draws random numbers in no fixed order" if _draws(network, batch) else ""


def _draws(network: torch.nn.Module, batch: dict[str, Any]) -> bool:
    """Tell whether a network in training draws from the generator that all threads share, beside its dropout."""
    before = torch.get_rng_state()
    with drawn(network, (0,)) as masks, torch.no_grad():
        masks.begin(0)
        masks.enter(0)
        network.train()(**batch)
    changed = not torch.equal(before, torch.get_rng_state())
    torch.set_rng_state(before)
    return changed
