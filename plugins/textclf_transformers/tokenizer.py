"""Tokenizers: texts to token ids without truncation, and a checkpoint's special tokens."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tokenizers
from textclf_torch.runtime import encode_texts

from textclf import ArtefactError, Context, Split, Texts, Tokens

from . import network as networks
from .batch import Collator, Template
from .network import is_causal, quiet_transformers

if TYPE_CHECKING:
    from .options import CheckpointOptions


FORMAT = 1
LETTERS_PER_TOKEN = 100  # more than any language needs: texts are cut to this, times the positions, before tokenising
_UNBOUNDED = 8192  # positions of a network without a bound
_TOO_MANY_UNKNOWN = 0.25
_CHUNK_TEXTS = 2048
_CHUNK_LETTERS = 2_000_000


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """Tokenizer and collator of a checkpoint. letters: how many at each end of a very long text are read."""

    tokenizer: Any
    collator: Collator
    letters: int

    def encode(self, texts: Texts, context: Context) -> Tokens:
        """Return the ids of all texts, without special tokens and truncation."""
        return encode_texts(texts, self.letters, self._ids, len(self.tokenizer), context)

    def _ids(self, texts: Iterable[str]) -> Iterator[list[int]]:
        for chunk in _chunks(texts):
            for encoding in self.tokenizer.backend_tokenizer.encode_batch_fast(chunk, add_special_tokens=False):
                yield encoding.ids

    def fingerprint(self) -> str:
        """Return what the ids of a text depend on: the tokenizer's bytes, its library, and where long texts are cut."""
        digest = hashlib.sha256(self.tokenizer.backend_tokenizer.to_str().encode())
        digest.update(f"{tokenizers.__version__} {FORMAT} {self.letters}".encode())
        return digest.hexdigest()

    def warn(self, train: Split, checkpoint: str, context: Context) -> None:
        """Warn where the tokenizer does not know the language of the texts, or cannot separate the two of a pair."""
        ids = [token for ids in self._ids(text[:1000] for text in train.texts.first[:500]) for token in ids]
        share = ids.count(self.tokenizer.unk_token_id) / max(1, len(ids))
        if share > _TOO_MANY_UNKNOWN:
            context.warn(
                f"{share:.0%} of the training texts' tokens are unknown to the tokenizer of '{checkpoint}'; is it the "
                "checkpoint for this language?"
            )
        if train.texts.pairs and self.collator.pair.blank:
            context.warn(
                f"the tokenizer of '{checkpoint}' puts nothing between the two texts of a pair: the network reads them "
                "as one"
            )


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if len(chunk) == _CHUNK_TEXTS or size > _CHUNK_LETTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def read_preprocessor(options: CheckpointOptions, folder: Path) -> Preprocessor:
    """Read tokenizer and configuration from a checkpoint's folder."""
    tokenizer = load_tokenizer(folder, "left" if options.truncate == "tail" else "right")
    config = networks.read_config(folder)
    outline: Any = networks.outline(config)
    bound = networks.positions(config, outline)
    max_length = min(options.max_length, tokenizer.model_max_length, bound or options.max_length)
    takes = inspect.signature(outline.forward).parameters
    tokenizer.model_max_length = max_length
    causal = is_causal(outline)
    if causal:
        set_padding(tokenizer, outline.get_input_embeddings().num_embeddings, options.checkpoint)
    collator = Collator(
        single=Template.of(tokenizer, 1),
        pair=Template.of(tokenizer, 2),
        max_length=max_length,
        truncate=options.truncate,
        pad_id=tokenizer.pad_token_id or 0,
        pad_type=tokenizer.pad_token_type_id,
        types="token_type_ids" in tokenizer.model_input_names and "token_type_ids" in takes,
        first_position=networks.first_position(outline),
        causal=causal,
    )
    return Preprocessor(tokenizer, collator, LETTERS_PER_TOKEN * (bound or _UNBOUNDED))


def load_tokenizer(folder: Path, truncation_side: str) -> Any:
    """Read a folder's tokenizer such that special tokens in a user's text stay text.

    Truncation and padding in tokenizer.json are switched off: both happen when batches are made. The side is for those
    who read the saved model with transformers.
    """
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder),
                split_special_tokens=True,
                truncation_side=truncation_side,
                local_files_only=True,
                trust_remote_code=False,
            )
    except Exception as error:  # noqa: BLE001 - transformers raises whatever the broken file made it raise
        raise ArtefactError(f"the tokenizer in '{folder}' cannot be read: {_first_line(error)}") from None
    if not getattr(tokenizer, "is_fast", False):
        raise ArtefactError(f"the tokenizer in '{folder}' has no tokenizer.json, and none can be made from its files")
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    return tokenizer


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}".rstrip(": ")


def set_padding(tokenizer: Any, vocabulary: int, name: str) -> None:
    """Make a tokenizer pad on the right, with a token that the network knows: its own, or one that ends no text.

    vocabulary: how many ids the network has embeddings of.
    """
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id < vocabulary:
        return
    known = [t for t in (tokenizer.eos_token, tokenizer.unk_token, tokenizer.bos_token) if t is not None]
    if not known:
        raise ArtefactError(
            f"encoder.checkpoint: the tokenizer of '{name}' has neither a padding token nor one to pad with; set "
            "pad_token in its tokenizer_config.json"
        )
    ends = Template.of(tokenizer, 1).specials[-1]
    tokenizer.pad_token = next((t for t in known if tokenizer.convert_tokens_to_ids(t) not in ends), known[0])
