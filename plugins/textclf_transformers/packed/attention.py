"""Attention within the texts of a packed row.

A packed row comes with `text_lengths`, ints, and `text_borders`, int32[texts + 1] on the device: where each text begins
and the last one ends. Both are made once for a batch, so that no layer waits for the device.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch
from torch.nn import functional

# No other numbers than these are known to torch's kernel of variable length; it knows no dropout either.
HALVES = (torch.bfloat16, torch.float16)


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
    asked, known, told = (part.squeeze(0).transpose(0, 1) for part in (query, key, value))
    if known.shape[1] != asked.shape[1]:
        known, told = (part.repeat_interleave(asked.shape[1] // part.shape[1], dim=1) for part in (known, told))
    window = rest.get("sliding_window")
    reach = None if window is None else window - 1
    causal = bool(rest.get("is_causal", getattr(module, "is_causal", False)))
    found = within(asked, known, told, text_lengths, text_borders, scaling, dropout, reach, causal)
    return found.unsqueeze(0), None


def within(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: tuple[int, ...],
    borders: torch.Tensor,
    scale: float | None,
    dropout: float,
    reach: int | None = None,
    causal: bool = False,
) -> torch.Tensor:
    """Return what each query finds in the keys of its own text, [queries, heads, width].

    query: [tokens, heads, width], or [texts, heads, width] of the first tokens alone. key, value: [tokens, heads,
    width]. reach: how many tokens to either side are seen; None is all of them. causal: none to the right are.
    """
    # The kernel would lay a lone first token's window around its text's last one.
    seen_whole = reach is None or len(query) == len(key)
    if query.is_cuda and query.dtype in HALVES and dropout == 0.0 and seen_whole:
        return by_borders(query, key, value, lengths, borders, scale, reach, causal)
    return by_length(query, key, value, lengths, scale, dropout, reach, causal)


def by_length(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: tuple[int, ...],
    scale: float | None,
    dropout: float,
    reach: int | None,
    causal: bool = False,
) -> torch.Tensor:
    """Attend over texts of equal length at a time, which stand side by side because batches are sorted."""
    equal = [(length, len(list(run))) for length, run in groupby(lengths)]
    firsts = len(query) == len(lengths)
    sizes = [length * texts for length, texts in equal]
    # Split, not sliced: the gradient of a split is one concatenation, that of a slice a whole row of zeros each.
    queries = torch.split(query, [texts for _, texts in equal] if firsts else sizes)
    found = []
    for (length, texts), *parts in zip(equal, queries, torch.split(key, sizes), torch.split(value, sizes), strict=True):
        asked, known, told = (torch.unflatten(part, 0, (texts, -1)).transpose(1, 2) for part in parts)
        seen = _band(asked, length, reach, causal)
        answer = functional.scaled_dot_product_attention(
            asked, known, told, seen, dropout_p=dropout, is_causal=causal and seen is None, scale=scale
        )
        found.append(answer.transpose(1, 2).flatten(0, 1))
    return torch.cat(found)


def by_borders(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: tuple[int, ...],
    borders: torch.Tensor,
    scale: float | None,
    reach: int | None,
    causal: bool = False,
) -> torch.Tensor:
    """Attend in one call on CUDA, whatever the lengths are: PyTorch's own flash attention of variable length."""
    from torch.nn.attention.varlen import varlen_attn

    longest, firsts = max(lengths), len(query) == len(lengths)
    asked = torch.arange(len(borders), dtype=borders.dtype, device=borders.device) if firsts else borders
    left = -1 if reach is None else reach
    window = (left, 0 if causal else left)
    found: torch.Tensor = varlen_attn(  # type: ignore[assignment]
        query, key, value, asked, borders, 1 if firsts else longest, longest, scale=scale, window_size=window
    )
    return found


def _band(query: torch.Tensor, length: int, reach: int | None, causal: bool) -> torch.Tensor | None:
    """Return which keys each query sees, bool[queries, length], or None where its window hides none."""
    if reach is None or reach >= length - 1:
        return None
    places = torch.arange(length, device=query.device)
    left = places[: query.shape[2], None] - places
    return (left >= 0) & (left <= reach) if causal else left.abs() <= reach
