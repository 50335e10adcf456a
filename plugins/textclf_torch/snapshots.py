"""Owns how the state of a training is kept in checkpoints, and taken up again to the same bits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from textclf import ArtefactError, Layout, Stopped

from .arithmetic import Arithmetic
from .nested import put_together, take_apart
from .states import State, Tensors, generators, set_generators

if TYPE_CHECKING:
    from .job import Job

FORMAT = 2
NETWORK, BEST, OPTIMIZER = "network.safetensors", "best.safetensors", "optimizer.safetensors"
STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A training's state, copied to the host, so that training can go on while it is written.

    step: counted over all phases. files: the tensors of each file. told: everything else. copied: waits until the GPU
    has copied all of it.
    """

    step: int
    files: dict[str, Tensors]
    told: dict[str, Any]
    copied: Callable[[], None]


def snapshot(job: Job, state: State) -> Snapshot:
    """Copy all that `resume` needs; nothing that training computes depends on whether this is done."""
    job.watch.settle(job, state)
    tensors: Tensors = {}
    parts = {
        "optimizer": job.optimizer.state_dict(),
        "scaler": job.scaler.state_dict(),
        "generators": generators(job.device),
        "team": job.team.states(),
    }
    told = {
        "format": FORMAT,
        "state": {each.name: getattr(state, each.name) for each in fields(State) if each.name != "best"},
        "arithmetic": asdict(job.arithmetic),
        "layout": job.layout,
        "threads": torch.get_num_threads(),
        "parts": {name: take_apart(part, tensors, name) for name, part in parts.items()},
    }
    files = {NETWORK: _on_host(job.network.state_dict()), OPTIMIZER: _on_host(tensors)}
    if state.best is not None:
        files[BEST] = state.best  # never written to again: a better one takes its place
    return Snapshot(job.before + state.step, files, told, _copied(job.device))


def write(kept: Snapshot, folder: Path, abandoned: Callable[[], bool]) -> None:
    """Write a snapshot into an empty folder; `abandoned` is asked before each file."""
    kept.copied()
    for name, tensors in kept.files.items():
        if abandoned():
            raise Stopped("the checkpoint was abandoned")
        try:
            save_file(tensors, folder / name)
        except SafetensorError as error:
            raise _of_system(error) from error
    (folder / STATE).write_text(json.dumps(kept.told), "utf-8")


def arithmetic_of(folder: Path) -> Arithmetic:
    """Return the arithmetic a checkpoint was made with: a resumed run measures nothing anew."""
    try:
        return Arithmetic(**_told(folder)["arithmetic"])
    except (TypeError, KeyError) as error:
        raise _unfit(folder, error) from None


def layout_of(folder: Path) -> Layout:
    """Return the layout of batches that a checkpoint was made with."""
    layout: Layout = _told(folder)["layout"]
    return layout


def phase_of(folder: Path) -> int:
    """Return how many phases of the training were over when a checkpoint was made."""
    try:
        return int(_told(folder)["state"].get("phase", 0))
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise _unfit(folder, error) from None


def resume(job: Job, folder: Path) -> State:
    """Put network, optimiser and generators where a checkpoint left them, and return its state."""
    told = _told(folder)
    try:
        state = State(**told["state"])
        job.network.load_state_dict(load_file(folder / NETWORK))
        tensors = load_file(folder / OPTIMIZER)
        parts = {name: put_together(part, tensors) for name, part in told["parts"].items()}
        job.optimizer.load_state_dict(parts["optimizer"])
        job.scaler.load_state_dict(parts["scaler"])
        set_generators(parts["generators"], job.device)
        job.team.take_up(parts["team"], state)
        if (folder / BEST).is_file():
            state.best = load_file(folder / BEST)
    except (OSError, RuntimeError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _unfit(folder, error) from None
    if told.get("threads") != torch.get_num_threads():
        job.context.warn(
            f"this training began with {told.get('threads')} threads and goes on with {torch.get_num_threads()}: "
            "its last bits may differ; set OMP_NUM_THREADS to have the same"
        )
    return state


def _on_host(tensors: Tensors) -> Tensors:
    """Return copies that share no memory with anything, as safetensors demands; those of a GPU are under way."""
    return {name: _copy(tensor.detach()) for name, tensor in tensors.items()}


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    # Pinned memory lets a GPU copy by itself while its next step is prepared; PyTorch keeps it for the next snapshot.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    return host.copy_(tensor, non_blocking=tensor.is_cuda)


def _copied(device: torch.device) -> Callable[[], None]:
    if device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record()
    return event.synchronize


def _of_system(error: SafetensorError) -> Exception:
    """Return the system's error behind one of safetensors, which gives its number in words only."""
    number = re.search(r"os error (\d+)", str(error))
    return OSError(int(number[1]), str(error)) if number else error


def _unfit(folder: Path, error: Exception) -> ArtefactError:
    reason = " ".join(str(error).split()) or type(error).__name__
    reason = reason if len(reason) <= 400 else reason[:400] + " ..."
    return ArtefactError(f"the checkpoint '{folder}' does not fit this training: {reason}")


def _told(folder: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((folder / STATE).read_text("utf-8"))
        if told["format"] != FORMAT:
            raise ValueError(f"its format is {told['format']}, not {FORMAT}")
        return told
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"the checkpoint '{folder}' is no state of trainer 'torch': {error}") from None
