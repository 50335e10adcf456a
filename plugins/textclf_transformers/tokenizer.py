"""Tokenizers: texts to token ids without truncation, and a checkpoint's special tokens."""

from __future__ import annotations

import hashlib
import inspect
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers

from textclf import ArtefactError, Context, Progress, Split, Stopped, Texts, Tokens

from . import network as networks
from .batch import Collator, Template
from .network import is_causal, quiet, set_padding

if TYPE_CHECKING:
    from .options import CheckpointOptions


FORMAT = 1
_CHUNK_TEXTS = 2048
_CHUNK_LETTERS = 2_000_000


def load_tokenizer(folder: Path, truncation_side: str) -> Any:
    """Read a folder's tokenizer such that special tokens in a user's text stay text.

    What a tokenizer.json says of truncation and padding is taken off: both happen when batches are made. The side is
    for those who read the saved model with transformers.
    """
    from transformers import AutoTokenizer

    try:
        with quiet():
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


def fingerprint(tokenizer: Any, letters: int) -> str:
    """Return what the ids of a text depend on: the tokenizer's bytes, its library, and where long texts are cut."""
    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode())
    digest.update(f"{tokenizers.__version__} {FORMAT} {letters}".encode())
    return digest.hexdigest()


def encode(tokenizer: Any, texts: Texts, letters: int, context: Context) -> Tokens:
    """Return the ids of all texts.

    Of a text longer than twice `letters` only its first and last `letters` are read: no network sees more of it.
    """
    tokens, longer = _column(tokenizer, texts.first, letters, context)
    if texts.second is not None:
        second, more = _column(tokenizer, texts.second, letters, context)
        tokens, longer = tokens.paired(second), longer + more
    if longer:
        context.warn(f"texts of more than {2 * letters:,} characters: {longer}; only both ends of them are read")
    return tokens


def _column(tokenizer: Any, column: Sequence[str], letters: int, context: Context) -> tuple[Tokens, int]:
    # A typed array grows in place; the ids of all texts as Python lists would take ten times the memory.
    small = len(tokenizer) <= 1 << 16
    ids, lengths, longer = array("H" if small else "I"), array("q"), 0
    reported = time.monotonic()
    for chunk, cut in _chunks(column, letters):
        for encoding in tokenizer.backend_tokenizer.encode_batch_fast(chunk, add_special_tokens=False):
            ids.extend(encoding.ids)
            lengths.append(len(encoding.ids))
        longer += cut
        if time.monotonic() - reported > 0.3:
            reported = time.monotonic()
            context.emit(Progress(stage="encode", done=len(lengths), total=len(column), unit="texts"))
            if context.stopping():
                raise Stopped("stopped while encoding texts")
    flat = np.array(ids, np.uint16) if small else np.array(ids, np.uint32)
    return Tokens(flat, np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64)), longer


def _chunks(column: Sequence[str], letters: int) -> Iterator[tuple[list[str], int]]:
    chunk: list[str] = []
    size = cut = 0
    for text in column:
        if len(text) > 2 * letters:
            text, cut = f"{text[:letters]} {text[-letters:]}", cut + 1
        chunk.append(text)
        size += len(text)
        if len(chunk) == _CHUNK_TEXTS or size > _CHUNK_LETTERS:
            yield chunk, cut
            chunk, size, cut = [], 0, 0
    if chunk:
        yield chunk, cut


def unknown_share(tokenizer: Any, texts: Sequence[str]) -> float:
    """Return the share of the texts' ids that mean "unknown"."""
    encodings = tokenizer.backend_tokenizer.encode_batch_fast([text[:1000] for text in texts], add_special_tokens=False)
    ids = [token for encoding in encodings for token in encoding.ids]
    return ids.count(tokenizer.unk_token_id) / max(1, len(ids))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}".rstrip(": ")


LETTERS_PER_TOKEN = 100  # more than any language needs: texts are cut to this, times the positions, before tokenising
_UNBOUNDED = 8192
_ABSURD = 0.25


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What is known once tokenizer and configuration are read."""

    tokenizer: Any
    collator: Collator
    letters: int

    def warn(self, train: Split, checkpoint: str, context: Context) -> None:
        """Warn where the tokenizer does not know the language of the texts, or cannot tell the two of a pair apart."""
        share = unknown_share(self.tokenizer, train.texts.first[:500])
        if share > _ABSURD:
            context.warn(
                f"{share:.0%} of the training texts' tokens are unknown to the tokenizer of '{checkpoint}'; is it the "
                "checkpoint for this language?"
            )
        if train.texts.pairs and self.collator.pair.blank:
            context.warn(
                f"the tokenizer of '{checkpoint}' puts nothing between the two texts of a pair: the network reads them "
                "as one"
            )


def read_vocabulary(options: CheckpointOptions, folder: Path) -> Vocabulary:
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
    return Vocabulary(tokenizer, collator, LETTERS_PER_TOKEN * (bound or _UNBOUNDED))
