"""Owns the optimiser: AdamW in one fused pass, with the cut of long gradients folded in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from . import TorchOptions
    from .embeddings import RowGradients
    from .job import Job


def make_optimizer(network: torch.nn.Module, options: TorchOptions) -> torch.optim.AdamW:
    """Return AdamW with its decay on matrices alone: biases and norms are vectors."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=options.betas, eps=options.epsilon, fused=True)


def cut(job: Job) -> torch.Tensor:
    """See to it that the next step's gradient is no longer than `max_grad_norm`; return how long it is now."""
    most = job.options.max_grad_norm or math.inf
    if job.device.type != "cpu":
        return torch.nn.utils.clip_grad_norm_(job.network.parameters(), most)
    norm = _norm(job.network, _rows(job))
    # The fused step divides by this as it reads the gradient; a pass of its own would read and write all of it.
    job.optimizer.grad_scale = (norm + 1e-6) / most if norm > most else None  # type: ignore[attr-defined]
    return norm


def forget(job: Job) -> None:
    """Forget all gradients. A large table's memory is kept, and only rows that were touched are written."""
    rows = _rows(job)
    for parameter in job.network.parameters():
        touched = rows.touched(parameter) if rows else None
        if parameter.grad is not None and touched is not None:
            parameter.grad.index_fill_(0, touched, 0.0)
        else:
            parameter.grad = None
    if job.lanes.rows:
        job.lanes.rows.forget()


def _rows(job: Job) -> RowGradients | None:
    """Return what knows the touched rows of large tables: not where other processes have touched rows as well."""
    return job.lanes.rows if job.team.size == 1 else None


def _norm(network: torch.nn.Module, rows: RowGradients | None) -> torch.Tensor:
    found = []
    for parameter in network.parameters():
        if parameter.grad is not None:
            touched = rows.touched(parameter) if rows else None
            found.append(parameter.grad if touched is None else parameter.grad.index_select(0, touched))
    norm: torch.Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(found)))
    return norm
