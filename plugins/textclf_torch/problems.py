"""Owns what can be seen to be wrong with the options of `torch` before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from textclf import Problem

if TYPE_CHECKING:
    from . import TorchOptions


def check(options: TorchOptions) -> Iterator[Problem]:
    """Yield what several processes cannot do, and layers that would never be trained."""
    if options.unfreeze is not None and options.unfreeze >= 1:
        yield Problem(
            f"{options.unfreeze:g} is longer than the training; say after which share of all steps every layer is "
            "trained, such as 0.5",
            ("unfreeze",),
        )
    devices, where = options.devices, ("devices",)
    if devices > 1 and options.device == "mps":
        yield Problem("there is one Apple GPU, so there is nothing to share batches with; set it to 1", where)
    elif devices > 1 and options.device == "cpu" and devices > cores():
        yield Problem(f"{devices} processes are too many for the cores here, {cores()}; lower it", where, exit_code=7)
    if devices > options.batch_size:
        yield Problem(f"{devices} processes cannot share batches of {options.batch_size} texts; lower it", where)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
