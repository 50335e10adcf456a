"""A worker process of a training: `python -m textclf_torch.distributed.worker FOLDER RANK`.

It ends when its orders end, whatever it is doing: no worker outlives the process that started it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from textclf import Context, Encoded, Engine, Labels, PluginError, TextclfError, Tokens

from .. import checkpoint, loop
from .. import state as states

if TYPE_CHECKING:
    from textclf import Event

    from ..job import Job
    from ..state import State


class Channel:
    """The channel to rank 0: orders from stdin, messages to the original stdout; `print` writes to stderr."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def orders(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self._orders.get()

    def send(self, **message: Any) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def _listen(self) -> None:
        for order in sys.stdin.buffer:
            self._orders.put(json.loads(order))
        # Rank 0 has ended, or is done; this process has nothing to save.
        os._exit(0)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The context of a worker: warnings go to rank 0, and rank 0 decides."""

    seed: int
    work: Path
    channel: Channel
    name: str
    cache: None = None
    offline: bool = True
    fast: bool = False
    checkpoints: None = None
    steps: Mapping[str, Any] = field(default_factory=dict)

    def judge(self, scores: Any) -> NoReturn:
        raise PluginError("only the first process of a training evaluates")

    def emit(self, event: Event) -> None:
        """Emit nothing: rank 0 emits the same."""

    def warn(self, message: str) -> None:
        self.channel.send(warning=f"{self.name}: {message}")

    def stopping(self) -> bool:
        return False


def main(folder: Path, rank: int) -> int:
    """Follow the orders of rank 0, and return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    channel = Channel()
    from .leader import LOST
    from .team import LostError

    try:
        work(folder, rank, channel)
    except LostError:
        return LOST
    except TextclfError as error:
        channel.send(error=type(error).__name__, message=str(error))
        return error.exit_code
    except Exception:  # noqa: BLE001 - its last line is what rank 0 will say
        traceback.print_exc()
        return 1
    return 0


def work(folder: Path, rank: int, channel: Channel) -> None:
    """Build the job as rank 0 has it, and take each step with the others."""
    import torch

    from ..device import matmul_precision
    from ..job import equipped
    from ..state import State
    from .team import ProcessGroup, connect

    outline = json.loads((folder / "outline.json").read_text("utf-8"))
    torch.set_num_threads(outline["threads"])
    device = torch.device(outline["devices"][rank])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.manual_seed(outline["seed"] + rank)
    size = len(outline["devices"])
    team = ProcessGroup(rank, size, None, device)
    context = WorkerContext(outline["seed"], folder, channel, f"process {rank + 1} of {size}")
    job = build_job(folder, outline, device, team, context)
    state = State(job.options.micro_batch or job.options.batch_size)
    if outline["checkpoint"]:
        state = checkpoint.resume(job, Path(outline["checkpoint"]))
    channel.send(ready=True)
    with matmul_precision(job.arithmetic.matmul, device), equipped(job) as ready:
        for order in channel.orders():
            if order["do"] == "meet":
                team.group = connect(folder, rank, size, device)
            elif order["do"] == "step":
                state.step = order["step"]
                loop.take_step(ready, state, job.rows(state.step))
            elif order["do"] == "state":
                channel.send(state=state_of(job, state))
            else:
                return


def build_job(folder: Path, outline: Mapping[str, Any], device: Any, team: Any, context: Context) -> Job:
    """Return the job that rank 0 wrote to the folder, with a network and an optimiser of its own."""
    import numpy as np
    from safetensors.torch import load_file

    from ..loss import objectives_of
    from ..options import TorchOptions
    from ..precision import Arithmetic
    from ..trainer import make_job
    from .leader import OBJECTIVE

    labels = Labels(tuple(outline["labels"]["names"]), outline["labels"]["task"], outline["labels"]["positive"])
    encoder = Engine(offline=True).restore("encoder", outline["encoder"], folder / "model")
    network = encoder.load_network(folder / "model", labels).to(device)
    for name in outline["frozen"]:
        network.get_parameter(name).requires_grad_(False)
    arrays = {file.stem: np.load(file, mmap_mode="r") for file in (folder / "data").iterdir()}
    tokens, unlabelled = (
        Tokens(arrays[f"{part}_ids"], arrays[f"{part}_offsets"], arrays.get(f"{part}_cuts"))
        if f"{part}_ids" in arrays
        else None
        for part in ("train", "unlabelled")
    )
    train = Encoded(tokens, arrays["labels"], unlabelled)
    options = TorchOptions.model_validate_json(json.dumps(outline["options"]))
    numbers = Arithmetic(**outline["arithmetic"])
    weights = folder / OBJECTIVE
    objective = objectives_of(encoder, train)[outline["phase"]] if weights.is_file() else None
    job = make_job(
        options, encoder, network, train, None, labels, numbers, device, outline["layout"], context, team,
        objective=objective, phase=outline["phase"], before=outline["before"],
    )  # fmt: skip
    if objective is not None:
        job.network.load_state_dict(load_file(weights))
    return job


def state_of(job: Job, state: State) -> dict[str, Any]:
    """Return what a checkpoint stores of this process: the rest is the same in all."""
    generators = [generator.numpy().tobytes().hex() for generator in states.generators(job.device)]
    return {"generators": generators, "micro_batch": state.micro_batch, "halvings": state.halvings}


if __name__ == "__main__":
    status = main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stderr.flush()
    # Not `exit`: a group whose other processes have ended may wait for them.
    os._exit(status)
