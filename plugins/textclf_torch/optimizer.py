"""The optimiser: AdamW or BertAdam in one fused pass, schedules, and clipping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from .cpu import kernels
from .device import one_thread
from .layers import shares

if TYPE_CHECKING:
    from .cpu.embeddings import RowGradients
    from .job import Job
    from .layers import Layers
    from .options import TorchOptions


Schedule = Literal["linear", "cosine", "constant", "one_cycle"]

# The first and the last rate of one cycle, as shares of its highest: those of PyTorch's OneCycleLR.
FIRST, LAST = 1 / 25, 1 / 25e4


def rate(step: int, steps: int, warmup: float, schedule: Schedule) -> float:
    """Return the share of the highest learning rate that step 0, 1, ... steps - 1 takes.

    It rises linearly over the first `warmup` of all steps, and then falls as PyTorch's LinearLR, CosineAnnealingLR and
    the schedules of transformers do. The first step already has a rate, where those of transformers and of
    pytorch-pretrained-bert take 0 and learn nothing: in the warm-up, our step is their next one.
    """
    if schedule == "one_cycle":
        return _one_cycle(step, steps, warmup)
    rising = math.ceil(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if schedule == "constant":
        return 1.0
    past = (step - rising) / max(1, steps - rising)
    return 1.0 - past if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * past))


def _one_cycle(step: int, steps: int, warmup: float) -> float:
    """Half a cosine up and one down, as OneCycleLR in two phases (Smith 2018), without its cycle of Adam's betas."""
    top, last = max(0.0, warmup * steps - 1), steps - 1
    if step < top:
        return _along_cosine(FIRST, 1.0, step / top)
    return _along_cosine(1.0, LAST, (step - top) / (last - top)) if top < last else 1.0


def _along_cosine(start: float, end: float, past: float) -> float:
    return end + (start - end) / 2 * (1.0 + math.cos(math.pi * past))


# A number of steps so large that one more changes nothing, and that both bias corrections are 1 for any betas.
AGED = 2.0**60
EPSILON = {"adamw": 1e-8, "bertadam": 1e-6}


def make_optimizer(
    network: torch.nn.Module,
    options: TorchOptions,
    layers: Layers = (),
    head: Sequence[torch.nn.Parameter] = (),
    head_share: float = 1.0,
) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only: biases and norms are vectors.

    layers: learn the more slowly, the deeper they are; without them all learn at one rate. head: learns at the rate's
    `head_share`, which may be above 1. BertAdam is AdamW without bias correction, whose first steps are larger: after
    one step by the gradient g its averages are 0.1 g and 0.001 g^2, and the weights move by 3.2 times the learning rate
    (optimization.py of pytorch-pretrained-bert 0.6; on what that does, Zhang et al. 2021, Revisiting Few-sample BERT
    Fine-tuning).
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    own = {id(p) for p in head}
    groups = [
        *_groups([p for p in trained if id(p) not in own], options),
        *({**group, "share": head_share} for group in _groups([p for p in trained if id(p) in own], options)),
    ]
    groups = [group for group in groups if group["params"] or "share" not in group]
    if options.layer_decay < 1:
        groups = [
            {**group, "share": share}
            for layer, share in zip(layers, shares(layers, options.layer_decay), strict=True)
            for group in _groups(layer, options)
            if group["params"]
        ]
    eps = options.eps or EPSILON[options.optimizer]
    made = torch.optim.AdamW(groups, lr=options.learning_rate, betas=options.betas, eps=eps, fused=True)
    if options.optimizer == "bertadam":
        for parameter in trained:
            made.state[parameter] = _settled(parameter)
    return made


def set_rates(job: Job, step: int) -> None:
    """Set the learning rate of each group of parameters for a step."""
    options = job.options
    now = options.learning_rate * rate(step, job.steps, options.warmup, options.schedule)
    for group in job.optimizer.param_groups:
        group["lr"] = now * group.get("share", 1.0)


