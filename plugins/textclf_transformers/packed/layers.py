"""The layers of networks that are built as BERT or DistilBERT is, taken apart for kernels."""

from __future__ import annotations

from typing import Any

import torch
from textclf_torch.runtime import LayerParts

from .last_layer import last_layer

_BERT = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm", "up": "intermediate.dense",
    "down": "output.dense", "output_norm": "output.LayerNorm",
}  # fmt: skip
_DISTILBERT = {
    "query": "attention.q_lin", "key": "attention.k_lin", "value": "attention.v_lin", "output": "attention.out_lin",
    "attention_norm": "sa_layer_norm", "up": "ffn.lin1", "down": "ffn.lin2", "output_norm": "output_layer_norm",
}  # fmt: skip
# Where the rates of dropout are: on the weights of attention, and at the end of both halves ("" for none).
_RATES = (("attention.self", "attention.output", "output"), ("attention", "", "ffn"))


def fused_layers(body: Any) -> list[LayerParts]:
    """Return the parts of each layer of a body, the last of which computes first tokens only; none of other bodies.

    Kernels know the exact gelu, and heads whose width is a multiple of 8.
    """
    config, last = body.config, last_layer(body)
    if last is None or "gelu" not in (getattr(config, "hidden_act", ""), getattr(config, "activation", "")):
        return []
    if getattr(config, "chunk_size_feed_forward", 0):
        return []
    stack = next(s for s in (getattr(body, name, None) for name in ("encoder", "transformer")) if s is not None)
    found = [_parts(layer, layer is last) for layer in stack.layer]
    return [parts for parts in found if parts is not None] if all(found) else []


def _parts(layer: torch.nn.Module, first_tokens: bool) -> LayerParts | None:
    for names, rates in zip((_BERT, _DISTILBERT), _RATES, strict=True):
        try:
            modules: dict[str, Any] = {part: layer.get_submodule(name) for part, name in names.items()}
            inner: Any = layer.get_submodule(rates[0])
        except AttributeError:
            continue
        linear = [module for part, module in modules.items() if not part.endswith("norm")]
        width: int = inner.attention_head_size
        if width % 8 or any(type(module) is not torch.nn.Linear or module.bias is None for module in linear):
            return None
        if any(type(modules[part]) is not torch.nn.LayerNorm for part in ("attention_norm", "output_norm")):
            return None
        attention_rate, *ends = (_rate(layer, name) for name in rates)
        return LayerParts(
            layer, **modules, heads=modules["query"].out_features // width, scale=inner.scaling,
            attention_rate=attention_rate, rates=(ends[0], ends[1]), first_tokens=first_tokens,
        )  # fmt: skip
    return None


def _rate(layer: torch.nn.Module, name: str) -> float:
    if not name:
        return 0.0
    module: Any = layer.get_submodule(name)
    rate: float = module.dropout.p
    return rate
