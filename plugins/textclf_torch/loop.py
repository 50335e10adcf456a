"""Owns the training loop, in the order in which things happen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch

from textclf import (
    EpochFinished,
    ResourceError,
    Stopped,
)

from . import optimizer
from . import state as states
from .accounts import accounted
from .batches import micro_batches, packed_batches
from .checkpoint import Saver
from .forecast import Forecaster
from .job import Job
from .precision import in_halves, in_wholes
from .runtime import PACKED_BUDGET, Reporter, out_of_memory, score
from .state import State

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# What one more forward and backward pass costs, in tokens: launching kernels on a GPU, calling them on a CPU.
OVERHEAD = {"cpu": 64, "mps": 2048, "cuda": 8192}
HALVINGS = 4


def run(job: Job, state: State) -> State:
    """Train from `state` to the end, and leave the network with the weights of the best epoch."""
    report, foretell = Reporter(job.context, job.stage, job.steps, "steps"), Forecaster(job, state)
    with accounted(job, state), Saver(job, state) as saver:
        while True:
            saver.save_if_due(state)
            if job.ends_epoch(state.step) and state.judged < state.step:
                job.meter.lap("saving")
                finish_epoch(job, state, saver)
                job.meter.lap("judging")
                saver.save_if_due(state)
            if state.step >= job.steps or state.out_of_patience(job.options.early_stopping):
                break
            if job.context.stopping():
                _stop(job, state, saver)
            job.meter.lap("saving")
            rows = job.rows(state.step)
            job.team.begin(state.step)
            take_step(job, state, rows)
            state.step += 1
            job.meter.count(job.lengths[rows])
            report(state.step, tokens=int(job.lengths[rows].sum()), loss=partial(mean_loss, job, state))
            foretell(int(job.lengths[rows].sum()))
            job.meter.lap("other")
        saver.save(state)
    if state.best is not None:
        job.network.load_state_dict(state.best)
    return state


def take_step(job: Job, state: State, rows: NDArray[np.int64]) -> None:
    """Take one step of the optimiser on a batch; one that diverges leaves the weights alone."""
    job.thaw.begin(state.step)
    losses, grouped = job.team.total(job.network, *gradient(job, state, rows), rows)
    job.meter.lap("sharing")
    job.scaler.unscale_(job.optimizer)
    norm = optimizer.cut(job)
    job.watch.see(job, state, losses, norm, grouped)
    optimizer.set_rates(job, state.step)
    job.scaler.step(job.optimizer)
    job.scaler.update()
    optimizer.forget(job)
    job.meter.lap("optimiser")


def gradient(job: Job, state: State, rows: NDArray[np.int64]) -> tuple[torch.Tensor, list[int]]:
    """Leave the gradient of this process's rows in the network, and return their losses, and those rows.

    Where memory does not suffice, the batch is done again in micro-batches of half the size.
    """
    while True:
        generators = states.generators(job.device)
        job.lanes.begin(state.step)
        try:
            return accumulate(job, rows, state.micro_batch, state.step // job.epoch_steps)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        # Outside of `except`: the error's traceback holds on to the tensors that did not fit.
        optimizer.forget(job)
        states.set_generators(generators, job.device)
        _halve(job, state)


def accumulate(job: Job, rows: NDArray[np.int64], most: int, epoch: int = 0) -> tuple[torch.Tensor, list[int]]:
    """Add up the gradient of a batch over micro-batches of at most `most` rows, each weighted by its share."""
    job.network.train()
    parts = job.lanes.cut(job.team.part(rows, job.lengths), job.lengths)
    lanes = [_micro_batches(job, part, most) for part in parts]
    share = job.lesson.share(rows, epoch, job.device)

    def carry(groups: Sequence[NDArray[np.int64]]) -> list[torch.Tensor]:
        losses = []
        with in_halves(job.arithmetic, job.device):
            for group in groups:
                batch = job.lesson.collate(group, epoch, job.layout, job.device)
                job.meter.lap("collating")
                answer = job.network(**batch)
                with in_wholes(job.device):
                    each = job.lesson.losses(answer, group, job.device)
                    job.meter.lap("forward")
                    job.lanes.differentiate(job.scaler.scale(each.sum() / share))
                    job.meter.lap("backward")
                losses.append(job.lesson.shown(each.detach(), len(rows), share))
        return losses

    losses = job.lanes.carry(carry, lanes)
    job.meter.lap("adding up")
    return torch.cat([torch.zeros(0, device=job.device), *losses]), [int(r) for lane in lanes for g in lane for r in g]


def _micro_batches(job: Job, rows: NDArray[np.int64], most: int) -> list[NDArray[np.int64]]:
    """Cut rows into what goes through the network at once, and count its places."""
    if job.layout == "packed":
        groups = packed_batches(rows, job.lengths, most, PACKED_BUDGET[job.device.type])
    else:
        groups = micro_batches(rows, job.lengths, most, OVERHEAD[job.device.type])
    for group in groups:
        job.meter.place(job.lengths[group], job.layout)
    return groups


def finish_epoch(job: Job, state: State, saver: Saver) -> None:
    """Judge the network on the validation texts where there are any, keep the best weights, and tell the run."""
    job.watch.settle(job, state)
    judgement, best = None, False
    if job.validation is not None:
        try:
            with job.team.waiting():
                scores = score(job.network, job.encoder, job.validation.features, job.labels, job.device, job.context)
        except Stopped:
            _stop(job, state, saver)
        judgement = job.context.judge(scores)
        best = state.take(judgement.value, job.network)
    state.judged = state.step
    job.context.emit(
        EpochFinished(
            epoch=math.ceil(state.step / job.epoch_steps),
            epochs=job.options.epochs,
            step=state.step,
            loss=state.mean_loss(),
            validation=judgement.metrics if judgement else None,
            best=best,
            objective=job.lesson.name,
        )
    )
    state.loss_sum, state.loss_rows = 0.0, 0


def mean_loss(job: Job, state: State) -> float:
    """Return the mean loss of the rows since the last epoch's end."""
    job.watch.settle(job, state)
    return state.mean_loss()


def _stop(job: Job, state: State, saver: Saver) -> None:
    saver.save(state)
    saver.wait()
    kept = "its state is saved" if job.context.checkpoints else "nothing is kept of it"
    raise Stopped(f"{job.lesson.name or 'training'} was stopped after step {state.step} of {job.steps}; {kept}")


def _halve(job: Job, state: State) -> None:
    """Go on with micro-batches of half the size, a few times."""
    if state.halvings == HALVINGS or state.micro_batch == 1:
        raise ResourceError(
            f"not enough memory on {job.device} for {state.micro_batch} texts at once; lower encoder.max_length or "
            "take a smaller checkpoint"
        )
    before, state.micro_batch, state.halvings = state.micro_batch, (state.micro_batch + 1) // 2, state.halvings + 1
    job.context.warn(
        f"not enough memory on {job.device} for {before} texts at once: trainer.micro_batch is now "
        f"{state.micro_batch}, the batch of {job.options.batch_size} stays"
    )
    if job.device.type == "cuda":
        torch.cuda.empty_cache()
