"""Public to other torch plugins: devices, arithmetic of products, memory errors, and the scoring loop."""

from __future__ import annotations

from .batches import PACKED_BUDGET
from .cpu.lanes import for_scoring as threads_for_scoring
from .device import (
    Device,
    Precision,
    choose_device,
    choose_layout,
    device_for_use,
    matmul_precision,
    out_of_memory,
    own_randomness,
)
from .loss import logits_of
from .meter import Reporter
from .precision import float32_products
from .scoring import SCORING_BUDGET, in_batches, score

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
