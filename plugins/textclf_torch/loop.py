"""The training loop, top to bottom: `run` repeats `take_step`, whose `gradient` is what `accumulate` adds up.

Two things stand behind a seam each, since most trainings do without them: `job.lanes` carry a batch through the network
(in this thread; on a CPU in two, `cpu/lanes.py`), and `job.team` are the processes that share a batch
(`distributed/team.py`). `job.monitor` counts, times and reports; no number of a training depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch

from textclf import EpochFinished, ResourceError, Stopped

from . import forecast, optimizer
from .accounts import accounted
from .batches import PACKED_BUDGET, micro_batches, packed_batches
from .checkpoint import Saver
from .device import out_of_memory
from .job import Job
from .meter import FirstSteps, Reporter
from .precision import HALF
from .scoring import score
from .state import State, generators, set_generators

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# What one more forward and backward pass costs, in tokens: launching kernels on a GPU, calling them on a CPU.
OVERHEAD = {"cpu": 64, "mps": 2048, "cuda": 8192}
HALVINGS = 4


def run(job: Job, state: State) -> State:
    """Train from `state` to the end, and leave the network with the weights of the best epoch."""
    first_steps = None
    if not job.is_over(state):
        forecast.announce(job, resumed=state.step > 0)
        first_steps = FirstSteps(partial(forecast.announce_time, job, state.step))
    with accounted(job, state), Saver(job, state) as saver:
        job.monitor.begin(job.device, Reporter(job.context, job.stage, job.steps, "steps"), first_steps)
        while True:
            # All that decides the next step is in the state: whatever is saved here is resumed to the same bits.
            saver.save_if_due(state)
            if job.ends_epoch(state.step) and state.judged < state.step:
                finish_epoch(job, state, saver)
                saver.save_if_due(state)
            if job.is_over(state):
                break
            if job.context.stopping():
                _stop(job, state, saver)
            job.monitor.before_step()
            # The order of an epoch is a function of the seed and the epoch, not the next draw of a generator: a resumed
            # run has the same batches without storing an order, and so has every process of a team without being sent
            # one.
            rows = job.rows(state.step)
            job.team.begin(state.step)
            take_step(job, state, rows)
            state.step += 1
            job.monitor.after_step(state.step, job.lengths[rows], loss=partial(mean_loss, job, state))
        saver.save(state)
    if state.best is not None:
        job.network.load_state_dict(state.best)
    return state


def take_step(job: Job, state: State, rows: NDArray[np.int64]) -> None:
    """Take one step of the optimiser on a batch; one that diverges leaves the weights alone."""
    if job.options.unfreeze is not None:
        job.unfreezing.begin(state.step)
    losses, their_rows = job.team.total(job.network, *gradient(job, state, rows), rows)
    job.monitor.lap("sharing")
    job.scaler.unscale_(job.optimizer)
    # On a CPU this only computes the norm, and AdamW divides each number by it as it reads the gradient (`grad_scale`).
    # Clipping in a pass of its own would read and write all gradients once more, where memory is what limits a step.
    norm = optimizer.clip_gradients(job)
    # With `found_inf` at 1 the fused AdamW leaves weights and averages as they are, which is how gradient scalers skip
    # a step. So a GPU decides by itself not to take a bad step, nor any after it, and the host need not wait to look:
    # it does so a few times a second, inside of `record`. That is the one sync point of a step on a GPU, beside those
    # of a gradient scaler. On a CPU there is nothing to wait for, and a bad step is an error at once.
    job.optimizer.found_inf = job.divergence.record(job, state, losses, norm, their_rows)  # type: ignore[attr-defined]
    optimizer.set_rates(job, state.step)
    optimizer.step(job)
    job.scaler.update()
    optimizer.zero_grad(job)
    job.monitor.lap("optimiser")


def gradient(job: Job, state: State, rows: NDArray[np.int64]) -> tuple[torch.Tensor, list[int]]:
    """Leave the gradient of this process's rows in the network, and return their losses, and those rows.

    Where memory does not suffice, the batch is done again in micro-batches of half the size.
    """
    while True:
        before = generators(job.device)
        job.lanes.begin(state.step)
        try:
            return accumulate(job, rows, state.micro_batch, state.step // job.epoch_steps)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        # Outside of `except`: the error's traceback holds on to the tensors that did not fit.
        optimizer.zero_grad(job)
        # The second try draws the dropout that the first one drew.
        set_generators(before, job.device)
        _halve(job, state)


def accumulate(job: Job, rows: NDArray[np.int64], most: int, epoch: int = 0) -> tuple[torch.Tensor, list[int]]:
    """Add up the gradient of a batch over micro-batches of at most `most` rows, each weighted by its share."""
    job.network.train()
    half = HALF.get(job.arithmetic.precision)
    # The weight of the whole batch, whatever part of it is done here: the sum over all micro-batches, threads and
    # processes is then the batch's gradient, however it was cut.
    weight = job.objective.total_weight(rows, epoch, job.device)
    parts = job.lanes.cut(job.team.part(rows, job.lengths), job.lengths)
    lanes = [_micro_batches(job, part, most) for part in parts]

    def carry(groups: Sequence[NDArray[np.int64]]) -> list[torch.Tensor]:
        losses = []
        # Autocast keeps its casts of weights until it is left: held open over all micro-batches, it makes one a step.
        with torch.autocast(job.device.type, dtype=half, enabled=half is not None):
            for group in groups:
                batch = job.objective.collate(group, epoch, job.layout, job.device)
                job.monitor.lap("collating")
                output = job.network(**batch)
                # Losses and gradients are computed in the numbers that they come in; the casts are still kept.
                with torch.autocast(job.device.type, enabled=False):
                    each = job.objective.losses(output, group)
                    job.monitor.lap("forward")
                    # In one thread that is `backward`. Two threads must not add to one gradient at the same time, and
                    # not in any order if resumed runs are to have the same bits: there `autograd.grad` returns the
                    # gradient of each, and they are added up once both have ended.
                    job.lanes.differentiate(job.scaler.scale(each.sum() / weight))
                    job.monitor.lap("backward")
                # The mean of these over the batch is the loss that is minimised. They stay on the device: reading
                # them here would wait for it.
                losses.append(each.detach() * (len(rows) / weight))
        return losses

    losses = job.lanes.carry(carry, lanes)
    job.monitor.lap("adding up")
    return torch.cat([torch.zeros(0, device=job.device), *losses]), [int(r) for lane in lanes for g in lane for r in g]


def _micro_batches(job: Job, rows: NDArray[np.int64], most: int) -> list[NDArray[np.int64]]:
    """Cut rows into what goes through the network at once: texts of like length, so that little is padding."""
    if job.layout == "packed":
        groups = packed_batches(rows, job.lengths, most, PACKED_BUDGET[job.device.type])
    else:
        groups = micro_batches(rows, job.lengths, most, OVERHEAD[job.device.type])
    for group in groups:
        job.monitor.count_places(job.lengths[group], job.layout)
    return groups


def finish_epoch(job: Job, state: State, saver: Saver) -> None:
    """Evaluate the network on the validation texts where there are any, keep the best weights, and emit the event."""
    job.monitor.lap("saving")
    # A sync point: all losses of the epoch are read, and nothing is evaluated or kept of a training that diverged.
    job.divergence.flush(job, state)
    judgement, best = None, False
    if job.validation is not None:
        try:
            with job.team.waiting():
                scores = score(job.network, job.encoder, job.validation.features, job.labels, job.device, job.context)
        except Stopped:
            _stop(job, state, saver)
        judgement = job.context.judge(scores)
        best = state.keep_if_best(judgement.value, job.network)
    state.judged = state.step
    job.context.emit(
        EpochFinished(
            epoch=math.ceil(state.step / job.epoch_steps),
            epochs=job.options.epochs,
            step=state.step,
            loss=state.mean_loss(),
            validation=judgement.metrics if judgement else None,
            best=best,
            objective=job.objective.name,
        )
    )
    state.loss_sum, state.loss_rows = 0.0, 0
    job.monitor.lap("judging")


def mean_loss(job: Job, state: State) -> float:
    """Return the mean loss of the rows since the last epoch's end: a sync point, a few times a second at most."""
    job.divergence.flush(job, state)
    return state.mean_loss()


def _stop(job: Job, state: State, saver: Saver) -> None:
    saver.save(state)
    saver.wait()
    saved = "its state is saved" if job.context.checkpoints else "nothing of it is saved"
    raise Stopped(f"{job.objective.name or 'training'} was stopped after step {state.step} of {job.steps}; {saved}")


def _halve(job: Job, state: State) -> None:
    """Make the following micro-batches half as large; a ResourceError after a few times."""
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
