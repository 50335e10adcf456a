"""The encoder: from texts to a sparse matrix of word counts, louder for words in capitals."""

from __future__ import annotations

import hashlib
import re
import zlib
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from textclf import ArtefactError, Context, Split, Texts

_WORD = re.compile(r"\w\w+")
_FILE = "shout_weights.npy"


class ShoutEncoder:
    def __init__(self, loudness: int, columns: int, weights: np.ndarray | None = None) -> None:
        self.loudness = loudness
        self.columns = columns
        self.weights = np.ones(columns, np.float32) if weights is None else weights

    def fit(self, train: Split, context: Context) -> None:
        """Learn how rare each word is."""
        texts_with = np.bincount(self._count(train.texts).indices, minlength=self.columns)
        self.weights = (1 + np.log((1 + len(train)) / (1 + texts_with))).astype(np.float32)

    def encode(self, texts: Texts, context: Context) -> csr_array:
        """Return float32[texts, columns], each row of length 1."""
        counted = self._count(texts)
        counted.data *= self.weights[counted.indices]
        lengths = np.sqrt(counted.power(2).sum(axis=1))
        # A text without words has length 0, and stays a row of zeros.
        counted.data /= np.repeat(np.where(lengths > 0, lengths, 1), np.diff(counted.indptr))
        return counted

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.weights.tobytes())
        digest.update(f"shout 1 {self.loudness} {self.columns}".encode())
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        np.save(folder / _FILE, self.weights, allow_pickle=False)

    def _count(self, texts: Texts) -> csr_array:
        columns: list[int] = []
        values: list[float] = []
        ends = [0]
        for text in texts.first:
            row: dict[int, float] = {}
            for word in _WORD.findall(text):
                column = zlib.crc32(word.casefold().encode("utf-8")) % self.columns
                row[column] = row.get(column, 0) + (self.loudness if word.isupper() else 1)
            columns += row.keys()
            values += row.values()
            ends.append(len(columns))
        data = np.array(values, np.float32), np.array(columns, np.int32), np.array(ends, np.int32)
        return csr_array(data, shape=(len(texts), self.columns))


def restore_encoder(loudness: int, columns: int, folder: Path) -> ShoutEncoder:
    """Make the encoder that `save` wrote into the folder."""
    path = folder / _FILE
    try:
        weights = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}") from None
    if weights.shape != (columns,) or not np.isfinite(weights).all():
        raise ArtefactError(f"{path} holds no {columns} finite weights")
    return ShoutEncoder(loudness, columns, weights.astype(np.float32))
