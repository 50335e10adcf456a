"""Owns what is public to other torch plugins: device, arithmetic of products, memory errors, and the scoring loop."""

from __future__ import annotations

from .arithmetic import float32_products
from .batches import PACKED_BUDGET
from .devices import (
    Device,
    Precision,
    choose_device,
    choose_layout,
    device_for_use,
    matmul_precision,
    out_of_memory,
    own_randomness,
)
from .reporting import Reporter
from .scoring import SCORING_BUDGET, in_batches, logits_of, score
from .threads import for_scoring as threads_for_scoring

__all__ = [
    "PACKED_BUDGET",
    "SCORING_BUDGET",
    "Device",
    "Precision",
    "Reporter",
    "choose_device",
    "choose_layout",
    "device_for_use",
    "float32_products",
    "in_batches",
    "logits_of",
    "matmul_precision",
    "out_of_memory",
    "own_randomness",
    "score",
    "threads_for_scoring",
]
