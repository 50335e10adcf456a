"""The leader of several processes: starts workers, sends them orders, and ends them."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import distributed

import textclf
from textclf import Chosen, Engine, PluginError, ResourceError, TextclfError

from ..options import cores
from .team import ProcessGroup, connect

if TYPE_CHECKING:
    from ..job import Job


LOST = 76  # the exit status of a worker that ended because another process did
GRACE = 10.0
OBJECTIVE = "objective.safetensors"  # where workers find the weights of the network that an objective trains


class Worker:
    """One worker: a fresh interpreter that reads orders from stdin and writes answers to stdout, as lines of JSON."""

    def __init__(self, folder: Path, rank: int, size: int) -> None:
        self._name = f"process {rank + 1} of {size}"
        self._log = folder / f"worker-{rank}.log"
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._error: dict[str, Any] | None = None
        self.at_end: Callable[[], None] = lambda: None
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C in a terminal is for rank 0, which ends the others. `-P`: imports no module
            # from the current folder.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.worker", str(folder), str(rank)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True, env=_environment(),
            )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, name=self._name, daemon=True)
        self._listener.start()

    @property
    def ended(self) -> bool:
        """Return whether its output has ended; all of its messages are then in the queue."""
        return not self._listener.is_alive()

    def send(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        # If it has ended, `check` raises the reason.
        with suppress(OSError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def message(self, wait: float = 0.0) -> dict[str, Any] | None:
        """Return the next message, or None where there is none."""
        try:
            message = self._messages.get(timeout=wait) if wait else self._messages.get_nowait()
        except queue.Empty:
            return None
        if "error" in message:
            self._error = message
        return message

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def reason(self) -> TextclfError:
        """Return the worker's own error, the signal that killed it, or the last line that it wrote to stderr."""
        while self._error is None and self.message() is not None:
            pass
        if self._error is not None:
            kind = getattr(textclf, self._error["error"])
            found: TextclfError = kind(f"{self._name}: {self._error['message']}")
            return found
        status = self.wait(GRACE)
        if status is not None and status < 0:
            name = signal.Signals(-status).name
            memory = ", as the system does where memory runs out" if name == "SIGKILL" else ""
            return ResourceError(f"{self._name} was killed by {name}{memory}; continue with `textclf resume`")
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        last = f": {lines[-1].strip()}" if lines else ""
        return ResourceError(f"{self._name} ended with status {status}{last}; continue with `textclf resume`")

    def end(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        # It ends by itself as soon as stdin is closed, and has nothing to lose.
        if self.wait(GRACE / 5) is None:
            self._process.kill()
            self._process.wait()
        self._listener.join(GRACE)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.endswith(b"\n"):  # the last line of a process that is killed may be incomplete
                    self._messages.put(json.loads(line))
        self.at_end()


def _environment() -> dict[str, str]:
    """Return the environment of a worker, in which it finds the modules that this process finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@contextmanager
def with_workers(job: Job, checkpoint: Path | None) -> Iterator[Job]:
    """Share the job among as many processes as `trainer.devices` says; none of them outlives this block."""
    size: int = job.options.devices
    if size == 1:
        yield job
        return
    devices = devices_of(job.device, size)
    _check_plugin(job, size)
    before = torch.get_num_threads()
    each = max(1, before // size) if job.device.type == "cpu" else before
    folder = Path(tempfile.mkdtemp(prefix="team-", dir=job.context.work))
    workers = Workers(job, size)
    torch.set_num_threads(each)
    try:
        _write_outline(job, folder, checkpoint, devices, each)
        workers.start(folder)
        team = ProcessGroup(0, size, workers.join_group(folder), job.device, workers, before)
        if checkpoint is None:
            what = f"{size} GPUs" if job.device.type == "cuda" else f"{size}, of {each} threads"
            job.context.emit(Chosen(what="processes", choice=what))
        yield replace(job, team=team)
        workers.finish()
    except RuntimeError as error:
        # On a GPU the end of a process shows at the next result that is waited for.
        if not workers.worker_died:
            raise
        raise workers.lost(error) from None
    finally:
        workers.end()
        torch.set_num_threads(before)
        shutil.rmtree(folder, ignore_errors=True)


class Workers:
    """All workers of a training."""

    def __init__(self, job: Job, size: int) -> None:
        self._job, self._size = job, size
        self._workers: list[Worker] = []

    def start(self, folder: Path) -> None:
        """Start all, and wait until each has its network and its data."""
        for rank in range(1, self._size):
            self._workers.append(Worker(folder, rank, self._size))
        self._answers("ready")

    def join_group(self, folder: Path) -> Any:
        """Return the group that all join. A thread joins it, so that the end of a worker is noticed meanwhile."""
        self._send(do="meet")
        found: list[Any] = []
        device = self._job.device
        joining = threading.Thread(target=lambda: found.append(connect(folder, 0, self._size, device)), daemon=True)
        joining.start()
        while joining.is_alive():
            self.check()
            joining.join(0.01)
        if not found:
            raise ResourceError(f"the {self._size} processes of the training could not reach each other")
        for worker in self._workers if device.type == "cuda" else ():
            # NCCL would wait for ever for a process that has ended.
            worker.at_end = found[0].abort
        return found[0]

    @property
    def worker_died(self) -> bool:
        return any(worker.ended for worker in self._workers)

    def begin(self, step: int) -> None:
        self.check()
        self._send(do="step", step=step)

    def states(self) -> list[dict[str, Any]]:
        self._send(do="state")
        states = self._answers("state")
        return [{**each, "generators": [_tensor(hexed) for hexed in each["generators"]]} for each in states]

    def check(self) -> None:
        """Pass on warnings of the workers; raise the reason if one has ended."""
        for worker in self._workers:
            while (message := worker.message()) is not None:
                self._handle(message)
        if self.worker_died:
            raise self._reason()

    def lost(self, error: RuntimeError) -> Exception:
        until = time.monotonic() + GRACE
        while time.monotonic() < until and not self.worker_died:
            time.sleep(0.05)
        if self.worker_died:
            return self._reason()
        return ResourceError(
            f"the {self._size} processes of the training lost their connection: {_first_line(str(error))}"
        )

    def finish(self) -> None:
        """End all after the last step; raise the reason if one has failed."""
        if self._job.device.type == "cuda":
            torch.cuda.synchronize()
        self._send(do="end")
        if any(worker.wait(GRACE) not in (0, None) for worker in self._workers):
            raise self._reason()

    def end(self) -> None:
        """End all at once; a worker ends by itself as soon as its orders do."""
        for worker in self._workers:
            worker.end()

    def _send(self, **order: Any) -> None:
        for worker in self._workers:
            worker.send(order)

    def _answers(self, name: str) -> list[Any]:
        found: list[Any] = []
        for worker in self._workers:
            while True:
                message = worker.message(wait=0.2)
                if message is not None and name in message:
                    found.append(message[name])
                    break
                if message is not None:
                    self._handle(message)
                elif self.worker_died:
                    raise self._reason()
        return found

    def _handle(self, message: Mapping[str, Any]) -> None:
        if "warning" in message:
            self._job.context.warn(message["warning"])

    def _reason(self) -> TextclfError:
        """Return why the training cannot continue: the error of the first worker that did not just lose another one."""
        until = time.monotonic() + GRACE / 2
        while True:
            ended = [worker for worker in self._workers if worker.ended]
            failed = [worker for worker in ended if worker.wait(GRACE) != LOST]
            if failed:
                return failed[0].reason()
            if time.monotonic() > until:
                return ResourceError(
                    "the processes of the training lost their connection; continue with `textclf resume`"
                )
            time.sleep(0.05)


def _write_outline(job: Job, folder: Path, checkpoint: Path | None, devices: list[str], threads: int) -> None:
    """Write what the workers build their job from: plain files, the data as arrays that they map into memory."""
    model, data = folder / "model", folder / "data"
    model.mkdir()
    data.mkdir()
    job.encoder.save(model)
    job.encoder.save_network(job.classifier, model)
    np.save(data / "labels.npy", job.train.labels, allow_pickle=False)
    for part, tokens in (("train", job.train.features), ("unlabelled", job.train.unlabelled)):
        for name in ("ids", "offsets", "cuts"):
            if tokens is not None and getattr(tokens, name) is not None:
                np.save(data / f"{part}_{name}.npy", getattr(tokens, name), allow_pickle=False)
    if job.objective.name:
        # The encoder saves the body only; the objective's head comes from the checkpoint or was drawn at random.
        weights = job.network.state_dict()
        save_file({name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}, folder / OBJECTIVE)
    outline = {
        "encoder": job.context.steps["encoder"],
        "labels": asdict(job.labels),
        "options": job.options.model_dump(mode="json"),
        "arithmetic": asdict(job.arithmetic),
        "layout": job.layout,
        "frozen": [name for name, p in job.classifier.named_parameters() if not p.requires_grad],
        "phase": job.phase,
        "before": job.before,
        "seed": job.context.seed,
        "checkpoint": None if checkpoint is None else str(checkpoint.absolute()),
        "devices": devices,
        "threads": threads,
    }
    (folder / "outline.json").write_text(json.dumps(outline), "utf-8")


def devices_of(device: torch.device, size: int) -> list[str]:
    """Return the device of each rank; a ResourceError if there are too few."""
    if not distributed.is_available():
        raise ResourceError(
            f"trainer.devices is {size}, but PyTorch {torch.__version__} is a build without torch.distributed; set it "
            "to 1"
        )
    if device.type == "cpu":
        if size > cores():
            raise ResourceError(f"trainer.devices is {size}, too many for the cores here, {cores()}; lower it")
        return ["cpu"] * size
    found = torch.cuda.device_count() if device.type == "cuda" else 1
    if size > found:
        gpus = "1 GPU" if found == 1 else f"{found} GPUs"
        raise ResourceError(f"trainer.devices is {size}, but PyTorch finds {gpus}; lower it")
    own = torch.cuda.current_device()
    return [f"cuda:{index}" for index in (own, *(i for i in range(found) if i != own))][:size]


def _check_plugin(job: Job, size: int) -> None:
    """Raise a PluginError if a fresh interpreter would not find the encoder."""
    step = job.context.steps.get("encoder")
    if step is None:
        raise PluginError(f"trainer.devices is {size}, but the context has no steps; set it to 1")
    installed = {
        offer.plugin.module
        for offer in Engine().registry.registrations
        if offer.kind == "encoder" and offer.component.name == step["use"]
    }
    if step["plugin"] not in installed:
        name = step.get("file", step["plugin"])
        raise PluginError(
            f"trainer.devices is {size}, but plugin {name}, which offers encoder '{step['use']}', is not "
            "installed, so other processes cannot find it; install it, or set trainer.devices to 1"
        )


def _tensor(hexed: str) -> torch.Tensor:
    return torch.frombuffer(bytearray.fromhex(hexed), dtype=torch.uint8)


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "no reason is known")
