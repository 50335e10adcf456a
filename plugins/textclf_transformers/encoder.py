"""Owns the encoder behind `bert` and `transformer`: texts to Tokens, Tokens to batches, checkpoints to networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from textclf import Chosen, Context, Labels, Layout, Span, Split, Texts, Tokens

from . import network as networks
from . import offsets, tokenizer
from .batch import Residents
from .checkpoint import Checkpoint, locate
from .masked_lm import MaskedWords, Masking
from .packed import forward, parity
from .tokenizer import Vocabulary, read_vocabulary

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
        """Tell whether threads may run its networks at once: known of those that were tried with packed rows."""
        return "packed" in self.layouts

    def __init__(self, options: NetworkOptions, revision: str | None = None) -> None:
        self._options = options
        self._revision = revision
        self._offline = False
        self._warnings: Context | None = None
        self._read: Vocabulary | None = None
        self._residents = Residents()

    @classmethod
    def restored(cls, options: NetworkOptions, folder: Path) -> TransformerEncoder:
        """Read tokenizer and configuration from a saved model folder."""
        encoder = cls(options)
        encoder._read = read_vocabulary(options, folder)
        return encoder

    def fit(self, train: Split, context: Context) -> None:
        """Load the tokenizer, fetching it where it must be, and look whether it knows the language of the texts."""
        self._offline, self._warnings = context.offline, context
        self._read = read_vocabulary(self._options, self._checkpoint().small_files(context.offline))
        self._read.warn(train, self._options.checkpoint, context)
        self._masking()  # what cannot be done is said before the texts are encoded

    def encode(self, texts: Texts, context: Context) -> Tokens:
        vocabulary = self._vocabulary()
        return tokenizer.encode(vocabulary.tokenizer, texts, vocabulary.letters, context)

    def fingerprint(self) -> str:
        vocabulary = self._vocabulary()
        return tokenizer.fingerprint(vocabulary.tokenizer, vocabulary.letters)

    def save(self, folder: Path) -> None:
        """Write the tokenizer such that `transformers.pipeline` reads texts as we do."""
        self._vocabulary().tokenizer.save_pretrained(str(folder))

    @property
    def max_length(self) -> int:
        """Return the most tokens the network sees of a text: the smaller of the option and the network's positions."""
        return self._vocabulary().collator.max_length

    def spans(self, texts: Texts, context: Context) -> list[dict[int, list[Span]]]:
        """Return the characters that each token came from."""
        vocabulary = self._vocabulary()
        return offsets.spans(vocabulary.tokenizer, texts, vocabulary.letters)

    def reads(self, texts: Texts, context: Context) -> list[list[Span]]:
        """Return the characters of each text that the network sees."""
        return offsets.reads(self._vocabulary(), texts, context)

    def seen(self, tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._vocabulary().collator.seen(tokens, rows)

    @property
    def blank(self) -> int:
        return offsets.blank(self._vocabulary().tokenizer)

    def lengths(self, tokens: Tokens) -> NDArray[np.int64]:
        return self._vocabulary().collator.lengths(tokens)

    def cut(self, tokens: Tokens) -> NDArray[np.bool_]:
        """Tell of which texts the network does not see every token, bool[n]."""
        collator = self._vocabulary().collator
        cut: NDArray[np.bool_] = tokens.lengths() + collator.template(tokens).size > collator.max_length
        return cut

    def collate(
        self, tokens: Tokens, rows: NDArray[np.int64], layout: Layout, device: torch.device
    ) -> dict[str, torch.Tensor]:
        if layout not in self.layouts:
            raise ValueError(f"layout '{layout}' is not one of {', '.join(self.layouts)}")
        collator = self._vocabulary().collator
        source = self._residents.source(tokens, lambda: collator.template(tokens).flat, device)
        make = collator.packed if layout == "packed" else collator.padded
        return make(tokens, rows, device, source)

    def build_network(self, labels: Labels) -> torch.nn.Module:
        folder = self._checkpoint().all_files(self._offline)
        network, warnings = networks.build_network(
            folder, labels, self._options.attention_dropout, self._options.dropout, self._vocabulary().collator.pad_id
        )
        for warning in warnings if self._warnings else ():
            self._warnings.warn(warning)  # type: ignore[union-attr]
        network = self._packable(network)
        if self.unpacked and self._warnings:
            self._warnings.emit(Chosen(what="packed rows", choice="not with this network", why=self.unpacked))
        return network

    def objectives(self, train: Tokens, unlabelled: Tokens | None) -> list[MaskedWords]:
        """Return what the network is to learn before the labels: the texts' language, where that is asked for."""
        options, masking = self._adapt, self._masking()
        if options is None or masking is None:
            return []
        # A restored encoder has no checkpoint to go on from: who restores it brings all weights.
        folder = self._checkpoint().all_files(self._offline) if self._warnings else None
        tokens = train if unlabelled is None else train.followed_by(unlabelled)
        return [MaskedWords(options, tokens, self._vocabulary().collator, masking, folder, self._warnings)]

    @property
    def _adapt(self) -> AdaptOptions | None:
        options: AdaptOptions | None = getattr(self._options, "adapt", None)
        return options

    def _masking(self) -> Masking | None:
        options = self._adapt
        if options is None:
            return None
        tokenizer, checkpoint = self._vocabulary().tokenizer, self._options.checkpoint
        return Masking.of(tokenizer, options.mask, whole_words=options.whole_words, checkpoint=checkpoint)

    def why_padded(self, network: torch.nn.Module, dtype: torch.dtype) -> str:
        """Say why batches for this network, on its device and in this arithmetic, are to be padded, or return ""."""
        if "packed" not in self.layouts:
            return self.unpacked
        if next(network.parameters()).device.type == "cpu":
            return ""
        return parity.why_padded(network, self._vocabulary().collator, dtype)

    def layers(self, network: torch.nn.Module) -> list[list[torch.nn.Parameter]]:
        return networks.layers(network)

    def save_network(self, network: torch.nn.Module, folder: Path) -> None:
        networks.save_network(network, folder)

    def load_network(self, folder: Path, labels: Labels) -> torch.nn.Module:
        return self._packable(networks.load_network(folder, labels))

    def _packable(self, network: torch.nn.Module) -> torch.nn.Module:
        """Offer the packed layout where the network gives the same logits with it."""
        self.unpacked = forward.enable(network, self._vocabulary().collator) or ""
        self.layouts = ("padded",) if self.unpacked else ("packed", "padded")
        return network

    def _checkpoint(self) -> Checkpoint:
        return locate(self._options.checkpoint, self._revision)

    def _vocabulary(self) -> Vocabulary:
        if self._read is None:
            raise RuntimeError("fit the encoder before it encodes")
        return self._read
