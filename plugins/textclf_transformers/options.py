"""The options of this plugin's encoders."""

from __future__ import annotations

from typing import Literal

from textclf import Field, Options

BERT = "google-bert/bert-base-uncased"
GPT2 = "openai-community/gpt2"
PINNED = {
    BERT: "86b5e0934494bd15c9632b12f734a8a67f723594",
    GPT2: "607a30d783dfa663caf39e06633721c8d4cfcd7e",
}
CHECKPOINT = (
    "pretrained weights: a Hugging Face hub id, a folder, a run or its model folder, "
    "or package:NAME/FOLDER for weights that an installed package carries"
)


class CheckpointOptions(Options):
    """Which weights are read, and how much of a text."""

    checkpoint: str = Field(min_length=1, max_length=1000, description=CHECKPOINT)
    revision: str | None = Field(None, min_length=1, description="commit, tag or branch of a hub id")
    max_length: int = Field(512, ge=8, description="tokens of a text (or pair) that the network reads, at most")
    truncate: Literal["head", "tail", "head_tail"] = Field(
        "head", description="which end of a longer text is kept; head_tail: 128 first tokens and the rest from its end"
    )


class FrozenOptions(CheckpointOptions):
    """The options of `frozen`."""

    pooling: Literal["mean", "cls", "last"] = Field(
        "mean", description="what stands for a text: the mean over its tokens, its first token, or its last"
    )
    layers: int = Field(
        1, ge=1, le=1000, description="how many of the last layers are read; their vectors stand side by side"
    )
    normalize: bool = Field(True, description="bring every layer's vector to Euclidean length one")
    device: Literal["auto", "cuda", "cpu", "mps"] = Field("auto", description="auto: CUDA where there is one, else CPU")


class NetworkOptions(CheckpointOptions):
    """The options of every encoder whose network is trained."""

    attention_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout of attention weights; above 0 attention leaves its fast kernels"
    )
    dropout: float | None = Field(None, ge=0, lt=1, description="dropout elsewhere; none given: the checkpoint's own")


class AdaptOptions(Options):
    """How a network learns the language of the texts before their labels: by words that are hidden from it."""

    epochs: float = Field(1, gt=0, le=10_000, description="passes over the training texts and those without labels")
    mask: float = Field(0.15, gt=0, lt=1, description="share of a text's tokens hidden, drawn again each epoch")
    whole_words: bool = Field(False, description="hide all tokens of a word, or none")
    learning_rate: float = Field(5e-5, gt=0, lt=10, description="the optimiser's step size, at its highest")
    head_learning_rate: float | None = Field(
        None, gt=0, lt=10, description="that of the head for masked words, for weights that bring none; null: the same"
    )
    batch_size: int = Field(32, ge=1, description="texts in one step of the optimiser")


class TransformerOptions(NetworkOptions):
    """The options of `transformer`."""

    adapt: AdaptOptions | None = Field(
        None, description="adapt the network to the texts' language before the labels: {epochs: 1, mask: 0.15}"
    )


class BertOptions(TransformerOptions):
    """The options of `bert`: those of `transformer`, with a default checkpoint at a pinned revision."""

    checkpoint: str = Field(BERT, min_length=1, max_length=1000, description=CHECKPOINT)
    revision: str | None = Field(None, min_length=1, description="commit, tag or branch; bert-base-uncased is pinned")


class Gpt2Options(NetworkOptions):
    """The options of `gpt2`, with a default checkpoint at a pinned revision."""

    checkpoint: str = Field(GPT2, min_length=1, max_length=1000, description=CHECKPOINT)
    revision: str | None = Field(None, min_length=1, description="commit, tag or branch; gpt2 is pinned")
