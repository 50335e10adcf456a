"""Owns where a training computes in half precision: forward passes, whose weights are cast once a step."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from .arithmetic import Arithmetic


def in_halves(numbers: Arithmetic, device: torch.device) -> AbstractContextManager[None]:
    """Cast what products read, where the arithmetic is of half precision.

    Autocast keeps its casts of weights until it is left: held open over all micro-batches, it makes one a step.
    """
    enabled = numbers.dtype is not torch.float32
    return torch.autocast(device.type, dtype=numbers.dtype if enabled else None, enabled=enabled)


def in_wholes(device: torch.device) -> AbstractContextManager[None]:
    """Compute losses and gradients as they are, inside of `in_halves`: nothing more is cast, and the casts are kept."""
    return torch.autocast(device.type, enabled=False)
