"""Precision: which arithmetic pays on this machine, measured once, and autocast."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch.nn import functional

from textclf import Chosen, Context

from .device import Precision


def shapes_in(network: torch.nn.Module) -> Iterator[tuple[int, int]]:
    """Yield the shape (out, in) of each matrix product in a network.

    Beside Linear that is the Conv1D of transformers, of which GPT-2 is made: its weights are [in, out].
    """
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            yield module.out_features, module.in_features
        elif type(module).__name__ == "Conv1D" and isinstance(module.weight, torch.nn.Parameter):
            into, out = module.weight.shape
            yield out, into


def in_halves(numbers: Arithmetic, device: torch.device) -> AbstractContextManager[None]:
    """Cast what products read, where the arithmetic is of half precision.

    Autocast keeps its casts of weights until it is left: held open over all micro-batches, it makes one a step.
    """
    enabled = numbers.dtype is not torch.float32
    return torch.autocast(device.type, dtype=numbers.dtype if enabled else None, enabled=enabled)


def in_wholes(device: torch.device) -> AbstractContextManager[None]:
    """Compute losses and gradients as they are, inside of `in_halves`: nothing more is cast, and the casts are kept."""
    return torch.autocast(device.type, enabled=False)


def working_copy(network: torch.nn.Module) -> torch.nn.Module:
    """Return a copy with bf16 weights, cast once for any number of forward passes.

    Sums inside of norms and softmax are float32 in PyTorch's own kernels. A head that stayed in float32 was measured
    to bring the scores no nearer: over 1,200 reviews MiniLM's were off by 0.0005 on average both ways.
    """
    weights: dict[int, Any] = {id(tensor): _half(tensor) for tensor in (*network.parameters(), *network.buffers())}
    # Tensors that are in the memo already are not copied: the copy never exists in float32.
    return copy.deepcopy(network, weights).eval()


def _half(tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.detach().to(torch.bfloat16) if tensor.is_floating_point() else tensor.detach()
    return torch.nn.Parameter(half, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else half


Mode = Literal["highest", "medium", "bf16"]
PAYS = 1.5  # a choice must be this much faster, so that a busy machine's noise does not change it
ALLOWED = 1e-5
FORMAT = 1
_SMALL = 1 << 16  # nothing is gained below, and measuring would take longer than the products
_HOPELESS = 5  # bf16 so many times slower on a few rows is not tried on many: in software it takes seconds


@dataclass(frozen=True, slots=True)
class Found:
    """What pays on this machine at one shape; "medium" pays only where its relative error is under `ALLOWED`.

    bf16 is held against the better way to float32. fastest: the mode of this machine's matrix peak, whatever its error.
    how: the measured ratios, or that they were measured before.
    """

    medium: bool
    bf16: bool
    fastest: Mode
    how: str


def find(network: torch.nn.Module, context: Context) -> Found | None:
    """Return what pays on the CPU for a network's commonest product, or None where its products are too small.

    What was found is kept in the cache, so that two runs on one machine choose the same: a CPU model, its threads, a
    version of torch and a shape are measured once.
    """
    shape = shape_of(network)
    if shape[0] * shape[1] < _SMALL:
        return None
    about = {
        "format": FORMAT, "cpu": _cpu(), "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(), "torch": torch.__version__, "shape": list(shape),
    }  # fmt: skip
    if context.cache is None:
        return _measured(shape)
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:40]
    file = context.cache / "arithmetic" / f"{key}.json"
    return _kept(file, shape) or _keep(file, about, shape)


def shape_of(network: torch.nn.Module) -> tuple[int, int]:
    """Return the shape (out, in) of the weights on which a network spends most of its products."""
    shapes = Counter(shapes_in(network))
    return max(shapes, key=lambda s: shapes[s] * s[0] * s[1], default=(0, 0))


def _kept(file: Path, shape: tuple[int, int]) -> Found | None:
    """Return what an earlier run found, or None where there is nothing that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(file.read_text("utf-8"))
        found = Found(told["medium"], told["bf16"], told["fastest"], f"measured before at {shape[1]}x{shape[0]}")
        if isinstance(found.medium, bool) and isinstance(found.bf16, bool) and found.fastest in get_args(Mode):
            return found
    return None


def _keep(file: Path, about: dict[str, Any], shape: tuple[int, int]) -> Found:
    """Measure, and keep the choice, never the timing, unless another process kept its own meanwhile."""
    found = _measured(shape)
    text = json.dumps({**about, "medium": found.medium, "bf16": found.bf16, "fastest": found.fastest}, indent=1)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    with suppress(OSError):  # a cache that cannot be written saves no time, and costs no result
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w", encoding="utf-8") as opened:
                opened.write(text + "\n")
                opened.flush()
                os.fsync(opened.fileno())
            first = _kept(file, shape)
            if first is not None:
                return first
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    return found


def _measured(shape: tuple[int, int]) -> Found:
    return judge(*_time(shape), shape)


def judge(seconds: dict[Mode, float], error: float, shape: tuple[int, int]) -> Found:
    """Return what pays by the seconds of one product in each mode, and the relative error of "medium"."""
    medium = error < ALLOWED and seconds["medium"] * PAYS < seconds["highest"]
    bf16 = seconds["bf16"] * PAYS < seconds["medium" if medium else "highest"]
    ratios = ", ".join(f"{mode} {seconds['highest'] / s:.1f}" for mode, s in seconds.items())
    fastest = min(seconds, key=lambda mode: seconds[mode])
    return Found(medium, bf16, fastest, f"speed of {shape[1]}x{shape[0]} products: {ratios}")


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
        # A busy machine shows what it can do in one of several turns only, and what is kept is kept for long.
        if time.perf_counter() - begun > (0.3 if turn >= 4 else 2.0):
            break
    error = (results["medium"] - results["highest"]).norm() / results["highest"].norm()
    return seconds, float(error)


def _once(mode: str, inputs: torch.Tensor, weight: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Return the seconds of one product, and the product; the precision is the process's, so it is put back."""
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
    found = find(network, context)
    if found is None:
        return Arithmetic(), "too small to measure"
    return Arithmetic("bf16" if found.bf16 else "float32", "medium" if found.medium else "highest"), found.how


def float32_products(network: torch.nn.Module, device: torch.device, context: Context) -> Matmul:
    """Return how float32 products are to be computed: the fastest way measured of those without an error."""
    return for_scoring(network, device, context)[0].matmul
