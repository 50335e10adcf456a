"""Checkpoints of a training: saved when due, resumed to the same bits."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from textclf import ArtefactError, Layout, Stopped

from .precision import Arithmetic
from .state import State, Tensors, generators, set_generators

if TYPE_CHECKING:
    from .job import Job


_TENSOR, _ITEMS, _TUPLE = "tensor", "items", "tuple"


def take_apart(value: Any, tensors: dict[str, torch.Tensor], name: str) -> Any:
    """Put the tensors of a value into `tensors`, by names that begin with `name`, and return the rest as JSON."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, dict):
        # Pairs, since JSON would make words of an optimiser's numbered parameters.
        return {_ITEMS: [[key, take_apart(each, tensors, f"{name}.{key}")] for key, each in value.items()]}
    if isinstance(value, (list, tuple)):
        parts = [take_apart(each, tensors, f"{name}.{at}") for at, each in enumerate(value)]
        return {_TUPLE: parts} if isinstance(value, tuple) else parts
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold")


def put_together(told: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return the value that `take_apart` took apart."""
    if isinstance(told, list):
        return [put_together(each, tensors) for each in told]
    if not isinstance(told, dict):
        return told
    if _TENSOR in told:
        return tensors[told[_TENSOR]]
    if _TUPLE in told:
        return tuple(put_together(each, tensors) for each in told[_TUPLE])
    return {key: put_together(each, tensors) for key, each in told[_ITEMS]}


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


# The share of the time that saving may take.
SHARE, SHARE_AT_EPOCHS = 0.01, 0.05
# Seconds between two saves, at least and at most, whatever they cost; an epoch's end need not wait for the least.
LEAST, MOST = 10.0, 300.0
# Bytes that are copied and written in a second, until that was measured.
USUAL = 500e6


class Saver:
    """Saves a training's state where that is due: copied at the step, written by one thread, at most one at a time.

    Due is a save, unless `checkpoint_every` says how many steps lie between two, once a hundred times what the last
    one cost has passed, at an epoch's end twenty times; at the latest such that five minutes after the last saved step
    the next one is on the disk. What a save cost is how long it held up training, and its thread's time on a core.
    """

    def __init__(self, job: Job, state: State, clock: Callable[[], float] = time.monotonic) -> None:
        self._job, self._clock = job, clock
        self._store = job.context.checkpoints
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[None] | None = None
        self._abandoned = False
        self._saved, self._at = (state.step, state.judged), clock()
        size = 3 * sum(p.numel() * p.element_size() for p in job.network.parameters())
        self._held, self._busy, self._took = 0.0, size / USUAL, size / USUAL

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread, so that nothing is written once the training is over; a second Ctrl-C cuts it short."""
        self._abandoned = isinstance(error, KeyboardInterrupt)
        self._thread.shutdown()
        if error is None:
            self.wait()
        elif self._pending is not None and (failure := self._pending.exception()) and not self._abandoned:
            self._job.context.warn(f"the last checkpoint was not saved: {failure}")

    def save_if_due(self, state: State) -> None:
        """Save where that is due; an error of the thread that it has met so far is raised here."""
        if self._pending is not None and self._pending.done():
            self.wait()
        if self._due(state):
            self.save(state)

    def save(self, state: State) -> None:
        """Save the state, unless it is saved already."""
        if self._store is None or self._saved == (state.step, state.judged):
            return
        began = self._clock()
        self.wait()
        kept = snapshot(self._job, state)
        self._saved, self._at = (state.step, state.judged), self._clock()
        self._held = self._at - began
        self._pending = self._thread.submit(self._write, kept)

    def wait(self) -> None:
        """Wait until what was to be saved is on the disk, or raise what kept it from it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _due(self, state: State) -> bool:
        every: int | None = self._job.options.checkpoint_every
        judged = state.judged == state.step
        if every is not None:
            return state.step % every == 0 and (judged or not self._job.ends_epoch(state.step))
        share, least = (SHARE_AT_EPOCHS, 0.0) if judged else (SHARE, LEAST)
        pause = max(least, (self._held + self._busy) / share)
        return self._clock() - self._at >= min(pause, MOST - self._took)

    def _write(self, kept: Snapshot) -> None:
        assert self._store is not None
        began, busy = self._clock(), time.thread_time()
        self._store.save(kept.step, lambda folder: write(kept, folder, lambda: self._abandoned))
        self._busy, self._took = time.thread_time() - busy, self._clock() - began
