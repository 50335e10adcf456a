"""The IMDB reviews: a CSV file on this machine, from Google Drive or from a mirror."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from textclf import (
    Context,
    DataError,
    Dataset,
    DownloadLimits,
    Labels,
    Row,
    Split,
    Texts,
    did_you_mean,
    download,
    drop_unreadable,
    read_table,
)

from .options import ImdbOptions

LICENCE = (
    "not stated: the file on Google Drive names no licence; its reviews derive from IMDB "
    "(see Maas et al. 2011, Learning Word Vectors for Sentiment Analysis)"
)
COLUMNS = ("review", "label")
LABELS = ("negative", "positive")
_VALUES = {"0": 0, "1": 1}
_SIZE_LIMIT = 2**30
_OR_PATH = "set dataset.path to it (--set dataset.path=FILE)"


@dataclass(frozen=True, slots=True)
class ImdbReviews:
    """A DatasetProvider. The file is sorted by label; the core's split shuffles it."""

    options: ImdbOptions

    def load(self, context: Context) -> Dataset:
        options = self.options
        if options.path:
            path, sha256 = options.path, _digest(options.path)
            if options.sha256 and sha256 != options.sha256:
                raise DataError(
                    f"{path}: has the sha256 {sha256}, not {options.sha256}; "
                    "download it again, or correct dataset.sha256"
                )
            return self._read(path, f"{path} (sha256 {sha256})")
        url = options.url or f"https://drive.google.com/file/d/{options.file_id}/view"
        path = self._download(url, context)
        with drop_unreadable(path, context):
            return self._read(path, f"{url} (sha256 {_digest(path)})")

    def _download(self, url: str, context: Context) -> Path:
        options = self.options
        limits = DownloadLimits(options.timeout, options.deadline, options.tries, _SIZE_LIMIT)
        if options.url:
            hint = f"check dataset.url, or download the file by hand and {_OR_PATH}"
            return download(url, context, limits, sha256=options.sha256, refresh=options.refresh, hint=hint)
        from .drive import fetch

        hint = f"download the file by hand and {_OR_PATH}, or name a mirror as dataset.url"
        return download(url, context, limits, sha256=options.sha256, refresh=options.refresh, fetch=fetch, hint=hint)

    def _read(self, path: Path, source: str) -> Dataset:
        import numpy as np

        texts, labels = [], []
        with read_table(path, format="csv") as table:
            for column in COLUMNS:
                if column not in table.columns:
                    known = f"{did_you_mean(column, table.columns)} (columns: {', '.join(table.columns)})"
                    raise DataError(f"{path}: has no column '{column}'{known}")
            for row in table.some_rows():
                texts.append(row.values["review"])
                labels.append(_label(row))
        if self.options.rows and len(texts) != self.options.rows:
            raise DataError(
                f"{path}: has {len(texts):,} rows, not {self.options.rows:,}; set dataset.rows=0 if that is meant"
            )
        train = Split(Texts(texts), np.asarray(labels, np.int64))
        return Dataset(Labels(LABELS, positive="positive"), train, source=source, licence=LICENCE)


def _label(row: Row) -> int:
    value = row.values["label"]
    if value not in _VALUES:
        raise DataError(f"{row.place}: the label is '{str(value)[:40]}', neither 0 (negative) nor 1 (positive)")
    return _VALUES[value]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
