"""Owns how the learning rate changes over the steps of a training."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant", "one_cycle"]

# Where one cycle begins, and where it ends, as shares of its highest rate: those of PyTorch's OneCycleLR.
FIRST, LAST = 1 / 25, 1 / 25e4


def rate(step: int, steps: int, warmup: float, schedule: Schedule) -> float:
    """Return the share of the highest learning rate that step 0, 1, ... steps - 1 takes.

    It rises over the first `warmup` of all steps in a line, and then falls as PyTorch's LinearLR, CosineAnnealingLR and
    the schedules of transformers do. The first step takes a rate already, where those of transformers and of
    pytorch-pretrained-bert take 0 and learn nothing: in the warm-up, our step is their next one.
    """
    if schedule == "one_cycle":
        return _one_cycle(step, steps, warmup)
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if schedule == "constant":
        return 1.0
    past = (step - rising) / max(1, steps - rising)
    return 1.0 - past if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * past))


def _one_cycle(step: int, steps: int, warmup: float) -> float:
    """As OneCycleLR in two phases (Smith 2018), Adam's averages left as they are: half a cosine up, and one down."""
    top, last = max(0.0, warmup * steps - 1), steps - 1
    if step < top:
        return _along_cosine(FIRST, 1.0, step / top)
    return _along_cosine(1.0, LAST, (step - top) / (last - top)) if top < last else 1.0


def _along_cosine(start: float, end: float, past: float) -> float:
    return end + (start - end) / 2 * (1.0 + math.cos(math.pi * past))
