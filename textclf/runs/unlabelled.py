"""Owns which texts without labels a run may learn from: none that it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import repeat

from ..data.cleaning import normal_key
from ..data.dataset import Split, Texts
from ..data.splits import text_keys
from ..recipe.settings import SplitSettings


def without_labels(
    brought: Texts | None,
    laid_aside: Texts,
    judged: Sequence[Split],
    settings: SplitSettings,
    warn: Callable[[str], None],
) -> Texts | None:
    """Return the texts without labels: those the dataset brought, at most `split.limit`, and those of training.

    laid_aside: training texts whose labels `split.labelled` takes away. Brought texts that also stand in a split by
    which the run is judged, as the same text by normal form, are left out and warned of, and so are empty ones.
    """
    found = laid_aside
    if brought is not None:
        keys = _keys(brought)
        known = {key for split in judged for key in text_keys(split)}
        rows = [row for row, key in enumerate(keys) if key not in known and brought.first[row].strip()]
        if settings.limit and settings.limit < len(rows):
            salt = str(settings.seed).encode()[:16]
            drawn = sorted(rows, key=lambda row: blake2b(keys[row], salt=salt).digest())
            rows = sorted(drawn[: settings.limit])
        left = sum(key in known for key in keys)
        if left:
            warn(
                f"{left} of {len(brought)} texts without labels also stand in the validation or test data; "
                "they are left out"
            )
        found = _joined(found, brought.take(rows))
    return found if len(found) else None


def _keys(texts: Texts) -> list[bytes]:
    second = repeat(None) if texts.second is None else texts.second
    return [normal_key(*pair) for pair in zip(texts.first, second, strict=False)]


def _joined(one: Texts, other: Texts) -> Texts:
    second = None if one.second is None or other.second is None else [*one.second, *other.second]
    return Texts([*one.first, *other.first], second)
