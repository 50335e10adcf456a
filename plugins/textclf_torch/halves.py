"""Owns the bf16 working copy of a network, in which fast scores are computed."""

from __future__ import annotations

import copy
from typing import Any

import torch

from textclf import TokenEncoder


def working_copy(network: torch.nn.Module, encoder: TokenEncoder) -> torch.nn.Module:
    """Return a copy with bf16 weights, made once for any number of forward passes; the head stays float32.

    The head reads one vector a text, so it costs nothing, and logits in bf16 would have steps of 0.01 at 2.
    """
    head = {id(parameter) for parameter in encoder.layers(network)[-1]}
    weights: dict[int, Any] = {id(p): _half(p) for p in network.parameters() if id(p) not in head}
    weights |= {id(buffer): _half(buffer) for buffer in network.buffers()}
    # Tensors that are in the memo already are not copied: the copy never exists in float32.
    half = copy.deepcopy(network, weights)
    for old, new in zip(network.modules(), half.modules(), strict=True):
        own = [id(parameter) for parameter in old.parameters(recurse=False)]
        if own and all(parameter in head for parameter in own):
            new.register_forward_pre_hook(_in_float32)
    return half.eval()


def _half(tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.detach().to(torch.bfloat16) if tensor.is_floating_point() else tensor.detach()
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(half, requires_grad=False)
    return half


def _in_float32(module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(a.float() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in arguments)
