"""Owns the choice of arithmetic: as options say it, or what was measured to pay, and told to the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from textclf import Chosen, Context

from . import calibration
from .devices import Precision

Matmul = Literal["highest", "medium"]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """precision: of training. matmul: how float32 products are computed on the CPU, "highest" or "medium".

    lanes: how many threads on the CPU carry a share of each batch.
    """

    precision: Precision = "float32"
    matmul: Matmul = "highest"
    lanes: int = 1

    @property
    def dtype(self) -> torch.dtype:
        """Return the numbers in which networks are trained, beside float32 weights."""
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision, torch.float32)


def choose(
    precision: Precision | Literal["auto"],
    matmul: Matmul | Literal["auto"],
    network: torch.nn.Module,
    device: torch.device,
    context: Context,
) -> Arithmetic:
    """Return the arithmetic that options name, or the fastest that was measured to pay, and tell the run."""
    if "auto" not in ((precision, matmul) if device.type == "cpu" else (precision,)):
        chosen, why = Arithmetic(), "as asked"
    else:
        chosen, why = for_scoring(network, device, context)
    if precision != "auto":
        chosen = Arithmetic(precision, chosen.matmul)
    if matmul != "auto":
        chosen = Arithmetic(chosen.precision, matmul)
    fixing = {"trainer.precision": chosen.precision, "trainer.matmul": chosen.matmul}
    context.emit(
        Chosen(what="arithmetic", choice=f"{chosen.precision}, {chosen.matmul} matmul", why=why, options=fixing)
    )
    return chosen


def for_scoring(network: torch.nn.Module, device: torch.device, context: Context) -> tuple[Arithmetic, str]:
    """Return the fastest arithmetic of one forward pass that was measured to pay, and why; nothing is told to the run.

    Its `precision` is "bf16" where bf16 pays ("fp16" on a GPU without it), else "float32"; its `matmul` is for
    those who stay with float32.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Arithmetic("bf16" if native else "fp16"), "the default of cuda" if native else "this GPU has no bf16"
    if device.type != "cpu":
        return Arithmetic(), f"the default of {device.type}"
    found = calibration.find(network, context)
    if found is None:
        return Arithmetic(), "too small to measure"
    return Arithmetic("bf16" if found.bf16 else "float32", "medium" if found.medium else "highest"), found.how


def float32_products(network: torch.nn.Module, device: torch.device, context: Context) -> Matmul:
    """Return how float32 products are to be computed: the fastest way measured of those without an error."""
    return for_scoring(network, device, context)[0].matmul
