"""Precision: the arithmetic of training and scoring; what pays on this machine is measured once."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch.nn import functional

from textclf import Chosen, Context

from .device import Precision

Matmul = Literal["highest", "medium"]
Kernels = Literal["torch", "native"]
Mode = Literal["highest", "medium", "bf16"]
PAYS = 1.5  # a choice must be this much faster, so that a busy machine's noise does not change it
ALLOWED = 1e-5
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}  # the types that autocast casts to
FORMAT = 1
BEFORE = "measured before"
_SMALL = 1 << 16  # nothing is gained below, and measuring would take longer than the products
_HOPELESS = 5  # bf16 so many times slower on a few rows is not tried on many: in software it takes seconds


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """precision: of training. matmul: how float32 products are computed on the CPU, "highest" or "medium".

    lanes: how many threads on the CPU carry a share of each batch. kernels: whose code computes layers on the CPU,
    torch's or that of textclf-kernels. products: the longest text whose attention on the CPU is by batched products of
    torch, 0: none. Checkpoints store the fields by their names.
    """

    precision: Precision = "float32"
    matmul: Matmul = "highest"
    lanes: int = 1
    kernels: Kernels = "torch"
    products: int = 0

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of the products in training; the weights are float32."""
        return HALF.get(self.precision, torch.float32)


def choose(
    precision: Precision | Literal["auto"],
    matmul: Matmul | Literal["auto"],
    network: torch.nn.Module,
    device: torch.device,
    context: Context,
) -> Arithmetic:
    """Return the arithmetic that options name, or the fastest that was measured to pay, and report the choice."""
    if "auto" not in ((precision, matmul) if device.type == "cpu" else (precision,)):
        chosen, why = Arithmetic(), "as requested"
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
    """Return the fastest arithmetic of one forward pass that was measured to pay, and why.

    Its `precision` is "bf16" where bf16 pays ("fp16" on a GPU without it), otherwise "float32"; its `matmul` is for
    float32 products.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return Arithmetic("bf16" if native else "fp16"), "the default of cuda" if native else "this GPU has no bf16"
    if device.type != "cpu":
        return Arithmetic(), f"the default of {device.type}"
    found = find(network, context)
    if found is None:
        return Arithmetic(), "too small to measure"
    return Arithmetic("bf16" if found.bf16 else "float32", "medium" if found.medium else "highest"), found.how


def float32_products(network: torch.nn.Module, device: torch.device, context: Context) -> Matmul:
    """Return how to compute float32 products: the fastest mode that was measured and has no error."""
    return for_scoring(network, device, context)[0].matmul


@dataclass(frozen=True, slots=True)
class Measured:
    """What pays on this machine at one shape; "medium" pays only where its relative error is under `ALLOWED`.

    bf16 is compared with the faster mode of float32. fastest: the mode of this machine's matrix peak, whatever its
    error. how: the measured ratios, or that they were measured before.
    """

    medium: bool
    bf16: bool
    fastest: Mode
    how: str


def find(network: torch.nn.Module, context: Context) -> Measured | None:
    """Return what pays on the CPU for a network's commonest product, or None where its products are too small.

    The result is stored in the cache, so that two runs on one machine choose the same: a CPU model, its threads, a
    version of torch and a shape are measured once.
    """
    if too_small(network):
        return None
    shape = shape_of(network)
    about = {**machine(), "threads": torch.get_num_threads(), "shape": list(shape)}
    found, how = measured_once(about, context, lambda: _measure(shape), {"medium": bool, "bf16": bool, "fastest": str})
    return Measured(**found, how=f"{how} at {shape[1]}x{shape[0]}" if how == BEFORE else how)


def too_small(network: torch.nn.Module) -> bool:
    """Tell whether measuring would take longer than all that a network's products could gain."""
    out, into = shape_of(network)
    return out * into < _SMALL


def shape_of(network: torch.nn.Module) -> tuple[int, int]:
    """Return the shape (out, in) of the weights on which a network spends most of its products."""
    shapes = Counter(shapes_in(network))
    return max(shapes, key=lambda s: shapes[s] * s[0] * s[1], default=(0, 0))


def machine() -> dict[str, Any]:
    """Return what a measurement depends on: the CPU model and the version of torch."""
    capability = torch.backends.cpu.get_cpu_capability()
    return {"format": FORMAT, "cpu": _cpu(), "capability": capability, "torch": torch.__version__}


def measured_once(
    about: dict[str, Any],
    context: Context,
    measure: Callable[[], tuple[dict[str, Any], str]],
    kinds: dict[str, type],
) -> tuple[dict[str, Any], str]:
    """Return what `measure` finds, and how, or what an earlier run stored in the cache, so that both choose the same.

    about: what the measurement depends on. kinds: the type of each value that is found. The timing is not stored.
    """
    if context.cache is None:
        return measure()
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:40]
    file = context.cache / "arithmetic" / f"{key}.json"
    stored = _load(file, kinds)
    return (stored, BEFORE) if stored else _measure_and_store(file, about, measure, kinds)


