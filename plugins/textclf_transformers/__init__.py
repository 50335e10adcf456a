"""Encoders and networks from Hugging Face checkpoints: `bert`, `gpt2` and `transformer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from textclf import Component, Traits

from .checkpoint import check_checkpoint
from .options import PINNED, BertOptions, Gpt2Options, NetworkOptions, TransformerOptions

if TYPE_CHECKING:
    from .encoder import TransformerEncoder


def build(options: NetworkOptions) -> TransformerEncoder:
    from .encoder import TransformerEncoder

    return TransformerEncoder(options, revision=options.revision or PINNED.get(options.checkpoint))


def restore(options: NetworkOptions, folder: Path) -> TransformerEncoder:
    from .encoder import TransformerEncoder

    return TransformerEncoder.restored(options, folder)


def textclf_encoders() -> list[Component[Any, Any]]:
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
            ("gpt2", "GPT-2, which reads from left to right; a text is read at its last token", Gpt2Options),
            ("transformer", "any Hugging Face encoder with a sequence classification head", TransformerOptions),
        )
    ]
