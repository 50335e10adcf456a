"""The encoder behind `bert`, `gpt2` and `transformer`: texts to Tokens, Tokens to batches, checkpoints to networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from textclf_torch.runtime import LayerParts

from textclf import Chosen, Context, Labels, Layout, Span, Split, Texts, Tokens

from . import network as networks
from . import offsets
from .batch import TokenCache
from .checkpoint import Checkpoint, locate
from .masked_lm import MaskedWords, Masking
from .packed import forward, parity
from .packed.layers import fused_layers
from .tokenizer import Preprocessor, read_preprocessor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .options import AdaptOptions, NetworkOptions


class TransformerEncoder:
    """A TokenEncoder for any Hugging Face encoder."""

    layouts: tuple[Layout, ...] = ("padded",)
    unpacked: str = ""

    @property
    def concurrent(self) -> bool:
        """Tell whether threads may run its networks at once: known of those that have read packed rows."""
        return "packed" in self.layouts

    def __init__(self, options: NetworkOptions, revision: str | None = None) -> None:
        self._options = options
        self._revision = revision
        self._offline = False
        self._context: Context | None = None
        self._loaded: Preprocessor | None = None
        self._cache = TokenCache()

    @classmethod
    def restored(cls, options: NetworkOptions, folder: Path) -> TransformerEncoder:
        """Read tokenizer and configuration from a saved model folder."""
        encoder = cls(options)
        encoder._loaded = read_preprocessor(options, folder)
        return encoder

    def fit(self, train: Split, context: Context) -> None:
        """Load the tokenizer, downloaded where needed, and warn where it does not know the language of the texts."""
        self._offline, self._context = context.offline, context
        self._loaded = read_preprocessor(self._options, self._checkpoint().small_files(context.offline))
        self._loaded.warn(train, self._options.checkpoint, context)
        self._masking()  # fails before the texts are encoded, if it fails

    def encode(self, texts: Texts, context: Context) -> Tokens:
        return self._preprocessor.encode(texts, context)

    def fingerprint(self) -> str:
        return self._preprocessor.fingerprint()

    def save(self, folder: Path) -> None:
        """Write the tokenizer such that `transformers.pipeline` reads texts as textclf does."""
        self._preprocessor.tokenizer.save_pretrained(str(folder))

    @property
    def max_length(self) -> int:
        """Return the most tokens the network sees of a text: the smaller of the option and the network's positions."""
        return self._preprocessor.collator.max_length

    def spans(self, texts: Texts, context: Context) -> list[dict[int, list[Span]]]:
        """Return the characters that each token came from."""
        return offsets.spans(self._preprocessor, texts)

    def reads(self, texts: Texts, context: Context) -> list[list[Span]]:
        """Return the characters of each text that the network sees."""
        return offsets.reads(self._preprocessor, texts, context)

    def seen(self, tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._preprocessor.collator.seen(tokens, rows)

    @property
    def blank(self) -> int:
        return offsets.blank(self._preprocessor.tokenizer)

    def lengths(self, tokens: Tokens) -> NDArray[np.int64]:
        return self._preprocessor.collator.lengths(tokens)

    def cut(self, tokens: Tokens) -> NDArray[np.bool_]:
        """Tell of which texts the network does not see every token, bool[n]."""
        collator = self._preprocessor.collator
        cut: NDArray[np.bool_] = tokens.lengths() + collator.template(tokens).size > collator.max_length
        return cut

    def collate(
        self, tokens: Tokens, rows: NDArray[np.int64], layout: Layout, device: torch.device
    ) -> dict[str, torch.Tensor]:
        if layout not in self.layouts:
            raise ValueError(f"layout '{layout}' is not one of {', '.join(self.layouts)}")
        collator = self._preprocessor.collator
        source = self._cache.source(tokens, lambda: collator.template(tokens).flat, device)
        make = collator.packed if layout == "packed" else collator.padded
        return make(tokens, rows, device, source)

    def build_network(self, labels: Labels) -> torch.nn.Module:
        folder = self._checkpoint().all_files(self._offline)
        network, warnings = networks.build_network(
            folder, labels, self._options.attention_dropout, self._options.dropout, self._preprocessor.collator.pad_id
        )
        network = self._packable(network)
        if self._context is not None:
            for warning in warnings:
                self._context.warn(warning)
            if self.unpacked:
                self._context.emit(Chosen(what="packed rows", choice="not with this network", why=self.unpacked))
        return network

    def objectives(self, train: Tokens, unlabelled: Tokens | None) -> list[MaskedWords]:
        """Return what the network learns before the labels: the language of the texts, where the recipe has `adapt`."""
        options, masking = self._adapt, self._masking()
        if options is None or masking is None:
            return []
        # A restored encoder needs no checkpoint: the caller loads all weights.
        folder = self._checkpoint().all_files(self._offline) if self._context else None
        tokens = train if unlabelled is None else train.followed_by(unlabelled)
        return [MaskedWords(options, tokens, self._preprocessor.collator, masking, folder, self._context)]

    @property
    def _adapt(self) -> AdaptOptions | None:
        options: AdaptOptions | None = getattr(self._options, "adapt", None)
        return options

    def _masking(self) -> Masking | None:
        options = self._adapt
        if options is None:
            return None
        tokenizer, checkpoint = self._preprocessor.tokenizer, self._options.checkpoint
        return Masking.of(tokenizer, options.mask, whole_words=options.whole_words, checkpoint=checkpoint)

    def why_padded(self, network: torch.nn.Module, dtype: torch.dtype) -> str:
        """Return why batches for this network, on its device and in this arithmetic, must be padded, or ""."""
        if "packed" not in self.layouts:
            return self.unpacked
        if next(network.parameters()).device.type == "cpu":
            return ""
        return parity.why_padded(network, self._preprocessor.collator, dtype)

    def fused_layers(self, network: Any) -> list[LayerParts]:
        """Return the parts of a network's layers that kernels can compute in packed rows; none of other networks."""
        return fused_layers(network.base_model) if "packed" in self.layouts else []

    def layers(self, network: torch.nn.Module) -> list[list[torch.nn.Parameter]]:
        return networks.layers(network)

    def save_network(self, network: torch.nn.Module, folder: Path) -> None:
        networks.save_network(network, folder)

    def load_network(self, folder: Path, labels: Labels) -> torch.nn.Module:
        return self._packable(networks.load_network(folder, labels))

    def _packable(self, network: torch.nn.Module) -> torch.nn.Module:
        """Offer the packed layout where the network gives the same logits with it."""
        self.unpacked = forward.enable(network, self._preprocessor.collator)
        self.layouts = ("padded",) if self.unpacked else ("packed", "padded")
        return network

    def _checkpoint(self) -> Checkpoint:
        return locate(self._options.checkpoint, self._revision)

    @property
    def _preprocessor(self) -> Preprocessor:
        if self._loaded is None:
            raise RuntimeError("fit the encoder before it encodes")
        return self._loaded
