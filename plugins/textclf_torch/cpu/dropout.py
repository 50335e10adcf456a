"""Dropout on the CPU: masks drawn from seed, step and lane alone.

PyTorch draws one number after the other from its global generator, which threads would share in no fixed order, and
needs six percent of a step of BERT for it. 16 random bits an element are enough, and a resumed step draws the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

LEVELS = 1 << 16


class Masks:
    """The masks of a training's dropout."""

    def __init__(self, seed: tuple[int, ...]) -> None:
        self._seed, self._step = seed, 0
        self._local = threading.local()

    def begin(self, step: int) -> None:
        """Begin a step; each lane then enters."""
        self._step = step

    def enter(self, lane: int) -> None:
        """Let this thread draw for a lane, from its first mask on."""
        self._local.bits = np.random.SFC64(np.random.SeedSequence((*self._seed, self._step, lane)))

    def key(self) -> int:
        """Return 64 random bits, from which a kernel draws the mask of one dropout."""
        bits: np.random.SFC64 = self._local.bits
        return int(bits.random_raw())

    def draw(self, shape: torch.Size, rate: float) -> torch.Tensor:
        """Return a mask of a shape, float32: 0 where an element is dropped, otherwise what preserves the mean."""
        bits: np.random.SFC64 = self._local.bits
        size = shape.numel()
        words = torch.from_numpy(bits.random_raw(-(-size // 4)).view(np.int16))[:size].view(shape)
        dropped = round(rate * LEVELS)
        # Words are signed: the least of them are those that are dropped.
        return (words >= dropped - LEVELS // 2).float().mul_(LEVELS / (LEVELS - dropped))


@contextmanager
def seeded_dropout(network: torch.nn.Module, seed: tuple[int, ...]) -> Iterator[Masks]:
    """Let all plain dropout modules of a network draw from the masks that this yields."""
    masks = Masks(seed)
    modules = [m for m in network.modules() if type(m) is torch.nn.Dropout and "forward" not in m.__dict__]
    for module in modules:
        module.forward = partial(_drop, module, masks)  # type: ignore[method-assign]
    try:
        yield masks
    finally:
        for module in modules:
            del module.forward


def _drop(module: torch.nn.Dropout, masks: Masks, values: torch.Tensor) -> torch.Tensor:
    if not module.training or module.p == 0.0:
        return values
    if module.p > 1 - 1 / LEVELS:
        return values * 0.0
    dropped: torch.Tensor = _Dropped.apply(values, masks.draw(values.shape, module.p))  # type: ignore[no-untyped-call]
    return dropped


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        ctx.mask = mask.to(values.dtype)
        masked: torch.Tensor = values * ctx.mask
        return masked

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient * ctx.mask, None
