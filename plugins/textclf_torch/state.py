"""The state of a training, which changes from step to step, and its random generators."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Tensors = dict[str, torch.Tensor]


@dataclass(slots=True)
class State:
    """How far a training is. Checkpoints store the fields by their names.

    judged: the step at which the network was last evaluated. waited: epochs since the best one. halvings: how often the
    micro-batch was halved for lack of memory. loss_sum, loss_rows: of the rows since the last epoch's end.
    """

    micro_batch: int
    phase: int = 0
    step: int = 0
    judged: int = 0
    halvings: int = 0
    loss_sum: float = 0.0
    loss_rows: int = 0
    best_value: float | None = None
    waited: int = 0
    best: Tensors | None = None

    def mean_loss(self) -> float:
        """Return the mean loss of the rows since the last epoch's end."""
        return self.loss_sum / max(1, self.loss_rows)

    def keep_if_best(self, value: float, network: torch.nn.Module) -> bool:
        """Copy the network's weights if no earlier epoch had such a value, and return whether they were copied."""
        if self.best_value is not None and not value > self.best_value:
            self.waited += 1
            return False
        self.best_value, self.waited = value, 0
        # Clones share no memory, as safetensors demands.
        self.best = {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}
        return True


def generators(device: torch.device) -> list[torch.Tensor]:
    """Return the states of the generators that dropout draws from."""
    return [torch.get_rng_state()] + ([torch.cuda.get_rng_state()] if device.type == "cuda" else [])


def set_generators(states: list[torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1])
