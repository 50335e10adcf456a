"""How a figure is claimed: alternating blocks, the median of their ratios with its interval, the matrix peak."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 5000


def say(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True, slots=True)
class Extent:
    """How long to measure."""

    pairs: int
    seconds: float
    short: bool
    profile: bool
    settings: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with the 95 % interval of its bootstrap."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} (95 % interval {self.low:.2f} to {self.high:.2f})"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the median of values, and between which values it lies when they are drawn anew."""
    drawn = np.random.default_rng(0).choice(np.asarray(values, float), (DRAWS, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return Estimate(float(np.median(values)), float(low), float(high))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Return the median of the pairs' ratios."""
    return estimate([a / b for a, b in zip(ours, theirs, strict=True)])


def alternate(sides: Mapping[str, Callable[[], float]], pairs: int) -> Iterator[dict[str, float]]:
    """Yield what each side measures, in turn; every second round backwards, so that drift favours nobody."""
    for pair in range(pairs):
        names = list(sides) if pair % 2 == 0 else list(sides)[::-1]
        found = {name: sides[name]() for name in names}
        yield {name: found[name] for name in sides}


@dataclass(frozen=True, slots=True)
class Shape:
    """A transformer encoder's sizes, by which its nominal work is counted."""

    layers: int
    hidden: int
    inner: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        return cls(config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"])

    def forward(self, lengths: Sequence[int]) -> float:
        """Return the FLOPs of a forward pass a real token, matrix products only: padding counts for nothing."""
        each = np.asarray(lengths, float)
        q = float((each**2).sum() / each.sum())
        h, f = self.hidden, self.inner
        return 2 * self.layers * (4 * h * h + 2 * h * f) + 4 * self.layers * h * q

    def training(self, lengths: Sequence[int]) -> float:
        return 3 * self.forward(lengths)


class Peak:
    """The FLOPs a second of `F.linear` on random data at a network's own shapes, in each mode of the machine."""

    def __init__(self, shape: Shape, rows: int, device: str = "cpu", seconds: float = 0.4) -> None:
        self._products = [(shape.hidden, shape.hidden)] * 4 + [
            (shape.hidden, shape.inner), (shape.inner, shape.hidden)
        ]  # fmt: skip
        self._rows, self._device, self._seconds = rows, device, seconds
        self.bursts: list[dict[str, float]] = []

    def burst(self) -> dict[str, float]:
        """Measure all modes once more; call it before, between and after the blocks."""
        import torch

        before = torch.get_float32_matmul_precision()
        try:
            modes = {"fp32": "highest", "fp32 medium": "medium", "bf16": "highest"}
            found = {mode: self._mode(mode, matmul) for mode, matmul in modes.items()}
        finally:
            torch.set_float32_matmul_precision(before)
        self.bursts.append(found)
        return found

    def _mode(self, mode: str, matmul: str) -> float:
        import torch
        from torch.nn import functional

        torch.set_float32_matmul_precision(matmul)
        dtype = torch.bfloat16 if mode == "bf16" else torch.float32
        generator = torch.Generator().manual_seed(0)
        inputs = {w: torch.randn(self._rows, w, generator=generator).to(self._device, dtype) for w, _ in self._products}
        weights = [torch.randn(o, i, generator=generator).to(self._device, dtype) for i, o in self._products]
        work = sum(2 * self._rows * i * o for i, o in self._products)
        best, began = float("inf"), time.perf_counter()
        with torch.inference_mode():
            while best == float("inf") or time.perf_counter() - began < self._seconds:
                start = time.perf_counter()
                for weight in weights:
                    functional.linear(inputs[weight.shape[1]], weight)
                if self._device != "cpu":
                    torch.cuda.synchronize()
                best = min(best, time.perf_counter() - start)
        return work / best

    def modes(self) -> dict[str, float]:
        """Return the median over the bursts of each mode."""
        return {mode: float(np.median([burst[mode] for burst in self.bursts])) for mode in self.bursts[0]}

    def best(self) -> tuple[str, float]:
        """Return the fastest mode and its FLOPs a second."""
        return max(self.modes().items(), key=lambda pair: pair[1])

    def share(self, tokens_per_second: float, flops_per_token: float) -> str:
        mode, peak = self.best()
        named = ", ".join(f"{name} {value / 1e9:.0f}" for name, value in self.modes().items())
        share = tokens_per_second * flops_per_token / peak
        return f"{share:.1%} of the measured matrix peak ({mode}; GFLOP/s: {named})"
