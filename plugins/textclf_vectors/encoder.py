"""The encoder `vectors`: texts to Tokens, Tokens to batches, word vectors to networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from textclf_torch.runtime import both_ends, encode_texts

from textclf import Chosen, Context, DataError, Labels, Layout, Span, Split, Texts, Tokens

from . import storage, vocabulary
from .batch import Collator
from .locate import NotHere, Place, check_digests, locate
from .network import Design, VectorsNetwork
from .readers import magnitude, numpy_matrix, word2vec
from .readers import text as text_files
from .readers.reader import Keep, Vectors, counted
from .vocabulary import UNKNOWN, Vocabulary

if TYPE_CHECKING:
    from collections import Counter

    from numpy.typing import NDArray

    from .options import VectorsOptions

LETTERS = 200_000  # at each end of a very long text are read; no network sees more of it
_TOO_MANY_UNKNOWN = 0.25


class VectorsEncoder:
    """A TokenEncoder whose tokens are words, and whose networks read pretrained vectors of them."""

    # Its networks hold no state of a forward pass, and draw their dropout through plain modules only.
    concurrent = True

    def __init__(self, options: VectorsOptions) -> None:
        self._options = options
        self._vocabulary: Vocabulary | None = None
        self._matrix: NDArray[np.float32] | None = None
        self._collator = Collator(options.max_length, options.truncate)
        # A convolution computes padding too, so the trainer batches texts of similar length for it.
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
        check_digests(self._options, place)
        columns = [train.texts.first, *([train.texts.second] if train.texts.second is not None else [])]
        found = vocabulary.count_words(both_ends(text, LETTERS) for column in columns for text in column)
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
        self._report(found, context)

    def encode(self, texts: Texts, context: Context) -> Tokens:
        known = self._known()
        return encode_texts(texts, LETTERS, lambda column: map(known.ids, column), len(known), context)

    def fingerprint(self) -> str:
        return f"{self._known().fingerprint()} {LETTERS}"

    def save(self, folder: Path) -> None:
        self._known().save(folder)

    def spans(self, texts: Texts, context: Context) -> list[dict[int, list[Span]]]:
        """Return the characters that each word with a vector of its own came from.

        All others share one vector, which also stands for no word and so explains nothing.
        """
        return [
            {unit: [span] for unit, (known, span) in enumerate(words) if known != UNKNOWN}
            for words in self._placed(texts)
        ]

    def reads(self, texts: Texts, context: Context) -> list[list[Span]]:
        """Return the characters of each text that the network sees, also as unknown words."""
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
        """Return why batches for this network must be padded, or "": packed sequences run on every device."""
        return self.unpacked

    def build_network(self, labels: Labels) -> torch.nn.Module:
        if self._matrix is None:
            raise RuntimeError("fit the encoder before it builds a network")
        known, matrix, options = self._known(), torch.from_numpy(self._matrix), self._options
        network = VectorsNetwork(
            Design(
                network=options.network,
                dimensions=matrix.shape[1],
                words=len(known.words),
                added=len(known.added),
                hidden=options.hidden,
                layers=options.layers,
                bidirectional=options.bidirectional,
                pooling=options.pooling,
                widths=options.widths,
                filters=options.filters,
                dropout=options.dropout,
                vector_dropout=options.vector_dropout,
                train_vectors=options.train_vectors,
            ),
            labels,
        )
        with torch.no_grad():
            network.vectors.words.weight.copy_(matrix)
            # As spread as the file's vectors; the vector of unknown words starts as their mean.
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
            for words, text in zip(found, column, strict=False):
                read = both_ends(text, LETTERS)
                gap = len(text) - len(read)
                for known, (_, start, end) in self._known().read(read):
                    words.append((known, (part, start + gap * (start > LETTERS), end + gap * (end > LETTERS))))
        return found

    def _report(self, found: Counter[str], context: Context) -> None:
        """Emit how many words are known, and warn where the file is not of the texts' language."""
        known = self._known()
        total = max(1, sum(found.values()))
        unknown = sum(count for form, count in found.items() if known.ids(form) == [UNKNOWN]) / total
        context.emit(
            Chosen(what="vocabulary", choice=len(known.words), why=f"{1 - unknown:.1%} of the training words are known")
        )
        if unknown > _TOO_MANY_UNKNOWN:
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
