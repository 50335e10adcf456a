"""What the depth of a layer decides: how fast it learns, and from which step on it is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from textclf import PluginError, TokenEncoder

if TYPE_CHECKING:
    from .options import TorchOptions

Layers = Sequence[Sequence[torch.nn.Parameter]]

NOTHING = "trainer.unfreeze does nothing here: the network has no more than one layer to train"


def layers_of(encoder: TokenEncoder, network: torch.nn.Module, options: TorchOptions) -> Layers:
    """Return the trainable parameters by layer, the head last; none where no option depends on depth."""
    if options.unfreeze is None and options.layer_decay == 1:
        return []
    layers = [[p for p in layer if p.requires_grad] for layer in encoder.layers(network)]
    held = Counter(id(p) for layer in layers for p in layer)
    for name, parameter in network.named_parameters():
        times = held[id(parameter)]
        if parameter.requires_grad and times != 1:
            raise PluginError(
                f"the encoder's layers hold parameter '{name}' {times} times, not once, so they cannot be told apart; "
                "set trainer.layer_decay to 1 and trainer.unfreeze to null"
            )
    return layers


def shares(layers: Layers, decay: float) -> list[float]:
    """Return each layer's share of the learning rate: all of it for the head, and less the deeper a layer is.

    The decay by layer of Howard & Ruder 2018 (ULMFiT, 3.2), with one factor from layer to layer as in Sun et al. 2019.
    """
    return [decay ** (len(layers) - 1 - at) for at in range(len(layers))]


@dataclass(frozen=True, slots=True)
class UnfreezeSchedule:
    """From which step on each layer is trained; what is frozen at a step follows from its number alone.

    Gradual unfreezing (Howard & Ruder 2018, 3.3): the head alone at first, then one more layer after the other. What is
    frozen gets no gradient: the backward pass ends above it, and the optimiser neither moves nor decays it.
    """

    layers: Layers = ()
    begins: Sequence[int] = ()
    sizes: Sequence[int] = ()

    @staticmethod
    def over(layers: Layers, unfreeze: float | None, steps: int) -> UnfreezeSchedule:
        """Return the schedule that trains the deepest layer once the share `unfreeze` of all steps is over."""
        found = [(layer, sum(p.numel() for p in layer) if at else 0) for at, layer in enumerate(layers) if layer]
        below = len(found) - 1
        if unfreeze is None or not below:
            return UnfreezeSchedule()
        begins = [int(unfreeze * steps * (below - at) / below + 1e-9) for at in range(len(found))]
        return UnfreezeSchedule([layer for layer, _ in found], begins, [size for _, size in found])

    def begin(self, step: int) -> None:
        """Freeze all layers but those that this step trains."""
        for layer, first in zip(self.layers, self.begins, strict=True):
            if layer[0].requires_grad != (step >= first):
                for parameter in layer:
                    parameter.requires_grad_(step >= first)

    def end(self) -> None:
        """Unfreeze all layers."""
        self.begin(max(self.begins, default=0))

    def work(self, step: int) -> float:
        """Estimate what a step costs, as a share of one that trains all layers: forward 1/3, backward 2/3.

        Layers count by their weights, the embeddings' left out, which are looked up.
        """
        trained = sum(size for size, first in zip(self.sizes, self.begins, strict=True) if step >= first)
        return (1 + 2 * trained / sum(self.sizes)) / 3 if any(self.sizes) else 1.0

    def mean_work(self, first: int, end: int) -> float:
        """Return the mean of `work` over the steps from `first` up to `end`."""
        if end <= first:
            return 1.0
        changes = sorted({first, *(step for step in self.begins if first < step < end), end})
        return sum(self.work(a) * (b - a) for a, b in pairwise(changes)) / (end - first)
