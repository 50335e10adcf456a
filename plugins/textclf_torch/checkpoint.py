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


def flatten(value: Any, tensors: dict[str, torch.Tensor], name: str) -> Any:
    """Move the tensors of a value into `tensors`, under names that begin with `name`, and return the rest as JSON."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, dict):
        # Pairs, since JSON would turn the numbers of an optimiser's parameters into strings.
        return {_ITEMS: [[key, flatten(each, tensors, f"{name}.{key}")] for key, each in value.items()]}
    if isinstance(value, (list, tuple)):
        parts = [flatten(each, tensors, f"{name}.{at}") for at, each in enumerate(value)]
        return {_TUPLE: parts} if isinstance(value, tuple) else parts
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold")


def unflatten(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return the value that `flatten` took apart."""
    if isinstance(value, list):
        return [unflatten(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        return tensors[value[_TENSOR]]
    if _TUPLE in value:
        return tuple(unflatten(each, tensors) for each in value[_TUPLE])
    return {key: unflatten(each, tensors) for key, each in value[_ITEMS]}


FORMAT = 2
NETWORK, BEST, OPTIMIZER = "network.safetensors", "best.safetensors", "optimizer.safetensors"
STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A training's state, copied to the host, so that training can continue while it is written.

    step: counted over all phases. files: the tensors of each file. values: everything else, as JSON. copied: waits
    until the GPU has copied all of it.
    """

    step: int
    files: dict[str, Tensors]
    values: dict[str, Any]
    copied: Callable[[], None]


def snapshot(job: Job, state: State) -> Snapshot:
    """Copy all that `resume` needs; nothing that training computes depends on whether this is done."""
    # A sync point: a state whose losses were not read yet may be that of a training that diverged.
    job.divergence.flush(job, state)
    tensors: Tensors = {}
    parts = {
        "optimizer": job.optimizer.state_dict(),
        "scaler": job.scaler.state_dict(),
        "generators": generators(job.device),
        "team": job.team.states(),
    }
    values = {
        "format": FORMAT,
        "state": {each.name: getattr(state, each.name) for each in fields(State) if each.name != "best"},
        "arithmetic": asdict(job.arithmetic),
        "layout": job.layout,
        "threads": torch.get_num_threads(),
        "parts": {name: flatten(part, tensors, name) for name, part in parts.items()},
    }
    files = {NETWORK: _on_host(job.network.state_dict()), OPTIMIZER: _on_host(tensors)}
    if state.best is not None:
        files[BEST] = state.best  # never changed again: a better epoch replaces the dictionary
    return Snapshot(job.before + state.step, files, values, _copied(job.device))


def write(taken: Snapshot, folder: Path, abandoned: Callable[[], bool]) -> None:
    """Write a snapshot into an empty folder; a Stopped error once `abandoned()` is true before a file."""
    taken.copied()
    for name, tensors in taken.files.items():
        if abandoned():
            raise Stopped("the checkpoint was abandoned")
        try:
            save_file(tensors, folder / name)
        except SafetensorError as error:
            raise _of_system(error) from error
    (folder / STATE).write_text(json.dumps(taken.values), "utf-8")


def arithmetic_of(folder: Path) -> Arithmetic:
    """Return the arithmetic that a checkpoint was made with: a resumed run does not measure again."""
    try:
        return Arithmetic(**_read(folder)["arithmetic"])
    except (TypeError, KeyError) as error:
        raise _mismatch(folder, error) from None


def layout_of(folder: Path) -> Layout:
    """Return the layout of batches that a checkpoint was made with."""
    layout: Layout = _read(folder)["layout"]
    return layout


def phase_of(folder: Path) -> int:
    """Return how many phases of the training were over when a checkpoint was made."""
    try:
        return int(_read(folder)["state"].get("phase", 0))
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise _mismatch(folder, error) from None


def resume(job: Job, folder: Path) -> State:
    """Load network, optimiser and generators from a checkpoint, and return its state."""
    values = _read(folder)
    try:
        state = State(**values["state"])
        job.network.load_state_dict(load_file(folder / NETWORK))
        tensors = load_file(folder / OPTIMIZER)
        parts = {name: unflatten(part, tensors) for name, part in values["parts"].items()}
        job.optimizer.load_state_dict(parts["optimizer"])
        job.scaler.load_state_dict(parts["scaler"])
        set_generators(parts["generators"], job.device)
        job.team.restore(parts["team"], state)
        if (folder / BEST).is_file():
            state.best = load_file(folder / BEST)
    except (OSError, RuntimeError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _mismatch(folder, error) from None
    if values.get("threads") != torch.get_num_threads():
        job.context.warn(
            f"this training began with {values.get('threads')} threads and resumes with {torch.get_num_threads()}: "
            "its last bits may differ; set OMP_NUM_THREADS to have the same"
        )
    return state


def _on_host(tensors: Tensors) -> Tensors:
    """Return copies that share no memory, as safetensors requires; those of a GPU may still be in progress."""
    return {name: _copy(tensor.detach()) for name, tensor in tensors.items()}


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    # Pinned memory lets a GPU copy while its next step is prepared; PyTorch reuses it for the next snapshot.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    return host.copy_(tensor, non_blocking=tensor.is_cuda)


def _copied(device: torch.device) -> Callable[[], None]:
    if device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    event.record()
    return event.synchronize


def _of_system(error: SafetensorError) -> Exception:
    """Return the operating system's error behind one of safetensors, which has its number in the text only."""
    number = re.search(r"os error (\d+)", str(error))
    return OSError(int(number[1]), str(error)) if number else error


def _mismatch(folder: Path, error: Exception) -> ArtefactError:
    reason = " ".join(str(error).split()) or type(error).__name__
    reason = reason if len(reason) <= 400 else reason[:400] + " ..."
    return ArtefactError(f"the checkpoint '{folder}' does not fit this training: {reason}")


def _read(folder: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads((folder / STATE).read_text("utf-8"))
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']}, not {FORMAT}")
        return values
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"the checkpoint '{folder}' is no state of trainer 'torch': {error}") from None


# The share of the time that saving may take.
SHARE, SHARE_AT_EPOCHS = 0.01, 0.05
# Seconds between two saves, at least and at most, whatever they cost; at an epoch's end there is no least.
LEAST, MOST = 10.0, 300.0
# Bytes that are copied and written in a second, until that is measured.
USUAL = 500e6


class Saver:
    """Saves a training's state when due: copied at the step, written by one thread, one at a time.

    Without `checkpoint_every` a save is due once a hundred times the cost of the last one has passed, twenty times at
    an epoch's end, and in time for the next one to be on the disk five minutes after the last saved step. The cost of
    a save is how long it held up training, and its thread's time on a core.
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
        """Wait for the thread, so that nothing is written once the training is over; a second Ctrl-C shortens that."""
        self._abandoned = isinstance(error, KeyboardInterrupt)
        self._thread.shutdown()
        if error is None:
            self.wait()
        elif self._pending is not None and (failure := self._pending.exception()) and not self._abandoned:
            self._job.context.warn(f"the last checkpoint was not saved: {failure}")

    def save_if_due(self, state: State) -> None:
        """Save if due; raises an error that the thread has met since the last call."""
        if self._pending is not None and self._pending.done():
            self.wait()
        if self._due(state):
            self.save(state)

    def save(self, state: State) -> None:
        """Save the state, unless it is saved."""
        if self._store is None or self._saved == (state.step, state.judged):
            return
        began = self._clock()
        self.wait()
        taken = snapshot(self._job, state)
        self._saved, self._at = (state.step, state.judged), self._clock()
        self._held = self._at - began
        self._pending = self._thread.submit(self._write, taken)

    def wait(self) -> None:
        """Wait until the state is on the disk; raises the error of the thread."""
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

    def _write(self, taken: Snapshot) -> None:
        assert self._store is not None
        began, busy = self._clock(), time.thread_time()
        self._store.save(taken.step, lambda folder: write(taken, folder, lambda: self._abandoned))
        self._busy, self._took = time.thread_time() - busy, self._clock() - began
