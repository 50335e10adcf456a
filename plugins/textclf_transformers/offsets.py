"""The characters of a text that its tokens come from, for explanations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from textclf_torch.runtime import both_ends

from textclf import Context, Span, Texts

from .batch import blank_id

if TYPE_CHECKING:
    from .tokenizer import Preprocessor


def spans(preprocessor: Preprocessor, texts: Texts) -> list[dict[int, list[Span]]]:
    """Return the characters of each token, also of a very long text, of which both ends are read.

    A token of a byte-level vocabulary may be a part of a character: it then came from all of it.
    """
    backend, letters = preprocessor.tokenizer.backend_tokenizer, preprocessor.letters
    found: list[dict[int, list[Span]]] = [{} for _ in range(len(texts))]
    for part, column in enumerate((texts.first, texts.second or ())):
        for units, text in zip(found, column, strict=False):
            read = both_ends(text, letters)
            gap = len(text) - len(read)
            for place, (start, end) in enumerate(backend.encode(read, add_special_tokens=False).offsets, len(units)):
                units[place] = [(part, start + gap * (start > letters), end + gap * (end > letters))]
    return found


def reads(preprocessor: Preprocessor, texts: Texts, context: Context) -> list[list[Span]]:
    """Return the characters of the tokens that the network sees of each text."""
    seen = preprocessor.collator.seen(preprocessor.encode(texts, context), np.arange(len(texts)))
    return [
        [span for place in places[places >= 0].tolist() for span in units[place]]
        for places, units in zip(seen, spans(preprocessor, texts), strict=True)
    ]


def blank(tokenizer: Any) -> int:
    """Return the token that stands for no word: the mask, which pretraining taught to mean just that, if there is one.

    Where there is none (GPT-2), it is what stands for an empty text.
    """
    mask: int | None = tokenizer.mask_token_id
    return blank_id(tokenizer) if mask is None else mask
