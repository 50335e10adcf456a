"""Owns how texts become Tokens: the tokenizer's own backend, without truncation, padding or special tokens."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from textclf import ArtefactError, Context, Progress, Stopped, Texts, Tokens

from .quiet import quiet

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
