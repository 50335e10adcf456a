"""The throughput of a training: tokens per second, padding, share of the peak, time of each part."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from textclf import Accounted, Context

from . import precision
from .device import matmul_precision
from .precision import Mode, shapes_in

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .job import Job
    from .state import State


TRAINING = 3  # a training step is a forward pass and a backward pass of twice its products
_BURST = 0.2


@dataclass(frozen=True, slots=True)
class Products:
    """The matrix products of a network's layers: the (out, in) of each that every token goes through."""

    linears: tuple[tuple[int, int], ...]
    layers: int

    @property
    def width(self) -> int:
        """Return the width of attention: that of the layers' narrowest product."""
        return min(size for shape in self.linears for size in shape)

    @property
    def weights(self) -> int:
        return sum(out * into for out, into in self.linears)

    def forward_flops(self, tokens: int, squares: float) -> float:
        """Return the nominal FLOPs of one forward pass, matrix products only.

        tokens: real ones. squares: the sum of L * L over the texts, each of L tokens. For each token 2 * weights, which
        for BERT is 2 * layers * (4 h^2 + 2 h f), and for attention 4 * layers * h * q, where q = squares / tokens. What
        padding costs, and what the last layer is spared, is not in it.
        """
        return 2.0 * self.weights * tokens + 4.0 * self.layers * self.width * squares


def products_of(network: torch.nn.Module) -> Products | None:
    """Return the products of the largest stack of layers in a network, or None where it has no stack."""
    stacks = [m for m in network.modules() if isinstance(m, torch.nn.ModuleList)]
    stack = max(stacks, key=lambda m: sum(p.numel() for p in m.parameters()), default=torch.nn.ModuleList())
    linears = tuple(shapes_in(stack))
    return Products(linears, len(stack)) if linears else None


def peak(products: Products, mode: Mode, device: torch.device) -> float:
    """Return the FLOP/s of bursts of a network's own products, on random data, in a mode: the best of 0.2 seconds."""
    rows = 512 if device.type == "cpu" else 16_384
    generator = torch.Generator(device).manual_seed(0)
    shapes = Counter(products.linears)
    dtype = torch.bfloat16 if mode == "bf16" else torch.float32

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator, device=device).to(dtype)

    ready = {shape: (draw(rows, shape[1]), draw(*shape)) for shape in shapes}
    best = dict.fromkeys(shapes, float("inf"))
    with torch.inference_mode(), matmul_precision("medium" if mode == "medium" else "highest", device):
        begun = time.perf_counter()
        for turn in range(200):
            for shape, (inputs, weight) in ready.items():
                best[shape] = min(best[shape], _seconds(inputs, weight, device))
            if turn and time.perf_counter() - begun > _BURST:
                break
    seconds = sum(count * best[shape] for shape, count in shapes.items())
    return 2.0 * rows * products.weights / seconds


def _seconds(inputs: torch.Tensor, weight: torch.Tensor, device: torch.device) -> float:
    _wait(device)
    start, times = time.perf_counter(), 1 if device.type == "cpu" else 8
    for _ in range(times):
        functional.linear(inputs, weight)
    _wait(device)
    return (time.perf_counter() - start) / times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def accounted(job: Job, state: State) -> Iterator[None]:
    """Report the throughput of a training from `state` to its end; of a resumed one, only of the part since then."""
    first, products = state.step, products_of(job.network)
    before = _peak(job, products)
    yield
    if state.step == first:
        return
    job.monitor.lap("saving")  # the loop's end waits for the last checkpoint
    parts = job.monitor.parts()
    # The tokens of the validation are not among those that were trained on.
    seconds = sum(parts.values()) - parts.get("judging", 0.0)
    share = None
    if before and products:
        work = TRAINING * job.unfreezing.mean_work(first, state.step)
        flops = work * products.forward_flops(job.monitor.tokens, job.monitor.squares)
        best = max(before, _peak(job, products) or 0.0) * job.team.size
        share = round(flops / seconds / best, 4)
    job.context.emit(
        Accounted(
            stage=job.stage,
            tokens=job.monitor.tokens,
            seconds=round(sum(parts.values()), 3),
            tokens_per_second=round(job.monitor.tokens / seconds, 1),
            padding=round(job.monitor.padding(), 4),
            peak_share=share,
            parts={name: round(value, 3) for name, value in parts.items()},
            first_step=first,
        )
    )


@contextmanager
def scored(lengths: NDArray[np.int64], context: Context) -> Iterator[None]:
    """Report the throughput of scoring texts of these lengths, which ends with scores on the host."""
    began, tokens = time.perf_counter(), int(lengths.sum())
    yield
    seconds = time.perf_counter() - began
    if tokens:
        rate = round(tokens / seconds, 1)
        context.emit(Accounted(stage="score", tokens=tokens, seconds=round(seconds, 3), tokens_per_second=rate))


def _peak(job: Job, products: Products | None) -> float | None:
    """Return the FLOP/s of the machine's best mode at the network's shapes, or None where they are too small."""
    if products is None:
        return None
    if job.device.type == "cpu":
        found = precision.find(job.network, job.context)
        return peak(products, found.fastest, job.device) if found else None
    return peak(products, "bf16" if job.device.type == "cuda" else "highest", job.device)
