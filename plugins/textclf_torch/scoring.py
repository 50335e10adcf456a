"""Owns the scoring loop: texts in batches of like length, longest first, and their probabilities in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from textclf import Context, Labels, ResourceError, Stopped, TokenEncoder, Tokens

from .batches import scoring_batches
from .devices import choose_layout, out_of_memory
from .reporting import Reporter

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Tokens of one forward pass, at most: more gains nothing, and costs memory.
SCORING_BUDGET = {"cpu": 2048, "mps": 16_384, "cuda": 65_536}


def score(
    network: torch.nn.Module,
    encoder: TokenEncoder,
    tokens: Tokens,
    labels: Labels,
    device: torch.device,
    context: Context,
) -> NDArray[np.float32]:
    """Return the probabilities of all texts, float32[n, labels]: softmax, or for multi-label tasks sigmoids.

    The numbers are those of the network's weights up to its logits, and float32 from there.
    """
    lengths = encoder.lengths(tokens)
    done, report = 0, Reporter(context, "score", len(tokens), "texts")
    network.eval()
    layout, _ = choose_layout(encoder, device, network, next(network.parameters()).dtype)
    batches = scoring_batches(lengths, SCORING_BUDGET[device.type])[::-1]
    order, found = [], []
    with torch.inference_mode():
        while batches:
            rows = batches.pop()
            try:
                logits = logits_of(network(**encoder.collate(tokens, rows, layout, device))).float()
            except RuntimeError as error:
                if not out_of_memory(error) or len(rows) == 1:
                    raise _no_memory(error, int(lengths[rows].max())) from None
                batches += np.array_split(rows, 2)[::-1]
                continue
            # They stay on the device until the end: fetching them here would make a GPU wait for the next batch.
            found.append(logits.sigmoid() if labels.task == "multi-label" else logits.softmax(dim=1))
            order.append(rows)
            done += len(rows)
            report(done, tokens=int(lengths[rows].sum()))
            if context.stopping():
                raise Stopped("stopped while scoring texts")
    scores = np.empty((len(tokens), len(labels)), np.float32)
    if found:
        scores[np.concatenate(order)] = torch.cat(found).cpu().numpy()
    return scores


def logits_of(output: Any) -> torch.Tensor:
    """Return the logits of a network's answer: the answer itself, or its field of that name."""
    logits: torch.Tensor = output if isinstance(output, torch.Tensor) else output.logits
    return logits


def _no_memory(error: RuntimeError, length: int) -> Exception:
    if not out_of_memory(error):
        return error
    return ResourceError(f"not enough memory to score one text of {length} tokens; lower encoder.max_length")
