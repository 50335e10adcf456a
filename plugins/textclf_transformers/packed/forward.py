"""The packed forward pass: the texts of a batch in one row, without padding.

Every product runs over real tokens only, and attention (`attention.py`) stays within each text. transformers offers the
means: a named attention function, and keyword arguments (`text_lengths`, `text_borders`) that it passes to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

from ..batch import Collator
from ..network import LastToken, is_causal
from .attention import attend
from .last_layer import Shortened, last_layer
from .parity import logits_differ

NAME = "textclf_packed"
PARITY = 1e-4


def enable(network: Any, collator: Collator) -> str:
    """Make a classifying network read packed rows beside padded batches; return why it cannot, or ""."""
    return enable_with(network, collator, _hooks, lambda **batch: network(**batch).logits)


def enable_with(
    network: Any, collator: Collator, hooks: Callable[[Any], list[Any]], answer: Callable[..., torch.Tensor]
) -> str:
    """Make a network read packed rows beside padded batches; return why it cannot, or "".

    hooks: adds the network's hooks for it. answer: the network's output for a batch, [texts, numbers]. Four ragged
    texts must get the same answers in both layouts, or the network is left as it was.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    before, training = network.config._attn_implementation, network.training
    if before != "sdpa":
        return f"its attention is '{before}'"
    added = hooks(network)
    try:
        network.set_attn_implementation(NAME)
        network.eval()
        reason = logits_differ(answer, collator, next(network.parameters()).device, PARITY)
    except Exception as error:  # noqa: BLE001 - a network that cannot be packed may fail in any way; it is then padded
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    network.train(training)
    if reason:
        network.set_attn_implementation(before)
        for hook in added:
            hook.remove()
    return reason


class _Firsts(threading.local):
    """The first places of the texts of a packed row, for each thread: several may run one network at once."""

    places: torch.Tensor | None = None


def _hooks(network: Any) -> list[Any]:
    """Make what reads the first token of each text (a pooler, or the head behind the body) find it in a packed row.

    Causal networks read the last one.
    """
    if is_causal(network):
        return [LastToken(network)]
    firsts = _Firsts()

    def remember(module: Any, arguments: Any, named: dict[str, Any]) -> None:
        borders = named.get("text_borders")
        firsts.places = None if borders is None else borders[:-1]

    def forget(module: Any, arguments: Any, output: Any) -> None:
        firsts.places = None  # a call of the body alone is for every token

    def first_of(row: torch.Tensor) -> torch.Tensor:
        """Return [texts, 1, width] of a row [1, tokens, width], or of a row that is of first tokens already."""
        assert firsts.places is not None
        return row.transpose(0, 1) if row.shape[1] == len(firsts.places) else row[0, firsts.places][:, None]

    def pooled(module: Any, arguments: tuple[torch.Tensor, ...]) -> Any:
        return (first_of(arguments[0]), *arguments[1:]) if firsts.places is not None else None

    def headed(module: Any, arguments: Any, output: Any) -> Any:
        # Last, since the pooler inside the body still reads the row as a whole.
        if firsts.places is not None:
            output.last_hidden_state = first_of(output.last_hidden_state)
        return output

    body = network.base_model
    found = [
        network.register_forward_pre_hook(remember, with_kwargs=True),
        body.register_forward_hook(headed),
        network.register_forward_hook(forget, always_call=True),
    ]
    pooler = getattr(body, "pooler", None)
    if pooler is not None:
        found.append(pooler.register_forward_pre_hook(pooled))
    last = last_layer(body)
    return found if last is None else [*found, Shortened(last)]
