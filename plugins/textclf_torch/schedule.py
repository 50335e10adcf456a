"""Owns how the learning rate changes over the steps of a training."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant"]


def rate(step: int, steps: int, warmup: float, schedule: Schedule) -> float:
    """Return the share of the highest learning rate that step 0, 1, ... steps - 1 takes."""
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if schedule == "constant":
        return 1.0
    past = (step - rising) / max(1, steps - rising)
    return 1.0 - past if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * past))
