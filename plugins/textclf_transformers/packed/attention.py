"""Attention within the texts of a packed row.

A packed row comes with `text_lengths`, ints, and `text_borders`, int32[texts + 1] on the device: where each text begins
and the last one ends. Both are made once for a batch, so that no layer waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from textclf_torch.runtime import by_products, takes_products
from torch.nn import functional

# torch's kernel of variable length takes no other types than these, and has no dropout.
HALVES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class Rule:
    """How a query attends to keys. reach: how many tokens to either side it sees, None: all; causal: none to the right.

    scale: None is the inverse root of the width.
    """

    scale: float | None = None
    dropout: float = 0.0
    reach: int | None = None
    causal: bool = False


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    text_lengths: tuple[int, ...] | None = None,
    text_borders: torch.Tensor | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attend within each text of a packed row; a padded batch, which has no `text_lengths`, is the library's own.

    query, key, value: [1, heads, tokens, width]; several heads of the query may share one of key and value. Returns
    [1, tokens, heads, width] and no weights.
    """
    if text_lengths is None or text_borders is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
    query, key, value = (part.squeeze(0).transpose(0, 1) for part in (query, key, value))
    if key.shape[1] != query.shape[1]:
        key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1) for part in (key, value))
    window = rest.get("sliding_window")
    causal = bool(rest.get("is_causal", getattr(module, "is_causal", False)))
    rule = Rule(scaling, dropout, None if window is None else window - 1, causal)
    return within(query, key, value, text_lengths, text_borders, rule).unsqueeze(0), None


def within(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: tuple[int, ...],
    borders: torch.Tensor,
    rule: Rule,
) -> torch.Tensor:
    """Return the attention of each query to the keys of its own text, [queries, heads, width].

    query: [tokens, heads, width], or [texts, heads, width] of the first tokens alone. key, value: [tokens, heads,
    width]. On the CPU, tokens behind the last text get zeros.
    """
    # The kernel would put the window of a lone first token around the last token of its text.
    seen_whole = rule.reach is None or len(query) == len(key)
    if query.is_cuda and query.dtype in HALVES and rule.dropout == 0.0 and seen_whole:
        return by_borders(query, key, value, lengths, borders, rule)
    if rule.dropout == 0.0 and len(query) == len(key) and takes_products(query, lengths):
        return by_products(query, key, value, lengths, scale=rule.scale, reach=rule.reach, causal=rule.causal)
    return by_length(query, key, value, lengths, rule)


def by_length(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...], rule: Rule
) -> torch.Tensor:
    """Attend over texts of equal length at a time, which stand side by side because batches are sorted."""
    equal = [(length, len(list(run))) for length, run in groupby(lengths)]
    firsts = len(query) == len(lengths)
    sizes = [*(length * texts for length, texts in equal), len(key) - sum(lengths)]
    # Split, not sliced: the gradient of a split is one concatenation, that of a slice a whole row of zeros each.
    *queries, behind = torch.split(query, [*(texts for _, texts in equal), 0] if firsts else sizes)
    found = []
    rows = (queries, torch.split(key, sizes), torch.split(value, sizes))
    for (length, texts), *parts in zip(equal, *rows, strict=False):
        some_queries, keys, values = (torch.unflatten(part, 0, (texts, -1)).transpose(1, 2) for part in parts)
        mask = _window(some_queries, length, rule)
        answer = functional.scaled_dot_product_attention(
            some_queries, keys, values, mask,
            dropout_p=rule.dropout, is_causal=rule.causal and mask is None, scale=rule.scale,
        )  # fmt: skip
        found.append(answer.transpose(1, 2).flatten(0, 1))
    return torch.cat([*found, torch.zeros_like(behind)])


def by_borders(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: tuple[int, ...],
    borders: torch.Tensor,
    rule: Rule,
) -> torch.Tensor:
    """Attend in one call on CUDA, whatever the lengths are: PyTorch's own flash attention of variable length."""
    from torch.nn.attention.varlen import varlen_attn

    longest, firsts = max(lengths), len(query) == len(lengths)
    query_borders = torch.arange(len(borders), dtype=borders.dtype, device=borders.device) if firsts else borders
    left = -1 if rule.reach is None else rule.reach
    found: torch.Tensor = varlen_attn(  # type: ignore[assignment]
        query, key, value, query_borders, borders, 1 if firsts else longest, longest,
        scale=rule.scale, window_size=(left, 0 if rule.causal else left),
    )  # fmt: skip
    return found


def _window(query: torch.Tensor, length: int, rule: Rule) -> torch.Tensor | None:
    """Return which keys each query sees, bool[queries, length], or None where its window hides none."""
    if rule.reach is None or rule.reach >= length - 1:
        return None
    places = torch.arange(length, device=query.device)
    left = places[: query.shape[2], None] - places
    return (left >= 0) & (left <= rule.reach) if rule.causal else left.abs() <= rule.reach
