"""Owns how a pretrained network that is not trained makes one vector of a text: of its states of the text's tokens."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

import torch
from torch.nn import functional

from .causal import no_mask

Pooling = Literal["mean", "cls", "last"]
# What a configuration says of files and libraries, not of the network.
_OUTSIDE = ("architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path")


class SentenceNetwork(torch.nn.Module):
    """A body without a head, and what is taken of its last states: the mean over tokens, the first, or the last."""

    def __init__(self, body: Any, pooling: Pooling, normalize: bool) -> None:
        super().__init__()
        self.body = body
        self._pooling = pooling
        self._normalize = normalize

    @property
    def width(self) -> int:
        width: int = self.body.config.get_text_config().hidden_size
        return width

    def forward(self, text_lasts: torch.Tensor | None = None, **batch: Any) -> torch.Tensor:
        """Return a vector for each text of a batch, packed or padded, [texts, width]."""
        vectors = self._of_row(batch, text_lasts is not None) if "text_lengths" in batch else self._of_rows(batch)
        return functional.normalize(vectors, dim=1) if self._normalize else vectors

    def _of_row(self, batch: dict[str, Any], causal: bool) -> torch.Tensor:
        borders, lengths = batch["text_borders"], batch["text_lengths"]
        spared = {"attention_mask": no_mask(borders.device)} if causal else {}
        row = self.body(**batch, **spared).last_hidden_state[0]
        if self._pooling == "mean":
            # Text by text: sums over a whole row would leave traces of the neighbours in the last digits.
            return torch.stack([text.mean(dim=0) for text in row.split(lengths)])
        places = borders[:-1] if self._pooling == "cls" else borders[1:] - 1
        chosen: torch.Tensor = row[places]
        return chosen

    def _of_rows(self, batch: dict[str, Any]) -> torch.Tensor:
        states = self.body(**batch).last_hidden_state
        mask = batch.get("attention_mask", torch.ones(states.shape[:2], device=states.device, dtype=torch.long))
        if self._pooling == "mean":
            sums: torch.Tensor = torch.einsum("tlw,tl->tw", states, mask.to(states.dtype))
            return sums / mask.sum(dim=1, keepdim=True)
        places = torch.zeros_like(mask[:, 0]) if self._pooling == "cls" else mask.sum(dim=1) - 1
        chosen: torch.Tensor = states[torch.arange(len(states), device=states.device), places]
        return chosen


def digest(body: Any) -> str:
    """Return what a body's states depend on: its configuration, and the name, shape and numbers of every tensor.

    Files are not looked at, so that a body has one digest wherever it is saved.
    """
    config = {name: value for name, value in body.config.to_dict().items() if name not in _OUTSIDE}
    found = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in sorted(body.state_dict().items()):
        if not name.startswith("pooler."):
            found.update(f"{name} {list(tensor.shape)} {tensor.dtype}".encode())
            found.update(memoryview(tensor.contiguous().cpu().numpy()).cast("B"))
    return found.hexdigest()
