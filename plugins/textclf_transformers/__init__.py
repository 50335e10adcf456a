"""Encoders and networks from Hugging Face checkpoints: `bert` and `transformer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from textclf import Component, Field, Options, Traits

from .checkpoint import check_checkpoint

if TYPE_CHECKING:
    from .encoder import TransformerEncoder

BERT = "google-bert/bert-base-uncased"
BERT_REVISION = "86b5e0934494bd15c9632b12f734a8a67f723594"
CHECKPOINT = (
    "pretrained weights: a Hugging Face hub id, a folder, a run or its model folder, "
    "or package:NAME/FOLDER for weights that an installed package carries"
)


class TransformerOptions(Options):
    """The options of `transformer`."""

    checkpoint: str = Field(min_length=1, max_length=1000, description=CHECKPOINT)
    revision: str | None = Field(None, min_length=1, description="commit, tag or branch of a hub id")
    max_length: int = Field(512, ge=8, description="tokens of a text (or pair) that the network reads, at most")
    truncate: Literal["head", "tail", "head_tail"] = Field(
        "head", description="which end of a longer text is kept; head_tail: 128 first tokens and the rest from its end"
    )
    attention_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout of attention weights; above 0 attention leaves its fast kernels"
    )
    dropout: float | None = Field(None, ge=0, lt=1, description="dropout elsewhere; none given: the checkpoint's own")


class BertOptions(TransformerOptions):
    """The options of `bert`: those of `transformer`, with a default checkpoint at a pinned revision."""

    checkpoint: str = Field(BERT, min_length=1, max_length=1000, description=CHECKPOINT)
    revision: str | None = Field(None, min_length=1, description="commit, tag or branch; bert-base-uncased is pinned")


def build(options: TransformerOptions) -> TransformerEncoder:
    from .encoder import TransformerEncoder

    pinned = BERT_REVISION if options.checkpoint == BERT else None
    return TransformerEncoder(options, revision=options.revision or pinned)


def restore(options: TransformerOptions, folder: Path) -> TransformerEncoder:
    from .encoder import TransformerEncoder

    return TransformerEncoder.restored(options, folder)


def textclf_encoders() -> list[Component[TransformerEncoder, TransformerOptions]]:
    return [
        Component(
            name=name,
            summary=summary,
            options=options,
            build=build,
            restore=restore,
            check=check_checkpoint,
            traits=Traits(makes="tokens", tasks=frozenset({"single-label", "multi-label"}), pairs=True),
            needs=("torch", "transformers", "safetensors"),
            install="torch>=2.10 transformers>=5.3 safetensors>=0.5",
        )
        for name, summary, options in (
            ("bert", "BERT, bert-base-uncased unless said otherwise", BertOptions),
            ("transformer", "any Hugging Face encoder with a sequence classification head", TransformerOptions),
        )
    ]
