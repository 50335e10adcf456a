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
    """A body without a head, and what is taken of its last layers: the mean over tokens, the first, or the last.

    The vectors of several layers stand side by side, as in the feature-based BERT of Devlin et al. 2019 (section 5.3).
    """

    def __init__(self, body: Any, pooling: Pooling, normalize: bool, layers: int = 1) -> None:
        super().__init__()
        self.body = body
        self._pooling = pooling
        self._normalize = normalize
        self._layers = layers

    @property
    def width(self) -> int:
        width: int = self.body.config.get_text_config().hidden_size
        return width * self._layers

    def forward(self, text_lasts: torch.Tensor | None = None, **batch: Any) -> torch.Tensor:
        """Return a vector for each text of a batch, packed or padded, [texts, width]."""
        pooled = _Row(batch) if "text_lengths" in batch else _Rows(batch)
        if text_lasts is not None:
            batch["attention_mask"] = no_mask(text_lasts.device)
        vectors = [getattr(pooled, self._pooling)(states) for states in self._states(batch)]
        return torch.cat([functional.normalize(v, dim=1) for v in vectors] if self._normalize else vectors, dim=1)

    def _states(self, batch: dict[str, Any]) -> list[torch.Tensor]:
        if self._layers == 1:
            return [self.body(**batch).last_hidden_state]
        said = self.body(**batch, output_hidden_states=True)
        return [*said.hidden_states[-self._layers : -1], said.last_hidden_state]


class _Row:
    """How texts are pooled that stand in one row, [1, tokens, width]."""

    def __init__(self, batch: dict[str, Any]) -> None:
        self._borders, self._lengths = batch["text_borders"], batch["text_lengths"]

    def mean(self, row: torch.Tensor) -> torch.Tensor:
        # Text by text: sums over a whole row would leave traces of the neighbours in the last digits.
        return torch.stack([text.mean(dim=0) for text in torch.split(row[0], self._lengths)])

    def cls(self, row: torch.Tensor) -> torch.Tensor:
        return row[0, self._borders[:-1]]

    def last(self, row: torch.Tensor) -> torch.Tensor:
        return row[0, self._borders[1:] - 1]


class _Rows:
    """How texts are pooled that are padded, [texts, longest, width]; without a mask none is."""

    def __init__(self, batch: dict[str, Any]) -> None:
        ids = batch["input_ids"]
        self._mask: torch.Tensor = batch.get("attention_mask", torch.ones_like(ids))

    def mean(self, rows: torch.Tensor) -> torch.Tensor:
        means: torch.Tensor = torch.einsum("tlw,tl->tw", rows, self._mask.to(rows.dtype))
        return means / self._mask.sum(dim=1, keepdim=True)

    def cls(self, rows: torch.Tensor) -> torch.Tensor:
        return rows[:, 0]

    def last(self, rows: torch.Tensor) -> torch.Tensor:
        return rows[torch.arange(len(rows), device=rows.device), self._mask.sum(dim=1) - 1]


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
