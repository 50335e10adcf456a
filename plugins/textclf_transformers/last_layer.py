"""Owns an exact saving: in the last layer a packed row needs queries and feed-forward for its first tokens only.

A classification head reads the first token of each text; what the last layer would make of all others is thrown away.
Keys and values are still those of every token: the logits are the same.
"""

from __future__ import annotations

from typing import Any

import torch

from .attention import within

_PARTS = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output", "intermediate", "output",
)  # fmt: skip


def last_layer(body: Any) -> Any:
    """Return the last layer of a body that is built as BERT is, or None."""
    try:
        last = body.encoder.layer[-1]
        for part in _PARTS:
            last.get_submodule(part)
    except (AttributeError, IndexError, TypeError):
        return None
    return None if getattr(body.config, "is_decoder", False) else last


class Shortened:
    """A layer that computes first tokens only while a row is packed; `remove` undoes it."""

    def __init__(self, layer: Any) -> None:
        self._layer, self._whole = layer, layer.forward
        layer.forward = self

    def __call__(self, hidden: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        lengths, borders = named.get("text_lengths"), named.get("text_borders")
        if lengths is None or borders is None:
            return self._whole(hidden, *arguments, **named)
        return self._first_tokens(hidden, lengths, borders)

    def remove(self) -> None:
        del self._layer.forward

    def _first_tokens(self, hidden: torch.Tensor, lengths: tuple[int, ...], borders: torch.Tensor) -> torch.Tensor:
        """Return [1, texts, width] of a packed row [1, tokens, width]."""
        layer, attention = self._layer, self._layer.attention.self
        first = hidden[0].index_select(0, borders[:-1])
        heads = (-1, attention.attention_head_size)
        rate = attention.dropout.p if layer.training else 0.0
        query, key, value = (
            part(states).unflatten(1, heads)
            for part, states in (
                (attention.query, first), (attention.key, hidden[0]), (attention.value, hidden[0])
            )
        )  # fmt: skip
        found = within(query, key, value, lengths, borders, attention.scaling, rate)
        seen = layer.attention.output(found.flatten(1), first)
        done: torch.Tensor = layer.output(layer.intermediate(seen), seen)
        return done.unsqueeze(0)
