"""Owns the IMDB reviews as a dataset: from a file at hand, or through the cache from the web."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial

from textclf import Context, DataError, Dataset, Labels, Split, Texts

from . import kept, reviews
from .options import ImdbOptions
from .transfer import Limits

LICENCE = (
    "not stated: the file on Google Drive names no licence; its reviews derive from IMDB "
    "(see Maas et al. 2011, Learning Word Vectors for Sentiment Analysis)"
)
_OR_PATH = "give it as dataset.path (--set dataset.path=FILE)"


@dataclass(frozen=True, slots=True)
class ImdbReviews:
    """A DatasetProvider; the file is sorted by label, and the core's split shuffles it."""

    options: ImdbOptions

    def load(self, context: Context) -> Dataset:
        import numpy as np

        found, source = self._at_hand() if self.options.path else self._fetched(context)
        labels = Labels(reviews.LABELS, positive="positive")
        train = Split(Texts(found.texts), np.asarray(found.labels, np.int64))
        return Dataset(labels, train, source=source, licence=LICENCE)

    def _at_hand(self) -> tuple[reviews.Reviews, str]:
        path, wanted = self.options.path, self.options.sha256
        assert path is not None
        found = reviews.read(path, self.options.rows)
        sha256 = kept.digest(path)
        if wanted and sha256 != wanted:
            raise DataError(f"{path}: has the sha256 {sha256}, not {wanted}; fetch it again, or correct dataset.sha256")
        return found, f"{path} (sha256 {sha256})"

    def _fetched(self, context: Context) -> tuple[reviews.Reviews, str]:
        options = self.options
        source = _mirror(options.url) if options.url else _drive(options.file_id)
        wanted = kept.Wanted(options.rows, options.sha256)
        limits = Limits(options.timeout, options.deadline, options.tries)
        found, sha256 = kept.obtain(source, wanted, limits, context)
        return found, f"{source.title} (sha256 {sha256})"


def _drive(file_id: str) -> kept.Source:
    from .drive import fetch

    page = f"https://drive.google.com/file/d/{file_id}/view"
    way_out = f"download it by hand from {page} and {_OR_PATH}, or name a mirror as dataset.url"
    return kept.Source(f"Google Drive (file {file_id})", file_id, partial(fetch, file_id), way_out)


def _mirror(url: str) -> kept.Source:
    from .mirror import fetch

    key = "mirror-" + hashlib.sha256(url.encode()).hexdigest()[:16]
    way_out = f"check dataset.url, or download the file by hand and {_OR_PATH}"
    return kept.Source(url, key, partial(fetch, url), way_out)
