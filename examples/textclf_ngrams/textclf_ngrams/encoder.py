"""The encoder: from texts to a sparse matrix of hashed n-grams, each row of length 1."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

from textclf import ArtefactError, Context, DataError, PluginError, Split, Texts

from . import NgramsOptions

FILE = "ngrams_weights.npy"


class NgramsEncoder:
    """Counts of n-grams, weighted; the two texts of a pair have columns of their own, side by side.

    weights: float32[1, columns] after fitting on texts, float32[2, columns] on pairs. Hashing needs no vocabulary, so
    that this is all that is learnt, and all that is saved.
    """

    def __init__(self, options: NgramsOptions, weights: NDArray[np.float32] | None = None) -> None:
        self.options = options
        self.weights = weights
        # No signs: a hash that lets n-grams cancel each other makes negative features, which are no counts.
        self._vectorizer = HashingVectorizer(
            analyzer="char_wb", ngram_range=(options.shortest, options.longest), n_features=options.columns,
            lowercase=options.lowercase, alternate_sign=False, norm=None, dtype=np.float32,
        )  # fmt: skip

    def fit(self, train: Split, context: Context) -> None:
        """Learn how rare each column is."""
        self.weights = np.stack([self._rarity(texts) for texts in _parts(train.texts)])

    def encode(self, texts: Texts, context: Context) -> sparse.csr_matrix:
        """Return float32[texts, columns], of pairs float32[texts, 2 * columns]."""
        if self.weights is None:
            raise PluginError("the encoder 'ngrams' was asked to encode before it was fitted")
        parts = _parts(texts)
        if len(parts) != len(self.weights):
            one, other = ("pairs", "single texts") if len(self.weights) == 2 else ("single texts", "pairs")
            raise DataError(f"the encoder 'ngrams' was fitted on {one}, and these are {other}")
        blocks = [self._weigh(self._count(part), weights) for part, weights in zip(parts, self.weights, strict=True)]
        return blocks[0] if len(blocks) == 1 else sparse.hstack(blocks, format="csr")

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"ngrams 1 {self.options.model_dump_json()}".encode())
        digest.update(b"" if self.weights is None else self.weights.tobytes())
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        if self.weights is None:
            raise PluginError("the encoder 'ngrams' was asked to save itself before it was fitted")
        np.save(folder / FILE, self.weights, allow_pickle=False)

    def _rarity(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not self.options.use_idf:
            return np.ones(self.options.columns, np.float32)
        texts_with = np.bincount(self._count(texts).indices, minlength=self.options.columns)
        return (1 + np.log((1 + len(texts)) / (1 + texts_with))).astype(np.float32)

    def _count(self, texts: Sequence[str]) -> sparse.csr_matrix:
        if len(texts) == 0:
            return sparse.csr_matrix((0, self.options.columns), dtype=np.float32)
        counted = self._vectorizer.transform(texts)
        counted.sort_indices()  # one order of columns, so that sums over a row give the same bits in any company
        return counted

    def _weigh(self, counted: sparse.csr_matrix, weights: NDArray[np.float32]) -> sparse.csr_matrix:
        if self.options.sublinear_tf:
            counted.data = 1 + np.log(counted.data)
        counted.data *= weights[counted.indices]
        rows = np.repeat(np.arange(counted.shape[0]), np.diff(counted.indptr))
        squares = np.bincount(rows, np.square(counted.data, dtype=np.float64), minlength=counted.shape[0])
        # A text without characters has no entry in the matrix: there is nothing to divide, and its row is of zeros.
        counted.data /= np.sqrt(squares)[rows].astype(np.float32)
        return counted


def restore_encoder(options: NgramsOptions, folder: Path) -> NgramsEncoder:
    """Make the encoder that `save` wrote into the folder; an ArtefactError where it is damaged."""
    path = folder / FILE
    try:
        weights = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtefactError(f"{path}: cannot be read: {error}; the model is damaged") from None
    if weights.dtype != np.float32 or weights.shape not in ((1, options.columns), (2, options.columns)):
        found = f"{weights.dtype}{list(weights.shape)}"
        raise ArtefactError(f"{path}: holds {found}, not a float32 weight for each of {options.columns} columns")
    if not np.isfinite(weights).all() or weights.min() <= 0:
        raise ArtefactError(f"{path}: holds weights that are no positive numbers; the model is damaged")
    return NgramsEncoder(options, weights)


def _parts(texts: Texts) -> list[Sequence[str]]:
    return [texts.first] if texts.second is None else [texts.first, texts.second]
