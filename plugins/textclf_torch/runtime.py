"""Public to other torch plugins: devices, arithmetic, layers, memory errors, scoring, token ids and weights."""

from __future__ import annotations

from .batches import PACKED_BUDGET
from .cpu.attention import by_products, takes_products
from .cpu.fused_layer import LayerParts
from .cpu.lanes import for_scoring as threads_for_scoring
from .device import (
    Device,
    Precision,
    choose_device,
    choose_layout,
    device_for_use,
    matmul_precision,
    moved,
    out_of_memory,
    own_randomness,
)
from .loss import logits_of
from .meter import Reporter
from .precision import float32_products
from .scoring import SCORING_BUDGET, in_batches, score
from .tokens import Truncate, both_ends, encode_texts, kept_ends, longest_first
from .weights import read_tensors, refuse_tensors

__all__ = [
    "PACKED_BUDGET",
    "SCORING_BUDGET",
    "Device",
    "LayerParts",
    "Precision",
    "Reporter",
    "Truncate",
    "both_ends",
    "by_products",
    "choose_device",
    "choose_layout",
    "device_for_use",
    "encode_texts",
    "float32_products",
    "in_batches",
    "kept_ends",
    "logits_of",
    "longest_first",
    "matmul_precision",
    "moved",
    "out_of_memory",
    "own_randomness",
    "read_tensors",
    "refuse_tensors",
    "score",
    "takes_products",
    "threads_for_scoring",
]
