"""Options of `vectors`, and their check before a run."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Literal

from textclf import Field, Options, Problem

from .locate import NotHere, locate

Width = Annotated[int, Field(ge=1, le=50)]


class VectorsOptions(Options):
    """The options of `vectors`."""

    vectors: str = Field(
        min_length=1,
        max_length=1000,
        description="word vectors: GloVe or word2vec text (.txt, .vec, also .gz), word2vec binary (.bin), a NumPy "
        "matrix (.npy) or .magnitude; a path, or package:NAME/FOLDER/FILE for a file of an installed package",
    )
    words: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="the words of a NumPy matrix, one a line (.txt) or row (.parquet); null: the one beside it",
    )
    network: Literal["mean", "lstm", "gru", "cnn"] = Field(
        "lstm", description="what reads the vectors: their mean, a recurrent network, or the convolutions of Kim (2014)"
    )
    hidden: int = Field(128, ge=1, le=4096, description="units of a layer (of each direction); not of cnn")
    layers: int = Field(1, ge=0, le=8, description="layers of lstm and gru; of mean those between mean and head")
    bidirectional: bool = Field(True, description="lstm and gru read each text from both ends")
    pooling: Literal["mean", "max", "attention"] = Field(
        "max", description="how the states of lstm and gru at all words become one"
    )
    widths: tuple[Width, ...] = Field((3, 4, 5), min_length=1, max_length=20, description="words a filter sees; cnn")
    filters: int = Field(100, ge=1, le=4096, description="filters of each width; cnn")
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout between layers and before the head")
    vector_dropout: float = Field(0.2, ge=0, lt=1, description="dropout of the word vectors' numbers")
    train_vectors: bool = Field(
        False, description="train the vectors too; else only the network, and the vector that unknown words share"
    )
    # Of the words of held-out film sentences 4.3 % are unknown to a model with GloVe's vectors of the training texts'
    # words alone, 1.6 % with this, and 0.2 % with all, which makes a model of 80 MB.
    vocabulary: int | None = Field(
        50_000,
        ge=0,
        description="words of the file that the model carries beside those of the training texts: its first so many, "
        "since such files begin with the commonest; 0: none; null: all",
    )
    added: int = Field(
        0, ge=0, le=1_000_000, description="words without a vector, commonest first, that get a trained one each"
    )
    subwords: bool = Field(
        True, description="words of the training texts without a vector get one from their parts, where the file can"
    )
    lowercase: bool | None = Field(None, description="read words in lower case; null: where the file's words are")
    max_length: int = Field(512, ge=1, le=4096, description="words of a text (or pair) that the network reads, at most")
    truncate: Literal["head", "tail", "head_tail"] = Field(
        "head", description="which end of a longer text is kept; head_tail: 128 first words and the rest from its end"
    )


def check(options: VectorsOptions) -> Iterator[Problem]:
    """Yield options that clash, and files and packages that are not here; no file is read."""
    if options.network in ("lstm", "gru") and options.layers == 0:
        yield Problem(f"an {options.network} has at least 1 layer; network: mean reads with none", ("layers",))
    try:
        place = locate(options)
    except NotHere as problem:
        yield Problem(str(problem), (problem.option,), exit_code=problem.exit_code)
        return
    if place.words is not None and place.words.suffix == ".parquet" and find_spec("pyarrow") is None:
        yield Problem("the word list is Parquet: pip install 'pyarrow>=17'", ("words",), exit_code=5)
