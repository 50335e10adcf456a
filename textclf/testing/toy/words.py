"""Owns the toy encoder: hashed words, weighted by how rare they are in the training texts."""

from __future__ import annotations

import hashlib
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ...data.dataset import Split, Texts
from ...errors import ArtefactError
from ...plugin.component import Options, Traits
from ...plugin.protocols import Context

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_FILE = "toy_words.npy"


class WordsOptions(Options):
    columns: int = Field(256, ge=1, le=65_536, description="how many columns the words are hashed into")
    layout: Literal["matrix", "counts"] = Field("matrix", description="signed and weighted, or plain counts")
    cached: bool = Field(True, description="whether the features may be cached")


def words_traits(options: WordsOptions) -> Traits:
    return Traits(makes=options.layout, tasks=frozenset({"single-label", "multi-label"}), pairs=True)


class ToyWords:
    def __init__(self, options: WordsOptions, weights: NDArray[np.float32] | None = None) -> None:
        self.options = options
        self.weights = weights

    def fit(self, train: Split, context: Context) -> None:
        import numpy as np

        present = np.abs(self._counted(train.texts)) > 0
        self.weights = np.log((1 + len(train)) / (1 + present.sum(axis=0))).astype(np.float32) + 1

    def encode(self, texts: Texts, context: Context) -> NDArray[np.float32]:
        counted = self._counted(texts)
        return counted if self.options.layout == "counts" or self.weights is None else counted * self.weights

    def fingerprint(self) -> str:
        if not self.options.cached:
            return ""
        weights = b"" if self.weights is None else self.weights.tobytes()
        return hashlib.sha256(self.options.model_dump_json().encode() + weights).hexdigest()

    def save(self, folder: Path) -> None:
        import numpy as np

        np.save(folder / _FILE, np.zeros(0, np.float32) if self.weights is None else self.weights, allow_pickle=False)

    def _counted(self, texts: Texts) -> NDArray[np.float32]:
        import numpy as np

        matrix = np.zeros((len(texts), self.options.columns), np.float32)
        for row in range(len(texts)):
            self._add(matrix[row], texts.first[row], "")
            if texts.second is not None:
                self._add(matrix[row], texts.second[row], "second:")
        return matrix

    def _add(self, row: NDArray[np.float32], text: str, prefix: str) -> None:
        for word in _WORD.findall(text.casefold()):
            digest = zlib.crc32((prefix + word).encode("utf-8", "surrogatepass"))
            sign = -1 if self.options.layout == "matrix" and digest & 1 else 1
            row[(digest >> 1) % self.options.columns] += sign


def restore_words(options: WordsOptions, folder: Path) -> ToyWords:
    import numpy as np

    try:
        weights = np.load(folder / _FILE, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{folder / _FILE} cannot be read: {error}") from None
    return ToyWords(options, weights if len(weights) else None)