def _load(file: Path, kinds: dict[str, type]) -> dict[str, Any] | None:
    """Return what an earlier run measured, or None where no readable file has it."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(file.read_text("utf-8"))
        found = {name: stored[name] for name in kinds}
        if all(type(found[name]) is kind for name, kind in kinds.items()):
            return found
    return None


def _measure_and_store(
    file: Path,
    about: dict[str, Any],
    measure: Callable[[], tuple[dict[str, Any], str]],
    kinds: dict[str, type],
) -> tuple[dict[str, Any], str]:
    """Measure, and store the choice without the timing, unless another process has stored its own meanwhile."""
    found, how = measure()
    text = json.dumps({**about, **found}, indent=1)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    with suppress(OSError):  # without a writable cache every run measures
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w", encoding="utf-8") as opened:
                opened.write(text + "\n")
                opened.flush()
                os.fsync(opened.fileno())
            first = _load(file, kinds)
            if first is not None:
                return first, BEFORE
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    return found, how


def _measure(shape: tuple[int, int]) -> tuple[dict[str, Any], str]:
    found = choose_modes(*_time(shape), shape)
    return {"medium": found.medium, "bf16": found.bf16, "fastest": found.fastest}, found.how


def choose_modes(seconds: dict[Mode, float], error: float, shape: tuple[int, int]) -> Measured:
    """Return what pays, from the seconds of one product in each mode and the relative error of "medium"."""
    medium = error < ALLOWED and seconds["medium"] * PAYS < seconds["highest"]
    bf16 = seconds["bf16"] * PAYS < seconds["medium" if medium else "highest"]
    ratios = ", ".join(f"{mode} {seconds['highest'] / s:.1f}" for mode, s in seconds.items())
    fastest = min(seconds, key=lambda mode: seconds[mode])
    return Measured(medium, bf16, fastest, f"speed of {shape[1]}x{shape[0]} products: {ratios}")


def _time(shape: tuple[int, int], rows: int = 512, few: int = 16) -> tuple[dict[Mode, float], float]:
    """Return the least seconds of one product in each mode, alternating, and the relative error of "medium"."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator)
    inputs = torch.randn(rows, shape[1], generator=generator)
    halves = inputs.bfloat16(), weight.bfloat16()
    operands = {"highest": (inputs, weight), "medium": (inputs, weight), "bf16": halves}
    seconds: dict[Mode, float] = dict.fromkeys(get_args(Mode), float("inf"))
    first = {mode: min(_once(mode, x[:few], w)[0] for _ in range(3)) for mode, (x, w) in operands.items()}
    tried = list(get_args(Mode))
    if first["bf16"] > _HOPELESS * first["highest"]:
        tried.remove("bf16")
        seconds["bf16"] = first["bf16"] * rows / few
    results, begun = {}, time.perf_counter()
    for turn in range(12):
        for mode in tried:
            passed, results[mode] = _once(mode, *operands[mode])
            seconds[mode] = min(seconds[mode], passed)
        # A busy machine shows its speed in only one of several turns, and the result is used for long.
        if time.perf_counter() - begun > (0.3 if turn >= 4 else 2.0):
            break
    error = (results["medium"] - results["highest"]).norm() / results["highest"].norm()
    return seconds, float(error)


def _once(mode: str, inputs: torch.Tensor, weight: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Return the seconds of one product, and the product; the process's precision is restored."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if mode == "medium" else "highest")
    try:
        start = time.perf_counter()
        product = functional.linear(inputs, weight)
        return time.perf_counter() - start, product
    finally:
        torch.set_float32_matmul_precision(before)


def _cpu() -> str:
    """Return the model name of this machine's CPU."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def shapes_in(network: torch.nn.Module) -> Iterator[tuple[int, int]]:
    """Yield the shape (out, in) of each matrix product in a network.

    Besides Linear, GPT-2 consists of the Conv1D of transformers, whose weights are [in, out].
    """
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            yield module.out_features, module.in_features
        elif type(module).__name__ == "Conv1D" and isinstance(module.weight, torch.nn.Parameter):
            into, out = module.weight.shape
            yield out, into


def working_copy(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy with bf16 weights, cast once for any number of forward passes.

    Sums inside of norms and softmax are float32 in PyTorch's own kernels. A head in float32 was measured to make the
    scores no more exact: over 1,200 reviews MiniLM's were off by 0.0005 on average with and without it.
    """
    weights: dict[int, Any] = {id(tensor): _half(tensor) for tensor in (*network.parameters(), *network.buffers())}
    # deepcopy does not copy tensors that are in its memo: the copy never exists in float32.
    return copy.deepcopy(network, weights).eval()


def _half(tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.detach().to(torch.bfloat16) if tensor.is_floating_point() else tensor.detach()
    return torch.nn.Parameter(half, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else half
