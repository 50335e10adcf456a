"""Owns the encoder `frozen`: texts to vectors of a pretrained network, float32, for trainers that read a matrix."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

from textclf import ArtefactError, Context, Layout, RecipeError, Span, Split, Texts, Tokens

from . import network as networks
from . import packed, places, tokenizing
from .checkpoint import locate
from .sentence import SentenceNetwork, digest
from .vocabulary import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .options import FrozenOptions

FORMAT = 1
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Ready:
    """A network on its device, and what is known of reading for it. weights: their digest."""

    vocabulary: Vocabulary
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
        """Read tokenizer and network from a saved model folder; the CPU will do where the option's device is not."""
        encoder = cls(options)
        encoder._ready = _read(options, folder, device_for_use(options.device))
        return encoder

    def fit(self, train: Split, context: Context) -> None:
        """Load tokenizer and network, fetching them where they must be; nothing is learnt from the texts."""
        device = choose_device(self._options.device, "encoder.device")
        folder = locate(self._options.checkpoint, self._revision).all_files(context.offline)
        self._ready = _read(self._options, folder, device)
        self._ready.vocabulary.warn(train, self._options.checkpoint, context)

    def encode(self, texts: Texts, context: Context) -> NDArray[np.float32]:
        """Return a vector for each text, float32[n, width], computed in float32."""
        ready = self._known()
        vocabulary = ready.vocabulary
        tokens = tokenizing.encode(vocabulary.tokenizer, texts, vocabulary.letters, context)
        self._products = self._products or float32_products(ready.network, ready.device, context)
        with matmul_precision(self._products, ready.device):
            vectors = _vectors(ready, tokens, context)
        strange = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(strange):
            raise ArtefactError(
                f"the network of '{self._options.checkpoint}' makes vectors that are NaN or infinite of {len(strange)} "
                f"texts, the first of which is '{texts.first[int(strange[0])][:_SHOWN]}'; choose another checkpoint"
            )
        return vectors

    def reads(self, texts: Texts, context: Context) -> list[list[Span]]:
        """Return the characters of each text that the network sees."""
        return places.reads(self._known().vocabulary, texts, context)

    def fingerprint(self) -> str:
        ready, options = self._known(), self._options
        collator = ready.vocabulary.collator
        reading = tokenizing.fingerprint(ready.vocabulary.tokenizer, ready.vocabulary.letters)
        taken = (options.layers, options.pooling, options.normalize)
        told = (FORMAT, reading, ready.weights, collator.max_length, options.truncate, *taken)
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write tokenizer and network in the Hugging Face layout, as `transformers.AutoModel` reads them."""
        ready = self._known()
        ready.vocabulary.tokenizer.save_pretrained(str(folder))
        networks.save_network(ready.network.body, folder)

    def _known(self) -> Ready:
        if self._ready is None:
            raise RuntimeError("fit the encoder before it encodes")
        return self._ready


def _read(options: FrozenOptions, folder: Path, device: torch.device) -> Ready:
    vocabulary = read_vocabulary(options, folder)
    body: Any = networks.read_body(folder)
    layers = body.config.get_text_config().num_hidden_layers
    if options.layers > layers:
        raise RecipeError(
            f"encoder.layers: the network of '{options.checkpoint}' has {layers} layers, not {options.layers}; lower it"
        )
    weights = digest(body)
    network = SentenceNetwork(body, options.pooling, options.normalize, options.layers).eval()
    # Attention of variable length knows no float32 off the CPU.
    packs = device.type == "cpu" and packed.teach(body, vocabulary.collator, lambda _: [], network) is None
    return Ready(vocabulary, network.to(device), weights, device, "packed" if packs else "padded")


def _vectors(ready: Ready, tokens: Tokens, context: Context) -> NDArray[np.float32]:
    collator = ready.vocabulary.collator
    make = collator.packed if ready.layout == "packed" else collator.padded

    def answer(rows: NDArray[np.int64]) -> torch.Tensor:
        vectors: torch.Tensor = ready.network(**make(tokens, rows, ready.device))
        return vectors

    threads = threads_for_scoring(ready.network, ready, ready.device)
    lengths = collator.lengths(tokens)
    return in_batches(answer, lengths, ready.network.width, ready.device, threads, context, "encode")
