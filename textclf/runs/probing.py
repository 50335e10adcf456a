"""Owns how features are compared: those of a cache, or of a restored encoder, with others of the same texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..data.dataset import Texts
from ..data.tokens import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 4
# So many texts are looked at for some that are not long: a network that reads 4 of them costs less than a second.
_CANDIDATES, _SHORT = 32, 200
# Of a row's largest number. Devices round otherwise: products in TF32 are off by some 1e-3 after a few layers.
TOLERANCE = 1e-2
_NUMBERS = "biuf"


def same_as_kept(kept: Any, texts: Texts, encode: Callable[[Texts], Any]) -> bool:
    """Tell whether the features that were kept are those that an encoder makes of a few of the texts."""
    import numpy as np

    rows = np.array(probed_rows(texts), np.int64)
    if not len(rows):
        return True
    if len(kept) != len(texts) if isinstance(kept, Tokens) else kept.shape[0] != len(texts):
        return False
    return alike(kept.take(rows) if isinstance(kept, Tokens) else kept[rows], encode(texts.take(rows)))


def alike(one: Any, other: Any) -> bool:
    """Tell whether features of the same texts are the same but for rounding.

    What is neither tokens nor an array, in a layout of a plugin's own, counts as alike: nobody can tell.
    """
    if not _comparable(one):
        return True
    if not _comparable(other) or isinstance(one, Tokens) != isinstance(other, Tokens):
        return False
    if isinstance(one, Tokens):
        return _same_tokens(one, other)
    return _near(_dense(one), _dense(other))


def _comparable(features: Any) -> bool:
    import numpy as np
    from scipy import sparse

    if isinstance(features, np.ndarray):
        return not features.dtype.hasobject
    return isinstance(features, Tokens) or bool(sparse.issparse(features))


def probed_rows(texts: Texts) -> list[int]:
    """Return a few rows, spread over all, whose texts say something and are not long."""
    step = max(1, len(texts) // _CANDIDATES)
    sizes = {row: sum(len(column[row].strip()) for column in texts.columns()) for row in range(0, len(texts), step)}
    by_size = sorted((row for row, size in sizes.items() if size), key=lambda row: sizes[row])
    short = [row for row in by_size if sizes[row] <= _SHORT]
    return sorted(short[-ROWS:] or by_size[:ROWS])


def _same_tokens(one: Tokens, other: Tokens) -> bool:
    import numpy as np

    if (one.cuts is None) != (other.cuts is None):
        return False
    cuts = one.cuts is None or np.array_equal(one.cuts, np.asarray(other.cuts))
    return cuts and np.array_equal(one.offsets, other.offsets) and np.array_equal(one.ids, other.ids)


def _near(kept: NDArray[Any], made: NDArray[Any]) -> bool:
    import numpy as np

    if kept.shape != made.shape:
        return False
    if kept.dtype.kind not in _NUMBERS or made.dtype.kind not in _NUMBERS:
        return np.array_equal(kept, made)
    kept, made = kept.astype(np.float64), made.astype(np.float64)
    largest = np.abs(np.nan_to_num(kept)).reshape(len(kept), -1).max(axis=1, initial=0)
    bound = TOLERANCE * largest.reshape(-1, *[1] * (kept.ndim - 1))
    return bool(((np.abs(kept - made) <= bound) | (np.isnan(kept) & np.isnan(made))).all())


def _dense(features: Any) -> NDArray[Any]:
    import numpy as np

    return np.asarray(features.toarray() if hasattr(features, "toarray") else features)
