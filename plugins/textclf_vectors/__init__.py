"""Encoder `vectors`: words as pretrained vectors (GloVe, word2vec, fastText, Magnitude), read by a small network."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from textclf import Component, Traits

from .options import VectorsOptions, check

if TYPE_CHECKING:
    from .encoder import VectorsEncoder


def build(options: VectorsOptions) -> VectorsEncoder:
    from .encoder import VectorsEncoder

    return VectorsEncoder(options)


def restore(options: VectorsOptions, folder: Path) -> VectorsEncoder:
    from .encoder import VectorsEncoder

    return VectorsEncoder.restored(options, folder)


def textclf_encoders() -> list[Component[VectorsEncoder, VectorsOptions]]:
    return [
        Component(
            name="vectors",
            summary="pretrained word vectors, read by a mean, LSTM, GRU or convolutional network",
            options=VectorsOptions,
            build=build,
            restore=restore,
            check=check,
            traits=Traits(makes="tokens", tasks=frozenset({"single-label", "multi-label"}), pairs=True),
            needs=("torch", "safetensors", "textclf_torch"),
            install="torch>=2.10 safetensors>=0.5",
        )
    ]


def textclf_recipes() -> Traversable:
    return files(__name__) / "recipes"
