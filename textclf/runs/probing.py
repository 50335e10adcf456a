"""Owns the doubt about features from the cache: whether they are those that the encoder makes of a few of the texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..data.dataset import Texts
from ..data.tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS = 4
# So many texts are looked at for some that are not long: a network that reads 4 of them costs less than a second.
_CANDIDATES, _SHORT = 32, 200
# Of a row's largest number. Devices round otherwise: products in TF32 are off by some 1e-3 after a few layers.
TOLERANCE = 1e-2


def same_as_kept(kept: Any, texts: Texts, encode: Callable[[Texts], Any]) -> bool:
    """Tell whether the features that were kept are those that an encoder makes of a few of the texts."""
    import numpy as np

    rows = np.array(probed_rows(texts), np.int64)
    if not len(rows):
        return True
    if len(kept) != len(texts) if isinstance(kept, Tokens) else kept.shape[0] != len(texts):
        return False
    made = encode(texts.take(rows))
    if isinstance(kept, Tokens) or isinstance(made, Tokens):
        return isinstance(kept, Tokens) and isinstance(made, Tokens) and _same_tokens(kept.take(rows), made)
    return _near(_dense(kept[rows]), _dense(made))


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


def _near(kept: NDArray[np.float64], made: NDArray[np.float64]) -> bool:
    import numpy as np

    if kept.shape != made.shape:
        return False
    largest = np.abs(np.nan_to_num(kept)).reshape(len(kept), -1).max(axis=1, initial=0)
    bound = TOLERANCE * largest.reshape(-1, *[1] * (kept.ndim - 1))
    return bool(((np.abs(kept - made) <= bound) | (np.isnan(kept) & np.isnan(made))).all())


def _dense(features: Any) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(features.toarray() if hasattr(features, "toarray") else features).astype(np.float64)
