"""The equality of packed and padded batches, tried on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..batch import Collator
from ..network import is_causal
from .attention import HALVES, Rule, by_borders, by_length

LENGTHS = (3, 9, 9, 14)
# What rounding to half precision may change, relative to the largest number: far less than another text's tokens would.
KERNEL, LOGITS = 0.05, 0.05
_RATES = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")

Kernel = Callable[..., torch.Tensor]


def why_padded(network: Any, collator: Collator, dtype: torch.dtype, kernel: Kernel = by_borders) -> str:
    """Return why a network's batches must be padded on its device, in this arithmetic, or "".

    In training mode the dropout of the network counts too.
    """
    if dtype not in HALVES:
        return f"attention of variable length knows no {str(dtype).removeprefix('torch.')}"
    rate = max(getattr(network.config, name, 0.0) for name in _RATES)
    if network.training and rate > 0:
        return f"attention of variable length has no dropout, and attention_dropout is {rate:g}"
    try:
        return _kernel_differs(network, dtype, kernel) or _half_logits_differ(network, collator, dtype)
    except Exception as error:  # noqa: BLE001 - a kernel that this device or build lacks may fail in any way
        return f"{type(error).__name__}: {error}".splitlines()[0]


def _kernel_differs(network: Any, dtype: torch.dtype, kernel: Kernel) -> str:
    """Compare attention and its gradients with plain attention in float32: of all tokens, of first ones, in windows.

    Random queries attend to everything, so a token of another text, or a missing one, changes all results. A causal
    network does not read first tokens alone.
    """
    device, config, causal = next(network.parameters()).device, network.config, is_causal(network)
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    borders = torch.from_numpy(np.cumsum([0, *LENGTHS], dtype=np.int32)).to(device)
    generator = torch.Generator().manual_seed(0)
    everywhere, firsts, near = (sum(LENGTHS), None), (len(LENGTHS), None), (sum(LENGTHS), 2)
    for queries, reach in [everywhere, *([] if causal else [firsts]), *([near] if _windows(config) else [])]:
        sizes = (queries, sum(LENGTHS), sum(LENGTHS))
        drawn = [torch.randn(size, heads, width, generator=generator) for size in sizes]
        halves = [t.to(device, dtype).requires_grad_() for t in drawn]
        wholes = [t.detach().float().requires_grad_() for t in halves]
        with torch.enable_grad():
            rule = Rule(reach=reach, causal=causal)
            found = kernel(*halves, LENGTHS, borders, rule)
            plain = by_length(wholes[0], wholes[1], wholes[2], LENGTHS, rule)
            packed = [found, *torch.autograd.grad(found.float().pow(2).sum(), halves)]
            wanted = [plain, *torch.autograd.grad(plain.pow(2).sum(), wholes)]
        for name, one, other in zip(("results", *(("gradients",) * 3)), packed, wanted, strict=True):
            error = float((one.detach().float() - other.detach()).abs().max() / other.detach().abs().max())
            if not error <= KERNEL:
                return f"the {name} of attention of variable length differ by {error:.2g}"
    return ""


def _windows(config: Any) -> bool:
    return any(getattr(config, name, None) for name in ("sliding_window", "local_attention"))


def _half_logits_differ(network: Any, collator: Collator, dtype: torch.dtype) -> str:
    parameter, training = next(network.parameters()), network.training
    network.eval()
    try:
        with torch.autocast(parameter.device.type, dtype=dtype, enabled=parameter.dtype != dtype):
            return logits_differ(lambda **batch: network(**batch).logits, collator, parameter.device, LOGITS)
    finally:
        network.train(training)


def logits_differ(
    answer: Callable[..., torch.Tensor], collator: Collator, device: torch.device, tolerance: float
) -> str:
    """Return by how much the answers to four ragged texts differ between packed and padded, or ""."""
    tokens, rows = collator.sample(LENGTHS), np.arange(len(LENGTHS))
    with torch.no_grad():
        padded, packed = (answer(**make(tokens, rows, device)).float() for make in (collator.padded, collator.packed))
    if padded.shape != packed.shape:
        return f"it gives {list(packed.shape)} logits for {len(rows)} texts"
    error = float((padded - packed).abs().max())
    return "" if error <= tolerance * max(1.0, float(padded.abs().max())) else f"its logits differ by {error:.2g}"