def clip_gradients(job: Job) -> torch.Tensor:
    """Clip the gradient of the next step to the norm `max_grad_norm`, and return its norm before, float32[].

    On a CPU AdamW clips while it steps: the gradients in the network stay as they are.
    """
    most = job.options.max_grad_norm or math.inf
    if job.options.optimizer == "bertadam":
        return _clip_each(job, most)
    if job.device.type != "cpu":
        return torch.nn.utils.clip_grad_norm_(job.network.parameters(), most)
    norm = _norm_of(_norms(job))
    # The fused step divides gradients by this number as it reads them.
    job.optimizer.grad_scale = (norm + 1e-6) / most if norm > most else None  # type: ignore[attr-defined]
    return norm


def step(job: Job) -> None:
    """Let AdamW take its step; with compiled kernels in one pass over all there is, bf16 copies of weights included."""
    if job.arithmetic.kernels == "torch":
        job.scaler.step(job.optimizer)
        return
    groups = [(group, p) for group in job.optimizer.param_groups for p in group["params"] if p.grad is not None]
    layers = job.lanes.layers
    copies = {} if layers is None else {id(p): copy for p, copy in layers.copies()}
    states = [_state(job.optimizer, p) for _, p in groups]
    clipped: torch.Tensor | None = getattr(job.optimizer, "grad_scale", None)
    torch._foreach_add_([state["step"] for state in states], 1.0)
    kernels.adamw(
        [
            kernels.Stepped(
                p, p.grad.contiguous(), state["exp_avg"], state["exp_avg_sq"], copies.get(id(p)), group["lr"],
                group["weight_decay"], float(state["step"]),
            )
            for (group, p), state in zip(groups, states, strict=True)
        ],
        job.options.betas,
        job.optimizer.defaults["eps"],
        scale=1.0 if clipped is None else 1.0 / float(clipped),
    )  # fmt: skip
    if layers is not None:
        layers.declare_current()


def _state(made: torch.optim.AdamW, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
    """Return AdamW's state of a parameter, as its first step makes it."""
    state: dict[str, torch.Tensor] = made.state[parameter]
    if not state:
        state |= {**_settled(parameter), "step": torch.zeros((), dtype=torch.float32)}
    return state


def zero_grad(job: Job) -> None:
    """Drop all gradients. A large table keeps its memory, and only the rows that were touched are set to zero."""
    rows = _rows(job)
    with one_thread():
        for parameter in job.network.parameters():
            touched = rows.touched(parameter) if rows else None
            if parameter.grad is not None and touched is not None:
                parameter.grad.index_fill_(0, touched, 0.0)
            else:
                parameter.grad = None
    if job.lanes.rows:
        job.lanes.rows.clear()


def _rows(job: Job) -> RowGradients | None:
    """Return the row gradients of large tables; None where other processes have touched rows as well."""
    return job.lanes.rows if job.team.size == 1 else None


def _groups(parameters: Sequence[torch.nn.Parameter], options: TorchOptions) -> list[dict[str, Any]]:
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _settled(parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
    """Return the state of a parameter whose averages have long settled, so that AdamW corrects no bias."""
    return {
        "step": torch.tensor(AGED, dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
    }


def _clip_each(job: Job, most: float) -> torch.Tensor:
    """Clip each parameter's gradient by itself, and return the norm of all before."""
    norms = _norms(job)
    factors = (most / (torch.stack(norms) + 1e-6)).clamp(max=1.0)
    gradients = [p.grad for p in job.network.parameters() if p.grad is not None]
    if job.device.type != "cpu":
        torch._foreach_mul_(gradients, list(factors.unbind()))  # reading which of them are long would wait for the GPU
    else:
        for gradient, factor in zip(gradients, factors.tolist(), strict=True):
            if factor < 1:
                gradient.mul_(factor)
    return _norm_of(norms)


def _norms(job: Job) -> list[torch.Tensor]:
    rows, found = _rows(job), []
    for parameter in job.network.parameters():
        if parameter.grad is not None:
            touched = rows.touched(parameter) if rows else None
            found.append(parameter.grad if touched is None else parameter.grad.index_select(0, touched))
    if job.arithmetic.kernels == "native" and found:
        squares = kernels.sums_of_squares([gradient.contiguous() for gradient in found])
        return list(torch.tensor([math.sqrt(each) for each in squares]))
    return list(torch._foreach_norm(found))


def _norm_of(norms: Sequence[torch.Tensor]) -> torch.Tensor:
    norm: torch.Tensor = torch.linalg.vector_norm(torch.stack(list(norms)))
    return norm
