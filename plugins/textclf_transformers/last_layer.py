"""Owns an exact saving: in the last layer a packed row needs queries and feed-forward for its first tokens only.

A classification head reads the first token of each text; what the last layer would make of all others is thrown away.
Keys and values are still those of every token: the logits are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from .rows import runs, starts

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
        lengths = named.get("text_lengths")
        return self._whole(hidden, *arguments, **named) if lengths is None else self._first_tokens(hidden, lengths)

    def remove(self) -> None:
        del self._layer.forward

    def _first_tokens(self, hidden: torch.Tensor, lengths: tuple[int, ...]) -> torch.Tensor:
        """Return [1, texts, width] of a packed row [1, tokens, width]."""
        layer, attention = self._layer, self._layer.attention.self
        first = hidden[0, starts(lengths, hidden.device)]
        width = attention.attention_head_size
        rate = attention.dropout.p if layer.training else 0.0
        equal = runs(lengths)
        key, value = (
            part(hidden).squeeze(0).split([length * texts for length, texts in equal])
            for part in (attention.key, attention.value)
        )
        queries = attention.query(first).split([texts for _, texts in equal])
        found = []
        for (length, texts), one, keys, values in zip(equal, queries, key, value, strict=True):
            asked = one.unflatten(1, (-1, width))[:, :, None]
            known, told = (
                t.unflatten(0, (texts, length)).unflatten(2, (-1, width)).transpose(1, 2) for t in (keys, values)
            )
            answer = functional.scaled_dot_product_attention(
                asked, known, told, dropout_p=rate, scale=attention.scaling
            )
            found.append(answer.flatten(1))
        seen = layer.attention.output(torch.cat(found), first)
        done: torch.Tensor = layer.output(layer.intermediate(seen), seen)
        return done.unsqueeze(0)


