"""The processes of one training: each batch is shared, and its gradient summed.

The rows of a batch are a function of seed and step, so every process knows them and takes its share, long and short
texts. Each divides its losses by what the whole batch counts, and one sum over all processes then gives the
batch's gradient: exactly, whatever micro-batches or layout each has used, and where one has no rows at all.
DistributedDataParallel would average instead, needs a backward pass in every process, and would not see gradients that
embeddings add by row; it overlaps the sum with the backward pass, which over NVLink is a few percent of a step.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import distributed

from .. import state as states
from ..batches import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..state import State


# How far one process may be behind another within a step; one that has died is noticed at once, by other means.
PATIENCE = datetime.timedelta(hours=6)
PAUSE = 0.0003


class Team(Protocol):
    """The processes of a training, as each of them sees it; rank 0 is the run's own."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...

    def begin(self, step: int) -> None:
        """Let all processes begin that step."""

    def part(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's share of a batch."""

    def total(
        self, network: torch.nn.Module, losses: torch.Tensor, mine: list[int], rows: NDArray[np.int64]
    ) -> tuple[torch.Tensor, list[int]]:
        """Leave the whole batch's gradient in the network; return all losses, and their rows."""

    def waiting(self) -> AbstractContextManager[None]:
        """Give rank 0 all threads while the others wait for it."""

    def states(self) -> list[dict[str, Any]]:
        """Return what a checkpoint must store of each process except rank 0."""

    def restore(self, saved: Sequence[dict[str, Any]], state: State) -> None:
        """Restore this process from `states`; a ValueError where the checkpoint has another number of processes."""


@dataclass(frozen=True, slots=True)
class SingleProcess:
    """One process: nothing is shared."""

    rank: int = 0
    size: int = 1

    def begin(self, step: int) -> None:
        pass

    def part(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows

    def total(
        self, network: torch.nn.Module, losses: torch.Tensor, mine: list[int], rows: NDArray[np.int64]
    ) -> tuple[torch.Tensor, list[int]]:
        return losses, mine

    def waiting(self) -> AbstractContextManager[None]:
        return nullcontext()

    def states(self) -> list[dict[str, Any]]:
        return []

    def restore(self, saved: Sequence[dict[str, Any]], state: State) -> None:
        _check_size(saved, 1)


class Leader(Protocol):
    """The other processes, as rank 0 sees them."""

    def begin(self, step: int) -> None: ...
    def states(self) -> list[dict[str, Any]]: ...
    def check(self) -> None:
        """Raise the reason if a process has ended."""

    def lost(self, error: RuntimeError) -> Exception:
        """Return the reason why a sum failed."""


class LostError(Exception):
    """The connection to another process is lost; rank 0 finds out why."""


@dataclass(slots=True)
class ProcessGroup:
    """One of several processes. leader: in rank 0 only. threads: those of all processes together."""

    rank: int
    size: int
    group: Any
    device: torch.device
    leader: Leader | None = None
    threads: int = 1
    _trained: list[torch.nn.Parameter] = field(default_factory=list)
    _used: list[bool] = field(default_factory=list)
    _buffer: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def begin(self, step: int) -> None:
        if self.leader:
            self.leader.begin(step)

    def part(self, rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        return share(rows, lengths, self.size)[self.rank]

    def total(
        self, network: torch.nn.Module, losses: torch.Tensor, mine: list[int], rows: NDArray[np.int64]
    ) -> tuple[torch.Tensor, list[int]]:
        """Sum one flat buffer: all gradients, which of them there are, and the loss of each row at its place."""
        trained = [p for p in network.parameters() if p.requires_grad]
        whole, gradients, present, each = self._parts_of_buffer(trained, len(rows))
        _copy([p.grad for p in trained], gradients)
        present.copy_(torch.tensor([float(p.grad is not None) for p in trained]))
        place = {int(row): at for at, row in enumerate(rows)}
        each.zero_()
        each[torch.tensor([place[row] for row in mine], dtype=torch.long, device=self.device)] = losses.float()
        self._sum(whole)
        taking = self._taking_part(trained, present)
        used = [(p, total) for p, total, taken in zip(trained, gradients, taking, strict=True) if taken]
        for parameter, _ in used:
            parameter.grad = torch.empty_like(parameter) if parameter.grad is None else parameter.grad
        _copy([total for _, total in used], [p.grad for p, _ in used if p.grad is not None])
        return each.clone(), [int(row) for row in rows]

    def _taking_part(self, trained: list[torch.nn.Parameter], present: torch.Tensor) -> list[bool]:
        """Return for each trained parameter whether any process has a gradient of it."""
        if self.device.type == "cpu" or [*map(id, trained)] != [*map(id, self._trained)]:
            # On a GPU not in each step, since this waits for it: the answer is the same until others are trained.
            self._trained, self._used = trained, [count > 0 for count in present.tolist()]
        return self._used

    @contextmanager
    def waiting(self) -> Iterator[None]:
        own = torch.get_num_threads()
        torch.set_num_threads(max(own, self.threads))
        try:
            yield
        finally:
            torch.set_num_threads(own)

    def states(self) -> list[dict[str, Any]]:
        return self.leader.states() if self.leader else []

    def restore(self, saved: Sequence[dict[str, Any]], state: State) -> None:
        _check_size(saved, self.size)
        if self.rank:
            mine = saved[self.rank - 1]
            states.set_generators(mine["generators"], self.device)
            state.micro_batch, state.halvings = mine["micro_batch"], mine["halvings"]

    def _parts_of_buffer(
        self, trained: Sequence[torch.Tensor], rows: int
    ) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Return the buffer and its parts; it is reused in each step, since fresh pages would cost as much again."""
        sizes = [p.numel() for p in trained]
        needed = sum(sizes) + len(sizes) + rows
        if len(self._buffer) < needed:
            self._buffer = torch.empty(needed, device=self.device)
        whole = self._buffer[:needed]
        *gradients, present, each = torch.split(whole, [*sizes, len(sizes), rows])
        return whole, [part.view_as(p) for part, p in zip(gradients, trained, strict=True)], present, each

    def _sum(self, buffer: torch.Tensor) -> None:
        work = self.group.allreduce([buffer])
        try:
            # Not `wait` at once: a second Ctrl-C, or the end of a process, must be noticed meanwhile.
            while self.device.type == "cpu" and not work.is_completed():
                if self.leader:
                    self.leader.check()
                time.sleep(PAUSE)
            work.wait()
        except RuntimeError as error:
            raise (self.leader.lost(error) if self.leader else LostError(str(error))) from None


def connect(folder: Path, rank: int, size: int, device: torch.device) -> Any:
    """Join the group that meets in a folder: without a port to choose, on the loopback device only.

    Not the process's default group: another engine in this process may be training too.
    """
    kinds: Any = distributed
    store = kinds.FileStore(str(folder / "meeting"), size)
    if device.type == "cuda":
        nccl = kinds.ProcessGroupNCCL.Options()
        nccl._timeout = PATIENCE
        return kinds.ProcessGroupNCCL(store, rank, size, nccl)
    gloo = kinds.ProcessGroupGloo._Options()
    gloo._devices = [kinds.ProcessGroupGloo.create_device(hostname="127.0.0.1")]
    gloo._timeout = PATIENCE
    return kinds.ProcessGroupGloo(store, rank, size, gloo)


def _copy(values: Sequence[torch.Tensor | None], into: Sequence[torch.Tensor]) -> None:
    """Copy tensors in as few launches as possible, zeros where there is none."""
    pairs = [(value, place) for value, place in zip(values, into, strict=True) if value is not None]
    if pairs:
        torch._foreach_copy_([place for _, place in pairs], [value for value, _ in pairs])
    for value, place in zip(values, into, strict=True):
        if value is None:
            place.zero_()


def _check_size(saved: Sequence[dict[str, Any]], size: int) -> None:
    if len(saved) + 1 != size:
        raise ValueError(f"it was made with trainer.devices {len(saved) + 1}, not {size}")
