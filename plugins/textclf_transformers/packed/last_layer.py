"""The last layer of a packed row, computed for the first tokens of its texts only.

A classification head reads the first token of each text; what the last layer would make of all others is thrown away.
First tokens still look at every token: the logits are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch.nn import functional

from .attention import Rule, within

_BERT = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output", "intermediate", "output",
)  # fmt: skip
_DISTILBERT = (
    "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm", "ffn",
    "output_layer_norm",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parts:
    """A layer's parts. finish: from the attention of some tokens, and those tokens, to the layer's output."""

    attention: Any
    query: torch.nn.Linear
    key: torch.nn.Linear
    value: torch.nn.Linear
    finish: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def last_layer(body: Any) -> Any:
    """Return the last layer of a body that is built as BERT or DistilBERT is, or None."""
    for stack in ("encoder", "transformer"):
        layers = getattr(getattr(body, stack, None), "layer", None)
        if isinstance(layers, torch.nn.ModuleList) and len(layers) and _parts(layers[-1]):
            return None if getattr(body.config, "is_decoder", False) else layers[-1]
    return None


def _parts(layer: Any) -> Parts | None:
    if _has(layer, _BERT):
        inner = layer.attention.self

        def of_bert(found: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            seen = layer.attention.output(found, tokens)
            done: torch.Tensor = layer.output(layer.intermediate(seen), seen)
            return done

        return Parts(inner, inner.query, inner.key, inner.value, of_bert)
    if _has(layer, _DISTILBERT):
        inner = layer.attention

        def of_distilbert(found: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            seen = layer.sa_layer_norm(inner.out_lin(found) + tokens)
            done: torch.Tensor = layer.output_layer_norm(layer.ffn(seen) + seen)
            return done

        return Parts(inner, inner.q_lin, inner.k_lin, inner.v_lin, of_distilbert)
    return None


def _has(layer: torch.nn.Module, names: tuple[str, ...]) -> bool:
    try:
        for name in names:
            layer.get_submodule(name)
    except AttributeError:
        return False
    return True


class Shortened:
    """The `forward` of a layer that computes first tokens only of a packed row; `remove` puts the layer's own back.

    With `every_token` the layer computes all of them.
    """

    def __init__(self, layer: Any) -> None:
        self._layer, self._whole = layer, layer.forward
        layer.forward = self

    def __call__(self, hidden: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        lengths, borders = named.get("text_lengths"), named.get("text_borders")
        if lengths is None or borders is None or named.get("every_token"):
            return self._whole(hidden, *arguments, **named)
        return self._first_tokens(hidden, lengths, borders)

    def remove(self) -> None:
        del self._layer.forward

    # The parts are looked up each time: a copy of the network copies this object too, which then refers to the copy.
    def _first_tokens(self, hidden: torch.Tensor, lengths: tuple[int, ...], borders: torch.Tensor) -> torch.Tensor:
        """Return [1, texts, width] of a packed row [1, tokens, width]."""
        parts = _parts(self._layer)
        assert parts is not None
        first = hidden[0].index_select(0, borders[:-1])
        rate = parts.attention.dropout.p if self._layer.training else 0.0
        # Autocast caches its casts of whole weights only: those of the heads would be made again by each micro-batch.
        cast = torch.is_autocast_enabled(hidden.device.type)
        look = _look if hidden.is_cuda or cast else _look_through
        found = look(parts, first, hidden[0], lengths, borders, rate)
        return parts.finish(found.flatten(1), first).unsqueeze(0)


def _look(
    parts: Parts, first: torch.Tensor, tokens: torch.Tensor, lengths: tuple[int, ...], borders: torch.Tensor,
    rate: float,
) -> torch.Tensor:  # fmt: skip
    """Return what first tokens find, [texts, heads, width of a head], by keys and values of all tokens."""
    heads = (-1, parts.attention.attention_head_size)
    query, key, value = (
        part(states).unflatten(1, heads)
        for part, states in ((parts.query, first), (parts.key, tokens), (parts.value, tokens))
    )
    return within(query, key, value, lengths, borders, Rule(parts.attention.scaling, rate))


def _look_through(
    parts: Parts, first: torch.Tensor, tokens: torch.Tensor, lengths: tuple[int, ...], borders: torch.Tensor,
    rate: float,
) -> torch.Tensor:  # fmt: skip
    """As `_look`, without keys and values: products are taken in the other order, which is cheaper for few queries.

    What a query finds in a key is what the query, through the weights of the keys, finds in the token itself; and the
    mean of values is the value of the mean token.
    """
    heads = (-1, parts.attention.attention_head_size)
    query = torch.unflatten(parts.query(first), 1, heads) * parts.attention.scaling
    through = torch.bmm(query.transpose(0, 1), torch.unflatten(parts.key.weight, 0, heads)).transpose(0, 1)
    constant = (query * torch.unflatten(parts.key.bias, 0, heads)).sum(-1, keepdim=True)
    means, sums = [], []
    equal = [(length, len(list(run))) for length, run in groupby(lengths)]
    rows = torch.split(tokens, [*(length * texts for length, texts in equal), len(tokens) - sum(lengths)])
    some_queries, added = (torch.split(part, [texts for _, texts in equal]) for part in (through, constant))
    for (_, texts), row, queries, bias in zip(equal, rows, some_queries, added, strict=False):
        seen = torch.unflatten(row, 0, (texts, -1))
        weights = (torch.bmm(queries, seen.transpose(1, 2)) + bias).float().softmax(-1)
        weights = functional.dropout(weights, rate).to(seen.dtype) if rate else weights.to(seen.dtype)
        means.append(torch.bmm(weights, seen))
        sums.append(weights.sum(-1, keepdim=True))
    values = torch.unflatten(parts.value.weight, 0, heads).transpose(1, 2)
    found = torch.bmm(torch.cat(means).transpose(0, 1), values).transpose(0, 1)
    answer: torch.Tensor = found + torch.unflatten(parts.value.bias, 0, heads) * torch.cat(sums)
    return answer
