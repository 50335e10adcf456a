"""The packed forward pass: the texts of a batch in one row, without padding.

Every product runs over real tokens only, and attention (`attention.py`) stays within each text. The way in is the
library's own: a named attention function, and the keyword arguments `text_lengths` and `text_borders`, which it hands
through to that function.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..batch import Collator
from ..network import LastToken, is_causal
from .attention import attend
from .last_layer import Shortened, last_layer

NAME = "textclf_packed"
PARITY = 1e-4
_LENGTHS = (3, 9, 9, 14)


def enable(network: Any, collator: Collator) -> str | None:
    """Teach a classifying network to read packed rows beside padded batches; return why it cannot, or None."""
    return teach(network, collator, _hooks, lambda **batch: network(**batch).logits)


def teach(
    network: Any, collator: Collator, hooks: Callable[[Any], list[Any]], answer: Callable[..., torch.Tensor]
) -> str | None:
    """Teach a network to read packed rows beside padded batches; return why that is not to be had, or None.

    hooks: what is to be hung into the network for it. answer: what the network makes of a batch, [texts, numbers]. Four
    ragged texts must get the same answers both ways, or the network is left as it was.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    before, training = network.config._attn_implementation, network.training
    if before != "sdpa":
        return f"its attention is '{before}'"
    hung = hooks(network)
    try:
        network.set_attn_implementation(NAME)
        network.eval()
        reason = _differs(answer, collator, next(network.parameters()).device)
    except Exception as error:  # noqa: BLE001 - a network that cannot be packed may fail in any way; it is then padded
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    network.train(training)
    if reason is not None:
        network.set_attn_implementation(before)
        for hook in hung:
            hook.remove()
    return reason


class _Firsts(threading.local):
    """Where the texts of a packed row begin: each thread's own row, as several may run one network at once."""

    places: torch.Tensor | None = None


def _hooks(network: Any) -> list[Any]:
    """Let what reads the first token of each text (a pooler, or the head behind the body) find it in a packed row.

    Causal networks read the last one.
    """
    if is_causal(network):
        return [LastToken(network)]
    firsts = _Firsts()

    def remember(module: Any, arguments: Any, named: dict[str, Any]) -> None:
        borders = named.get("text_borders")
        firsts.places = None if borders is None else borders[:-1]

    def forget(module: Any, arguments: Any, output: Any) -> None:
        firsts.places = None  # who asks the body alone asks for every token

    def first_of(row: torch.Tensor) -> torch.Tensor:
        """Return [texts, 1, width] of a row [1, tokens, width], or of one that is of first tokens already."""
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


def _differs(answer: Callable[..., torch.Tensor], collator: Collator, device: torch.device) -> str | None:
    """Say by how much the answers to four ragged texts differ between packed and padded, or return None."""
    tokens, rows = collator.sample(_LENGTHS), np.arange(len(_LENGTHS))
    with torch.no_grad():
        padded = answer(**collator.padded(tokens, rows, device))
        packed = answer(**collator.packed(tokens, rows, device))
    if padded.shape != packed.shape:
        return f"it gives {list(packed.shape)} logits for {len(rows)} texts"
    error = float((padded - packed).abs().max())
    return None if error <= PARITY * max(1.0, float(padded.abs().max())) else f"its logits differ by {error:.2g}"
