"""Owns which modules of a network are matrix products with weights, and of what shape."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def shapes_in(network: torch.nn.Module) -> Iterator[tuple[int, int]]:
    """Yield the shape (out, in) of each matrix product in a network.

    Beside Linear that is the Conv1D of transformers, of which GPT-2 is made: its weights are [in, out].
    """
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            yield module.out_features, module.in_features
        elif type(module).__name__ == "Conv1D" and isinstance(module.weight, torch.nn.Parameter):
            into, out = module.weight.shape
            yield out, into
