"""Owns the encoder behind `vectors`: texts to Tokens, Tokens to batches, word vectors to networks."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from textclf import Chosen, Context, DataError, Labels, Layout, Progress, Span, Split, Stopped, Texts, Tokens

from . import storage, vocabulary
from .batch import Collator
from .locate import NotHere, Place, demand_published, locate
from .network import Design, VectorsNetwork
from .readers import magnitude, numpy_matrix, word2vec
from .readers import text as text_files
from .readers.reader import Keep, Vectors, counted
from .vocabulary import UNKNOWN, Vocabulary

if TYPE_CHECKING:
    from collections import Counter

    from numpy.typing import NDArray

    from .options import VectorsOptions

LETTERS = 200_000  # of a longer text only so many at each end are read: no network sees more of it
_ABSURD = 0.25


class VectorsEncoder:
    """A TokenEncoder whose tokens are words, and whose networks read pretrained vectors of them."""

    # Its networks hold no state of a forward pass, and draw their dropout through plain modules only.
    concurrent = True

    def __init__(self, options: VectorsOptions) -> None:
        self._options = options
        self._vocabulary: Vocabulary | None = None
        self._matrix: NDArray[np.float32] | None = None
        self._collator = Collator(options.max_length, options.truncate)
        # A convolution computes padding too, so the trainer is to make rows of like length for it.
        self.layouts: tuple[Layout, ...] = ("padded",) if options.network == "cnn" else ("packed", "padded")
        self.unpacked = "a convolution runs over padded rows" if options.network == "cnn" else ""

    @classmethod
    def restored(cls, options: VectorsOptions, folder: Path) -> VectorsEncoder:
        """Read the vocabulary from a saved model folder; the file of vectors is not needed any more."""
        encoder = cls(options)
        encoder._vocabulary = vocabulary.load(folder)
        return encoder

    def fit(self, train: Split, context: Context) -> None:
        """Choose the words that the model knows, and read their vectors."""
        try:
            place = locate(self._options)
        except NotHere as problem:
            raise DataError(f"encoder.{problem.option}: {problem}") from None
        demand_published(self._options, place)
        columns = [train.texts.first, *([train.texts.second] if train.texts.second is not None else [])]
        found = vocabulary.forms([_shortened(column)[0] for column in columns])
        file = read(place, vocabulary.wanted(found, self._options.vocabulary))
        if file.twice:
            twice = counted(file.twice, "word")
            context.warn(f"'{place.vectors.name}' has {twice} twice: the first vector of each counts")
        if not file.words:
            raise DataError(f"'{place.vectors}' has no vector for any word of the training texts")
        options = self._options
        self._vocabulary, self._matrix = vocabulary.build(
            found, file, options.lowercase, options.added, options.subwords
        )
        self._tell(found, context)

    def encode(self, texts: Texts, context: Context) -> Tokens:
        first = self._column(texts.first, context)
        return first if texts.second is None else first.paired(self._column(texts.second, context))

    def fingerprint(self) -> str:
        return f"{self._known().fingerprint()} {LETTERS}"

    def save(self, folder: Path) -> None:
        self._known().save(folder)

    def spans(self, texts: Texts, context: Context) -> list[dict[int, list[Span]]]:
        """Return the characters that each word with a vector of its own came from.

        All others share one vector, which also stands for no word: it tells nothing of the word that is there.
        """
        return [
            {unit: [span] for unit, (known, span) in enumerate(words) if known != UNKNOWN}
            for words in self._placed(texts)
        ]

    def reads(self, texts: Texts, context: Context) -> list[list[Span]]:
        """Return the characters of each text that the network sees, be it as an unknown word."""
        seen = self._collator.seen(self.encode(texts, context), np.arange(len(texts)))
        return [
            [words[place][1] for place in places[places >= 0].tolist()]
            for words, places in zip(self._placed(texts), seen, strict=True)
        ]

    def seen(self, tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._collator.seen(tokens, rows)

    @property
    def blank(self) -> int:
        """Return the token that stands for no word."""
        return UNKNOWN

    @property
    def max_length(self) -> int:
        """Return the most words the network sees of a text."""
        return self._options.max_length

    def lengths(self, tokens: Tokens) -> NDArray[np.int64]:
        return self._collator.lengths(tokens)

    def cut(self, tokens: Tokens) -> NDArray[np.bool_]:
        """Tell of which texts the network does not see every word, bool[n]."""
        return self._collator.cut(tokens)

    def collate(
        self, tokens: Tokens, rows: NDArray[np.int64], layout: Layout, device: torch.device
    ) -> dict[str, torch.Tensor]:
        if layout not in self.layouts:
            raise ValueError(f"layout '{layout}' is not one of {', '.join(self.layouts)}")
        make = self._collator.packed if layout == "packed" else self._collator.padded
        return make(tokens, rows, device)

    def why_padded(self, network: torch.nn.Module, dtype: torch.dtype) -> str:
        """Say why batches for this network are to be padded, or return "": packed sequences run on every device."""
        return self.unpacked

    def build_network(self, labels: Labels) -> torch.nn.Module:
        if self._matrix is None:
            raise RuntimeError("fit the encoder before it builds a network; a saved model's network is loaded")
        known, matrix, told = self._known(), torch.from_numpy(self._matrix), self._options
        network = VectorsNetwork(
            Design(
                network=told.network,
                dimensions=matrix.shape[1],
                words=len(known.words),
                added=len(known.added),
                hidden=told.hidden,
                layers=told.layers,
                bidirectional=told.bidirectional,
                pooling=told.pooling,
                widths=told.widths,
                filters=told.filters,
                dropout=told.dropout,
                vector_dropout=told.vector_dropout,
                train_vectors=told.train_vectors,
            ),
            labels,
        )
        with torch.no_grad():
            network.vectors.words.weight.copy_(matrix)
            # Drawn as spread as the file's vectors are; what is unknown begins as their mean.
            network.vectors.own.weight.mul_(matrix.std())
            network.vectors.own.weight[UNKNOWN] = matrix.mean(dim=0)
        return network

    def layers(self, network: torch.nn.Module) -> list[list[torch.nn.Parameter]]:
        assert isinstance(network, VectorsNetwork)
        return network.layers()

    def save_network(self, network: torch.nn.Module, folder: Path) -> None:
        storage.save_network(network, folder)

    def load_network(self, folder: Path, labels: Labels) -> torch.nn.Module:
        return storage.load_network(folder, labels, self._known())

    def _placed(self, texts: Texts) -> list[list[tuple[int, Span]]]:
        """Return the id of each word of each text, and the characters that it came from."""
        found: list[list[tuple[int, Span]]] = [[] for _ in range(len(texts))]
        for part, column in enumerate((texts.first, texts.second or ())):
            for words, text, short in zip(found, column, _shortened(column)[0], strict=False):
                gap = len(text) - len(short)
                for known, (_, start, end) in self._known().read(short):
                    words.append((known, (part, start + gap * (start > LETTERS), end + gap * (end > LETTERS))))
        return found

    def _column(self, column: Sequence[str], context: Context) -> Tokens:
        known = self._known()
        short, longer = _shortened(column)
        if longer:
            context.warn(f"texts of more than {2 * LETTERS:,} characters: {longer}; only both ends of them are read")
        # A typed array grows in place; the ids of all texts as Python lists would take ten times the memory.
        small = len(known) <= 1 << 16
        ids, lengths, reported = array("H" if small else "I"), array("q"), time.monotonic()
        for text in short:
            before = len(ids)
            ids.extend(known.ids(text))
            lengths.append(len(ids) - before)
            if time.monotonic() - reported > 0.3:
                reported = time.monotonic()
                context.emit(Progress(stage="encode", done=len(lengths), total=len(column), unit="texts"))
                if context.stopping():
                    raise Stopped("stopped while encoding texts")
        flat = np.array(ids, np.uint16) if small else np.array(ids, np.uint32)
        return Tokens(flat, np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64))

    def _tell(self, found: Counter[str], context: Context) -> None:
        """Tell the run how many words are known, and warn where the file is not of the texts' language."""
        known = self._known()
        total = max(1, sum(found.values()))
        unknown = sum(count for form, count in found.items() if known.ids(form) == [UNKNOWN]) / total
        context.emit(
            Chosen(what="vocabulary", choice=len(known.words), why=f"{1 - unknown:.1%} of the training words are known")
        )
        if unknown > _ABSURD:
            context.warn(
                f"{unknown:.0%} of the training texts' words have no vector in '{self._options.vectors}'; "
                "is it for this language?"
            )

    def _known(self) -> Vocabulary:
        if self._vocabulary is None:
            raise RuntimeError("fit the encoder before it encodes")
        return self._vocabulary


def read(place: Place, keep: Keep) -> Vectors:
    """Read the wanted vectors of a file of any known kind."""
    if place.kind == "matrix":
        assert place.words is not None
        return numpy_matrix.read(place.vectors, place.words, keep)
    return {"text": text_files.read, "binary": word2vec.read, "magnitude": magnitude.read}[place.kind](
        place.vectors, keep
    )


def _shortened(column: Sequence[str]) -> tuple[Sequence[str], int]:
    """Return the texts with only both ends of those that are very long, and how many those are."""
    longer = sum(len(text) > 2 * LETTERS for text in column)
    if not longer:
        return column, 0
    cut = [text if len(text) <= 2 * LETTERS else f"{text[:LETTERS]} {text[-LETTERS:]}" for text in column]
    return cut, longer
