"""The characters of a text that its tokens come from, for explanations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from textclf import Context, Span, Texts

from . import tokenizer
from .batch import blank_id

if TYPE_CHECKING:
    from .tokenizer import Vocabulary


def spans(tokenizer: Any, texts: Texts, letters: int) -> list[dict[int, list[Span]]]:
    """Return the characters of each token, as tokens are made in `tokenizing`: of a very long text both ends.

    A token of a byte-level vocabulary may be a part of a character: it then came from all of it.
    """
    found: list[dict[int, list[Span]]] = [{} for _ in range(len(texts))]
    for part, column in enumerate((texts.first, texts.second or ())):
        for units, text in zip(found, column, strict=False):
            long = len(text) > 2 * letters
            read = f"{text[:letters]} {text[-letters:]}" if long else text
            cut = len(text) - len(read) if long else 0
            begin = len(units)
            offsets = tokenizer.backend_tokenizer.encode(read, add_special_tokens=False).offsets
            for place, (start, end) in enumerate(offsets, begin):
                units[place] = [(part, start + cut * (start > letters), end + cut * (end > letters))]
    return found


def reads(vocabulary: Vocabulary, texts: Texts, context: Context) -> list[list[Span]]:
    """Return the characters of the tokens that the network sees of each text."""
    tokens = tokenizer.encode(vocabulary.tokenizer, texts, vocabulary.letters, context)
    seen = vocabulary.collator.seen(tokens, np.arange(len(texts)))
    units = spans(vocabulary.tokenizer, texts, vocabulary.letters)
    return [
        [span for place in places[places >= 0].tolist() for span in spanned[place]]
        for places, spanned in zip(seen, units, strict=True)
    ]


def blank(tokenizer: Any) -> int:
    """Return the token that stands for no word: the mask, which pretraining taught to mean just that, if there is one.

    Where there is none (GPT-2), it is what stands for an empty text.
    """
    mask: int | None = tokenizer.mask_token_id
    return blank_id(tokenizer) if mask is None else mask
