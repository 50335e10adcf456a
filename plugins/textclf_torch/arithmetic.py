"""Owns the choice of arithmetic: measured at the network's own shapes where that can pay, and told to the run."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from textclf import Chosen, Context

from .runtime import Precision

PAYS = 1.5  # a choice must be this much faster, so that a busy machine's noise does not change it
ALLOWED = 1e-5


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """precision: of training. matmul: how float32 products are computed on the CPU, "highest" or "medium"."""

    precision: Precision = "float32"
    matmul: str = "highest"


def choose(
    wanted: Literal["auto", "float32", "bf16", "fp16"], network: torch.nn.Module, device: torch.device, context: Context
) -> Arithmetic:
    """Return the arithmetic that an option names, or the fastest that was measured to pay."""
    if device.type != "cpu":
        precision: Precision = ("bf16" if device.type == "cuda" else "float32") if wanted == "auto" else wanted
        chosen, why = Arithmetic(precision), f"the default of {device.type}" if wanted == "auto" else "as asked"
    else:
        chosen, why = _measured(wanted, network)
    context.emit(Chosen(what="arithmetic", choice=f"{chosen.precision}, {chosen.matmul} matmul", why=why))
    return chosen


def _measured(wanted: str, network: torch.nn.Module) -> tuple[Arithmetic, str]:
    shapes = Counter(tuple(m.weight.shape) for m in network.modules() if isinstance(m, torch.nn.Linear))
    shape = max(shapes, key=lambda s: shapes[s] * s[0] * s[1], default=(256, 256))
    if shape[0] * shape[1] < 1 << 16:
        # Nothing is gained at such sizes, and measuring them would take longer than the products.
        return Arithmetic("float32" if wanted == "auto" else wanted), "too small to measure"  # type: ignore[arg-type]
    seconds, error = _time(shape, bf16=wanted == "auto")
    matmul = "medium" if error < ALLOWED and seconds["medium"] * PAYS < seconds["highest"] else "highest"
    precision = wanted
    if wanted == "auto":
        precision = "bf16" if seconds["bf16"] * PAYS < seconds[matmul] else "float32"
    ratios = ", ".join(f"{mode} {seconds['highest'] / s:.1f}" for mode, s in seconds.items())
    return Arithmetic(precision, matmul), f"speed of {shape[1]}x{shape[0]} products: {ratios}"  # type: ignore[arg-type]


def _time(shape: tuple[int, ...], bf16: bool, rows: int = 512) -> tuple[dict[str, float], float]:
    """Return the least seconds of one product in each mode, alternating, and the relative error of "medium"."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator)
    inputs = torch.randn(rows, shape[1], generator=generator)
    modes = {"highest": (inputs, weight), "medium": (inputs, weight)}
    if bf16:
        modes["bf16"] = (inputs.bfloat16(), weight.bfloat16())
    seconds, results = dict.fromkeys(modes, float("inf")), {}
    before, begun = torch.get_float32_matmul_precision(), time.perf_counter()
    try:
        for turn in range(12):
            for mode, operands in modes.items():
                if turn and seconds[mode] > 20 * seconds["highest"]:
                    continue
                torch.set_float32_matmul_precision("medium" if mode == "medium" else "highest")
                start = time.perf_counter()
                results[mode] = functional.linear(*operands)
                seconds[mode] = min(seconds[mode], time.perf_counter() - start)
            if time.perf_counter() - begun > 0.3:
                break
    finally:
        torch.set_float32_matmul_precision(before)
    error = (results["medium"] - results["highest"]).norm() / results["highest"].norm()
    return seconds, float(error)
