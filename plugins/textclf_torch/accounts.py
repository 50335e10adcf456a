"""Owns the account of a training: its real tokens a second, its padding, its share of the peak, where its time went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from textclf import Accounted, Context

from . import calibration
from .flops import TRAINING, Products, peak, products_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .job import Job
    from .states import State


@contextmanager
def accounted(job: Job, state: State) -> Iterator[None]:
    """Account for a training from `state` to its end, and tell the run; one that was resumed tells of its own part."""
    first, products = state.step, products_of(job.network)
    before = _peak(job, products)
    job.meter.begin(job.device)
    yield
    if state.step == first:
        return
    job.meter.lap("saving")  # the loop's end waits for the last checkpoint
    parts = job.meter.parts()
    # The tokens that were judged by are not among those that were trained on.
    seconds = sum(parts.values()) - parts.get("judging", 0.0)
    share = None
    if before and products:
        work = TRAINING * job.thaw.mean_work(first, state.step)
        flops = work * products.forward_flops(job.meter.tokens, job.meter.squares)
        best = max(before, _peak(job, products) or 0.0) * job.team.size
        share = round(flops / seconds / best, 4)
    job.context.emit(
        Accounted(
            stage=job.stage,
            tokens=job.meter.tokens,
            seconds=round(sum(parts.values()), 3),
            tokens_per_second=round(job.meter.tokens / seconds, 1),
            padding=round(job.meter.padding(), 4),
            peak_share=share,
            parts={name: round(value, 3) for name, value in parts.items()},
            first_step=first,
        )
    )


@contextmanager
def scored(lengths: NDArray[np.int64], context: Context) -> Iterator[None]:
    """Account for the scoring of texts of these lengths, which ends with scores on the host, and tell the run."""
    began, tokens = time.perf_counter(), int(lengths.sum())
    yield
    seconds = time.perf_counter() - began
    if tokens:
        rate = round(tokens / seconds, 1)
        context.emit(Accounted(stage="score", tokens=tokens, seconds=round(seconds, 3), tokens_per_second=rate))


def _peak(job: Job, products: Products | None) -> float | None:
    """Return the FLOP/s of the machine's best mode at the network's shapes, or None where they are too small."""
    if products is None:
        return None
    if job.device.type == "cpu":
        found = calibration.find(job.network, job.context)
        return peak(products, found.fastest, job.device) if found else None
    return peak(products, "bf16" if job.device.type == "cuda" else "highest", job.device)
