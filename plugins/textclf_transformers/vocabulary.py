"""Owns what a checkpoint's small files say of reading: its tokenizer, its special tokens, and how much it can read."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textclf import Context, Split

from . import network as networks
from . import tokenizing
from .causal import is_causal, set_padding
from .collating import Collator, Template

if TYPE_CHECKING:
    from .options import CheckpointOptions

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
        share = tokenizing.unknown_share(self.tokenizer, train.texts.first[:500])
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
    tokenizer = tokenizing.load_tokenizer(folder, "left" if options.truncate == "tail" else "right")
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
