"""Options of `torch`, and their check before a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from textclf import Field, Options, Problem


def check(options: TorchOptions) -> Iterator[Problem]:
    """Yield what several processes cannot do, and layers that would never be trained."""
    if options.unfreeze is not None and options.unfreeze >= 1:
        yield Problem(
            f"{options.unfreeze:g} is longer than the training; say after which share of all steps every layer is "
            "trained, such as 0.5",
            ("unfreeze",),
        )
    devices, where = options.devices, ("devices",)
    if devices > 1 and options.device == "mps":
        yield Problem("there is one Apple GPU, so there is nothing to share batches with; set it to 1", where)
    elif devices > 1 and options.device == "cpu" and devices > cores():
        yield Problem(f"{devices} processes are too many for the cores here, {cores()}; lower it", where, exit_code=7)
    if devices > options.batch_size:
        yield Problem(f"{devices} processes cannot share batches of {options.batch_size} texts; lower it", where)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


Decay = Annotated[float, Field(ge=0, lt=1)]


class TorchOptions(Options):
    """The options of `torch`."""

    renamed: ClassVar = {
        "epsilon": ("eps", "textclf-engine 0.3"),
        "class_weights": ("class_weight", "textclf-engine 0.3"),
    }

    device: Literal["auto", "cuda", "cpu", "mps"] = Field("auto", description="auto: CUDA where there is one, else CPU")
    devices: int = Field(1, ge=1, le=64, description="processes that share each batch, one a GPU")
    epochs: float = Field(3, gt=0, le=10_000, description="passes over the training texts; 0.5 is half a pass")
    batch_size: int = Field(32, ge=1, description="texts in one step of the optimiser")
    micro_batch: int | None = Field(
        None, ge=1, description="texts in one forward pass, at most; the gradient is that of the whole batch"
    )
    optimizer: Literal["adamw", "bertadam"] = Field(
        "adamw",
        description="bertadam: AdamW without bias correction, each parameter's gradient cut by itself, as "
        "pytorch-pretrained-bert had it",
    )
    learning_rate: float = Field(2e-5, gt=0, lt=10, description="the optimiser's step size, at its highest")
    schedule: Literal["linear", "cosine", "constant", "one_cycle"] = Field(
        "linear",
        description="how it falls after the warm-up: to zero in a line or along half a cosine, or not at all; "
        "one_cycle: as PyTorch's OneCycleLR, from 1/25 up and down to 1/250,000 along cosines, betas as they are",
    )
    warmup: float = Field(
        0.1, ge=0, le=1, description="share of all steps in which the learning rate rises; OneCycleLR's own is 0.3"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="each layer below the head learns at this share of the rate above it; 1: all alike"
    )
    unfreeze: float | None = Field(
        None,
        gt=0,
        description="share of all steps, below 1, until every layer is trained: the head alone first, then one more "
        "layer after the other, at equal distances; null: all from the start",
    )
    weight_decay: float = Field(0.01, ge=0, lt=1, description="not applied to biases and norms")
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="the optimiser's decay rates of its two averages")
    eps: float | None = Field(
        None, gt=0, lt=1, description="term against division by zero; null: adamw's 1e-8, bertadam's 1e-6"
    )
    max_grad_norm: float | None = Field(
        1.0,
        gt=0,
        description="longer gradients are cut to this norm, all as one, or each by itself with bertadam; null: never",
    )
    precision: Literal["auto", "float32", "bf16", "fp16"] = Field(
        "auto", description="arithmetic of training; auto: bf16 where it was measured to pay; scores are always float32"
    )
    matmul: Literal["auto", "highest", "medium"] = Field(
        "auto", description="float32 products of training on the CPU; auto: medium where it is exact and pays"
    )
    lanes: int | None = Field(
        None, ge=1, le=64, description="on the CPU, threads that each carry a share of a batch; null: two if that pays"
    )
    kernels: Literal["auto", "torch", "native"] = Field(
        "auto",
        description="on the CPU, the code between products; native: that of textclf-kernels; auto: where it is "
        "installed and agrees with torch",
    )
    class_weight: Literal["none", "balanced"] = Field(
        "none", description="balanced: every label weighs the same, however rare"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of certainty that targets give away")
    early_stopping: int | None = Field(None, ge=1, description="stop after so many epochs without a better validation")
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        description="steps between checkpoints; null: at epochs' ends and in between, so rarely that saving takes "
        "about 1 % of the time, and so often that at most 5 minutes of work can be lost",
    )
