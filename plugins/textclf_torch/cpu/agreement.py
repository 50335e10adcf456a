"""The choice between torch's operators and compiled kernels, which must give the same answers on ragged texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch

from textclf import Chosen, ResourceError

from . import kernels
from .fused_layer import FusedLayer, LayerGradients, LayerParts

if TYPE_CHECKING:
    from textclf import Context, Layout

    from ..options import TorchOptions
    from ..precision import Arithmetic, Kernels


LENGTHS = (1, 3, 9, 9, 14)
# What rounding may change of a tensor, relative to its norm; another text's tokens would change far more.
ALLOWED = {torch.float32: 1e-4, torch.bfloat16: 0.05}


def choose(
    options: TorchOptions,
    numbers: Arithmetic,
    network: torch.nn.Module,
    encoder: object,
    layout: Layout,
    context: Context,
) -> Arithmetic:
    """Return the arithmetic with the kernels that the option names, or that there are, and report the choice.

    Raises a ResourceError where the option asks for kernels that there are not.
    """
    if next(network.parameters()).device.type != "cpu":
        return numbers
    choice: Kernels = "torch"
    why = "as requested"
    if options.kernels != "torch":
        why = why_torch(network, encoder, numbers.dtype, layout) or _dropped(network, encoder)
        if why and options.kernels == "native":
            raise ResourceError(f"trainer.kernels is 'native', but {why}; {_install()}set it to auto")
        if not why:
            choice, why = "native", f"they give the answers of torch, at level {kernels.level()}"
    context.emit(Chosen(what="kernels", choice=choice, why=why, options={"trainer.kernels": choice}))
    return replace(numbers, kernels=choice)


def check_again(numbers: Arithmetic, network: torch.nn.Module, encoder: object, layout: Layout) -> None:
    """Raise a ResourceError where a training that is resumed began with kernels that there are not any more."""
    if numbers.kernels == "native":
        why = why_torch(network, encoder, numbers.dtype, layout)
        if why:
            raise ResourceError(f"this training began with compiled kernels, but {why}; {_install()}begin a new run")


def _install() -> str:
    return "run `pip install ./kernels` in a clone of textclf, or " if kernels.missing() else ""


def why_torch(network: torch.nn.Module, encoder: object, dtype: torch.dtype, layout: Layout) -> str:
    """Return why a network on the CPU does without compiled kernels, or an empty string."""
    if layout != "packed":
        return "they read packed rows only"
    layers = layers_of(network, encoder)
    if not layers:
        return "they do not know the layers of this network"
    if dtype not in kernels.TYPES:
        return f"they do not compute in {str(dtype).removeprefix('torch.')}"
    # Scores of the validation are float32, whatever the training computes in.
    return kernels.missing() or disagreement(layers, (dtype, torch.float32))


def disagreement(layers: Sequence[LayerParts], dtypes: Sequence[torch.dtype]) -> str:
    """Return how kernels differ from torch in the first or the last layer, which computes first tokens, or ""."""
    tried = [(parts, dtype) for parts in (layers[0], layers[-1]) for dtype in dict.fromkeys(dtypes)]
    return next((why for parts, dtype in tried if (why := differ(parts, dtype))), "")


def score_natively(network: torch.nn.Module, encoder: Any, context: Context) -> bool:
    """Let a network that is not trained any more score through kernels where it can, and tell whether it does."""
    if kernels.missing() or not layers_of(network, encoder):
        return False
    why = why_torch(network, encoder, torch.bfloat16, encoder.layouts[0])
    if why:
        context.emit(Chosen(what="kernels", choice="torch", why=why))
        return False
    for index, parts in enumerate(layers_of(network, encoder)):
        FusedLayer(parts, index)
    return True


def _dropped(network: torch.nn.Module, encoder: object) -> str:
    rate = max(parts.attention_rate for parts in layers_of(network, encoder))
    return f"they have no attention dropout, which is {rate:g} here" if rate else ""


def layers_of(network: torch.nn.Module, encoder: object) -> Sequence[LayerParts]:
    """Return the parts of a network's layers where its encoder knows them (`fused_layers`)."""
    make = getattr(encoder, "fused_layers", None)
    return make(network) if make else ()


@torch.inference_mode(False)
@torch.enable_grad()
def differ(parts: LayerParts, dtype: torch.dtype) -> str:
    """Return by how much a layer's output or gradient through kernels differs from its own in float32, or ""."""
    module, training = parts.module, parts.module.training
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, sum(LENGTHS), parts.query.in_features, generator=generator)
    borders = torch.tensor([0, *accumulate(LENGTHS)], dtype=torch.int32)
    trained = {name: [p for p in each if p.requires_grad] for name, each in parts.parameters().items()}
    trained = {name: each for name, each in trained.items() if len(each) == len(parts.parameters()[name])}

    def run(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        output: torch.Tensor = module(inputs, None, text_lengths=LENGTHS, text_borders=borders)
        weighted = output.float() * torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
        return output.detach(), weighted.sum()

    module.eval()
    gradients = LayerGradients([parts])
    gradients.enter(0)
    try:
        inputs = hidden.clone().requires_grad_()
        own, loss = run(inputs)
        leaves = [inputs, *(p for each in trained.values() for p in each)]
        passed, *others = torch.autograd.grad(loss, leaves, materialize_grads=True)
        rest = iter(others)
        wanted = {name: torch.cat([next(rest).flatten() for _ in each]) for name, each in trained.items()}
        layer = FusedLayer(parts, 0, gradients)
        try:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                inputs = hidden.clone().requires_grad_()
                output, loss = run(inputs)
            (found,) = torch.autograd.grad(loss, [inputs])
        finally:
            layer.remove()
    finally:
        module.train(training)
    pairs: dict[str, tuple[Any, Any]] = {"output": (output, own), "gradient of the states": (found, passed)}
    slots, _ = gradients.slots(0)
    pairs |= {f"gradient of {name}": (slots[name], each) for name, each in wanted.items()}
    for name, (one, other) in pairs.items():
        error = float((one.float() - other).norm() / other.norm())
        if not error <= ALLOWED[dtype]:
            return f"the {name} of a layer differs from torch's by {error:.2g} in {str(dtype).removeprefix('torch.')}"
    return ""
