"""Layers through kernels give what layers of transformers give, on every network that they know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textclf_torch.cpu.dropout import Masks
from textclf_torch.cpu.fused_layer import fused

from tests.plugins.transformers.packed.test_forward import CPU, FIRST, encoded, logits
from tests.tiny import tiny_bert, tiny_distilbert, tiny_electra, tiny_modernbert, tiny_roberta
from textclf import Texts

pytest.importorskip("textclf_kernels", reason="textclf-kernels is not installed")
MAKERS = [tiny_bert, tiny_roberta, tiny_electra, tiny_distilbert]
Found = tuple[torch.Tensor, torch.Tensor]


def weighted(found: torch.Tensor) -> torch.Tensor:
    """Return a loss that is linear in the logits, so that its gradient has no error of theirs."""
    return (found.float() * torch.linspace(-1.0, 2.0, found.numel()).view_as(found)).sum()


def differentiated(network: torch.nn.Module, found: torch.Tensor, layers: Any = None) -> Found:
    """Return logits, and the whole gradient of their weighted sum."""
    weighted(found).backward()
    if layers:
        layers.collect()
    gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    network.zero_grad()
    return found.detach().float(), gradient


def through_kernels(encoder: Any, network: torch.nn.Module, tokens: Any, *, half: bool) -> Found:
    masks = Masks((0,))
    with fused(encoder.fused_layers(network), masks) as layers:
        masks.enter(0)
        layers.enter(0)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found = logits(encoder, network, tokens, "packed")
        assert "_LayerBackward" in graph(found), "no layer goes through kernels"
        return differentiated(network, found, layers)


def graph(tensor: torch.Tensor) -> set[str]:
    """Return the names of the functions that a tensor was computed by."""
    names, waiting = set(), [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None:
            names.add(node.name())
            waiting += [each for each, _ in node.next_functions]
    return names


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("maker", MAKERS)
def test_logits_and_the_whole_gradient_are_those_of_padded_batches(maker: Any, tmp_path: Path):
    encoder, tokens, network = encoded(tmp_path, maker, Texts(FIRST), dropout=0.0)
    wanted = differentiated(network, logits(encoder, network, tokens, "padded"))
    found = through_kernels(encoder, network, tokens, half=False)
    assert apart(found[0], wanted[0]) <= 1e-5
    assert apart(found[1], wanted[1]) <= 1e-5


@pytest.mark.parametrize("maker", MAKERS)
def test_bf16_is_no_further_from_float32_than_autocast_is(maker: Any, tmp_path: Path):
    encoder, tokens, network = encoded(tmp_path, maker, Texts(FIRST), dropout=0.0)
    further = []
    for seed in range(8):
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, 0.2)
        wanted = differentiated(network, logits(encoder, network, tokens, "packed"))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            cast = differentiated(network, logits(encoder, network, tokens, "packed"))
        ours = through_kernels(encoder, network, tokens, half=True)
        further.append([apart(a, w) - apart(b, w) for a, b, w in zip(ours, cast, wanted, strict=True)])
    # Roundings differ by chance: the mean over the draws is compared, within two of its standard errors.
    mean, error = np.mean(further, axis=0), np.std(further, axis=0, ddof=1) / np.sqrt(len(further))
    assert (mean <= 2 * error).all(), (mean, error)


def test_a_layer_computes_every_token_where_it_is_called_so(tmp_path: Path):
    encoder, tokens, network = encoded(tmp_path, tiny_bert, Texts(FIRST))
    network.eval()
    batch = encoder.collate(tokens, np.arange(len(tokens)), "packed", CPU)
    with torch.no_grad():
        wanted = network.base_model(**batch, every_token=True).last_hidden_state
        with fused(encoder.fused_layers(network), Masks((0,))):
            found = network.base_model(**batch, every_token=True).last_hidden_state
    assert found.shape == wanted.shape
    assert apart(found, wanted) <= 1e-5


def test_other_networks_and_activations_are_left_to_torch(tmp_path: Path):
    encoder, _, network = encoded(tmp_path / "modern", tiny_modernbert, Texts(FIRST))
    assert encoder.fused_layers(network) == []
    encoder, _, network = encoded(tmp_path / "bert", tiny_bert, Texts(FIRST))
    network.config.hidden_act = "relu"
    assert encoder.fused_layers(network) == []
