"""Owns the state of a training, and how it is kept in checkpoints and taken up again to the same bits."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model

from textclf import ArtefactError

from .arithmetic import Arithmetic

if TYPE_CHECKING:
    from .loop import Job

FORMAT = 1
NETWORK, BEST, OPTIMIZER, STATE = "network.safetensors", "best.safetensors", "optimizer.pt", "state.json"


@dataclass(slots=True)
class State:
    """Where a training stands: the one thing here that changes."""

    micro_batch: int
    step: int = 0
    judged: int = 0
    saved: int = 0
    halvings: int = 0
    loss_sum: float = 0.0
    loss_rows: int = 0
    best_value: float | None = None
    waited: int = 0
    best: dict[str, torch.Tensor] | None = None

    def mean_loss(self) -> float:
        """Return the mean loss of the rows since the last epoch's end."""
        return self.loss_sum / max(1, self.loss_rows)

    def take(self, value: float, network: torch.nn.Module) -> bool:
        """Keep the network's weights where the validation says they are the best so far."""
        if self.best_value is not None and not value > self.best_value:
            self.waited += 1
            return False
        self.best_value, self.waited = value, 0
        # Clones share no memory, as safetensors demands.
        self.best = {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}
        return True

    def out_of_patience(self, patience: int | None) -> bool:
        return patience is not None and self.waited >= patience


def save(job: Job, state: State) -> None:
    """Save all that `resume` needs, where the run keeps checkpoints."""
    if job.context.checkpoints is None:
        return
    state.saved = state.step
    job.context.checkpoints.save(state.step, lambda folder: write(job, state, folder))


def write(job: Job, state: State, folder: Path) -> None:
    save_model(job.network, str(folder / NETWORK))
    if state.best is not None:
        save_file(state.best, folder / BEST)
    parts = {
        "optimizer": job.optimizer.state_dict(),
        "scaler": job.scaler.state_dict(),
        "generators": generators(job.device),
    }
    torch.save(parts, folder / OPTIMIZER)
    told = {name: getattr(state, name) for name in State.__slots__ if name != "best"}
    told |= {"format": FORMAT, "arithmetic": asdict(job.arithmetic)}
    (folder / STATE).write_text(json.dumps(told), "utf-8")


def arithmetic_of(folder: Path) -> Arithmetic:
    """Return the arithmetic a checkpoint was made with: a resumed run measures nothing anew."""
    return Arithmetic(**_told(folder)["arithmetic"])


def resume(job: Job, folder: Path) -> State:
    """Put network, optimiser and generators where a checkpoint left them, and return its state."""
    told = _told(folder)
    try:
        state = State(**{name: told[name] for name in told if name not in ("format", "arithmetic")})
        load_model(job.network, folder / NETWORK, device=str(job.device))
        parts: dict[str, Any] = torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True)
        job.optimizer.load_state_dict(parts["optimizer"])
        job.scaler.load_state_dict(parts["scaler"])
        set_generators(parts["generators"], job.device)
        if (folder / BEST).is_file():
            state.best = load_file(folder / BEST)
    except (OSError, RuntimeError, SafetensorError, pickle.PickleError, KeyError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ArtefactError(f"the checkpoint '{folder}' does not fit this training: {reason}") from None
    return state


def generators(device: torch.device) -> list[torch.Tensor]:
    """Return the states of the generators that dropout draws from."""
    return [torch.get_rng_state()] + ([torch.cuda.get_rng_state()] if device.type == "cuda" else [])


def set_generators(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1])


def _told(folder: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((folder / STATE).read_text("utf-8"))
        if told["format"] != FORMAT:
            raise ValueError(f"its format is {told['format']}, not {FORMAT}")
        return told
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"the checkpoint '{folder}' is no state of trainer 'torch': {error}") from None
