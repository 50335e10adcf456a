"""Encoders from Hugging Face checkpoints: `bert`, `gpt2` and `transformer` with their networks, and `frozen`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from textclf import Component, Traits

from .checkpoint import check_checkpoint
from .options import PINNED, BertOptions, FrozenOptions, Gpt2Options, NetworkOptions, TransformerOptions

if TYPE_CHECKING:
    from .encoder import TransformerEncoder
    from .frozen import FrozenEncoder

NEEDS = ("torch", "transformers", "safetensors", "textclf_torch")
INSTALL = "torch>=2.10 transformers>=5.3 safetensors>=0.5"


def traits(options: NetworkOptions) -> Traits:
    adapts = isinstance(options, TransformerOptions) and options.adapt is not None
    return Traits(
        makes="tokens", tasks=frozenset({"single-label", "multi-label"}), pairs=True,
        uses_unlabelled=adapts, objectives=adapts,
    )  # fmt: skip


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
            traits=traits,
            needs=NEEDS,
            install=INSTALL,
        )
        for name, summary, options in (
            ("bert", "BERT, bert-base-uncased unless said otherwise", BertOptions),
            ("gpt2", "GPT-2, which reads from left to right; a text is read at its last token", Gpt2Options),
            ("transformer", "any Hugging Face encoder with a sequence classification head", TransformerOptions),
        )
    ] + [_frozen()]


def _frozen() -> Component[FrozenEncoder, FrozenOptions]:
    def build(options: FrozenOptions) -> FrozenEncoder:
        from .frozen import FrozenEncoder

        return FrozenEncoder(options, revision=options.revision or PINNED.get(options.checkpoint))

    def restore(options: FrozenOptions, folder: Path) -> FrozenEncoder:
        from .frozen import FrozenEncoder

        return FrozenEncoder.restored(options, folder)

    return Component(
        name="frozen",
        summary="sentence embeddings of a pretrained network that is not trained",
        options=FrozenOptions,
        build=build,
        restore=restore,
        check=check_checkpoint,
        traits=Traits(makes="matrix", tasks=frozenset({"single-label", "multi-label"}), pairs=True),
        needs=NEEDS,
        install=INSTALL,
    )
