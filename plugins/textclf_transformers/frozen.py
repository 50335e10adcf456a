"""The encoder `frozen`: sentence embeddings of a pretrained network, for trainers that read a matrix."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from textclf_torch.runtime import (
    choose_device,
    device_for_use,
    float32_products,
    in_batches,
    matmul_precision,
    threads_for_scoring,
)
from torch.nn import functional

from textclf import ArtefactError, Context, Layout, RecipeError, Span, Split, Texts, Tokens

from . import network as networks
from . import offsets
from .checkpoint import locate
from .network import no_mask
from .packed import forward
from .tokenizer import Preprocessor, read_preprocessor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .options import FrozenOptions


Pooling = Literal["mean", "cls", "last"]
# Parts of a configuration that describe files and libraries, not the network.
_OUTSIDE = ("architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path")


class SentenceNetwork(torch.nn.Module):
    """A body without a head, pooled over its last layers: the mean over tokens, the first, or the last.

    The vectors of several layers are concatenated, as in the feature-based BERT of Devlin et al. 2019 (section 5.3).
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
        pooled = _Packed(batch) if "text_lengths" in batch else _Padded(batch)
        if text_lasts is not None:
            batch["attention_mask"] = no_mask(text_lasts.device)
        vectors = [getattr(pooled, self._pooling)(states) for states in self._states(batch)]
        return torch.cat([functional.normalize(v, dim=1) for v in vectors] if self._normalize else vectors, dim=1)

    def _states(self, batch: dict[str, Any]) -> list[torch.Tensor]:
        if self._layers == 1:
            return [self.body(**batch).last_hidden_state]
        output = self.body(**batch, output_hidden_states=True)
        return [*output.hidden_states[-self._layers : -1], output.last_hidden_state]


class _Packed:
    """Pooling of texts in one row, [1, tokens, width]."""

    def __init__(self, batch: dict[str, Any]) -> None:
        self._borders, self._lengths = batch["text_borders"], batch["text_lengths"]

    def mean(self, row: torch.Tensor) -> torch.Tensor:
        # Text by text: sums over a whole row would change in the last digits with the neighbours.
        texts = torch.split(row[0, : sum(self._lengths)], self._lengths)
        return torch.stack([text.mean(dim=0) for text in texts])

    def cls(self, row: torch.Tensor) -> torch.Tensor:
        return row[0, self._borders[:-1]]

    def last(self, row: torch.Tensor) -> torch.Tensor:
        return row[0, self._borders[1:] - 1]


class _Padded:
    """Pooling of a padded batch, [texts, longest, width]; without a mask nothing is padded."""

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
    """Return a digest of a body: of its configuration, and the name, shape and numbers of every tensor.

    It does not depend on files, so that a body has one digest wherever it is saved.
    """
    config = {name: value for name, value in body.config.to_dict().items() if name not in _OUTSIDE}
    found = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in sorted(body.state_dict().items()):
        if not name.startswith("pooler."):
            found.update(f"{name} {list(tensor.shape)} {tensor.dtype}".encode())
            found.update(memoryview(tensor.contiguous().cpu().numpy()).cast("B"))
    return found.hexdigest()


FORMAT = 1
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Ready:
    """A network on its device with its preprocessor and layout. weights: their digest."""

    preprocessor: Preprocessor
    network: SentenceNetwork
    weights: str
    device: torch.device
    layout: Layout

    @property
    def concurrent(self) -> bool:
        return self.layout == "packed"


class FrozenEncoder:
    """An Encoder whose features are sentence embeddings: the network is read, and never trained."""

    def __init__(self, options: FrozenOptions, revision: str | None = None) -> None:
        self._options = options
        self._revision = revision
        self._ready: Ready | None = None
        self._products: str | None = None

    @classmethod
    def restored(cls, options: FrozenOptions, folder: Path) -> FrozenEncoder:
        """Read tokenizer and network from a saved model folder; on the CPU where the option's device is missing."""
        encoder = cls(options)
        encoder._ready = _read(options, folder, device_for_use(options.device))
        return encoder

    def fit(self, train: Split, context: Context) -> None:
        """Load tokenizer and network, downloaded where needed; nothing is learnt from the texts."""
        device = choose_device(self._options.device, "encoder.device")
        folder = locate(self._options.checkpoint, self._revision).all_files(context.offline)
        self._ready = _read(self._options, folder, device)
        self._ready.preprocessor.warn(train, self._options.checkpoint, context)

    def encode(self, texts: Texts, context: Context) -> NDArray[np.float32]:
        """Return a vector for each text, float32[n, width], computed in float32."""
        ready = self._known()
        tokens = ready.preprocessor.encode(texts, context)
        self._products = self._products or float32_products(ready.network, ready.device, context)
        with matmul_precision(self._products, ready.device):
            vectors = _vectors(ready, tokens, context)
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise ArtefactError(
                f"the network of '{self._options.checkpoint}' makes vectors that are NaN or infinite of {len(bad)} "
                f"texts, the first of which is '{texts.first[int(bad[0])][:_SHOWN]}'; choose another checkpoint"
            )
        return vectors

    def reads(self, texts: Texts, context: Context) -> list[list[Span]]:
        """Return the characters of each text that the network sees."""
        return offsets.reads(self._known().preprocessor, texts, context)

    def fingerprint(self) -> str:
        ready, options = self._known(), self._options
        parts = (
            FORMAT, ready.preprocessor.fingerprint(), ready.weights, ready.preprocessor.collator.max_length,
            options.truncate, options.layers, options.pooling, options.normalize,
        )  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write tokenizer and network in the Hugging Face layout, as `transformers.AutoModel` reads them."""
        ready = self._known()
        ready.preprocessor.tokenizer.save_pretrained(str(folder))
        networks.save_network(ready.network.body, folder)

    def _known(self) -> Ready:
        if self._ready is None:
            raise RuntimeError("fit the encoder before it encodes")
        return self._ready


def _read(options: FrozenOptions, folder: Path, device: torch.device) -> Ready:
    preprocessor = read_preprocessor(options, folder)
    body: Any = networks.read_body(folder)
    layers = body.config.get_text_config().num_hidden_layers
    if options.layers > layers:
        raise RecipeError(
            f"encoder.layers: the network of '{options.checkpoint}' has {layers} layers, not {options.layers}; lower it"
        )
    weights = digest(body)
    network = SentenceNetwork(body, options.pooling, options.normalize, options.layers).eval()
    # Attention of variable length has no float32 kernel off the CPU.
    packs = device.type == "cpu" and not forward.enable_with(body, preprocessor.collator, lambda _: [], network)
    return Ready(preprocessor, network.to(device), weights, device, "packed" if packs else "padded")


def _vectors(ready: Ready, tokens: Tokens, context: Context) -> NDArray[np.float32]:
    collator = ready.preprocessor.collator
    make = collator.packed if ready.layout == "packed" else collator.padded

    def answer(rows: NDArray[np.int64]) -> torch.Tensor:
        vectors: torch.Tensor = ready.network(**make(tokens, rows, ready.device))
        return vectors

    threads = threads_for_scoring(ready.network, ready, ready.device)
    lengths = collator.lengths(tokens)
    return in_batches(answer, lengths, ready.network.width, ready.device, threads, context, "encode")
