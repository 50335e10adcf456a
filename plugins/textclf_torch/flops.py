"""Owns what a network's layers cost by formula, and what this machine's matrix products can do at their shapes."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import torch
from torch.nn import functional

from .calibration import Mode
from .products import shapes_in
from .runtime import matmul_precision

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
