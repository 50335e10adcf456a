"""Owns how checks look at features: how many rows they have, and whether two of them are the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.tokens import Tokens
from ...files import no_file_in
from ...model.folder import pickle_in
from ..clauses import Broken, NotApplicable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ROUNDING = 1e-4
"""How far a network's features of a text may differ with the batch it is in."""


def rows_of(features: Any) -> int:
    """Return the number of texts that features are of."""
    return int(features.shape[0]) if hasattr(features, "shape") else len(features)


def take(features: Any, rows: Sequence[int]) -> Any:
    """Return the features of some texts."""
    import numpy as np

    chosen = np.asarray(rows, np.int64)
    if isinstance(features, Tokens):
        return features.take(chosen)
    if hasattr(features, "shape"):
        return features[chosen]
    raise NotApplicable(f"its features, {type(features).__name__}, are in no layout that textclf knows")


def dense(features: Any) -> NDArray[np.float64]:
    """Return a dense or sparse matrix as an array."""
    import numpy as np

    return np.asarray(features.toarray() if hasattr(features, "toarray") else features, np.float64)


def demand_numbers(features: Any, texts: Sequence[str], layout: str) -> None:
    """Raise Broken where a matrix of features holds what is no number, or, of counts, a negative one, naming a text."""
    import numpy as np

    values, rows = _entries(features)
    if values.dtype.kind not in "fiub":
        raise Broken(f"its features are of dtype {values.dtype}, no numbers")
    for wrong, what in ((~np.isfinite(values), "NaN or infinity"), (values < 0, "a negative count")):
        if wrong.any() and (layout == "counts" or what != "a negative count"):
            where = texts[rows[wrong][0]]
            raise Broken(f"the text {_short(where)} gives {what}: {values[wrong][0]:.3g}")


def _entries(features: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the numbers that a matrix holds, without the zeros of a sparse one, and the row of each."""
    import numpy as np

    if hasattr(features, "tocoo"):
        entries = features.tocoo()
        return entries.data, entries.row
    values = np.asarray(features)
    return values.ravel(), np.repeat(np.arange(len(values)), values.shape[1])


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def demand_same(one: Any, other: Any, what: str, tolerance: float = 1e-5) -> None:
    """Raise Broken where two features differ beyond rounding."""
    import numpy as np

    if isinstance(one, Tokens) and isinstance(other, Tokens):
        if not _same_tokens(one, other):
            raise Broken(f"{what}: the token ids differ")
        return
    if not (hasattr(one, "shape") and hasattr(other, "shape")):
        raise NotApplicable(f"its features, {type(one).__name__}, are in no layout that textclf knows")
    first, second = dense(one), dense(other)
    if first.shape != second.shape:
        raise Broken(f"{what}: the shapes differ, {first.shape} and {second.shape}")
    if not np.allclose(first, second, rtol=tolerance, atol=tolerance):
        raise Broken(f"{what}: they differ by up to {np.abs(first - second).max():.3g}")


def differ(one: Any, other: Any, tolerance: float = 1e-5) -> bool:
    """Tell whether two features differ."""
    try:
        demand_same(one, other, "", tolerance)
    except Broken:
        return True
    return False


def demand_files(folder: Path) -> None:
    """Raise Broken where what was saved is not plain files and folders."""
    if odd := no_file_in(folder):
        raise Broken(f"it saves {odd}; write plain files")


def demand_no_pickle(folder: Path) -> None:
    """Raise Broken where a saved file is a pickle, whatever it is called, or holds one."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if what := pickle_in(path):
            raise Broken(f"it saves '{path.name}'{what}; save arrays and JSON")


def _same_tokens(one: Tokens, other: Tokens) -> bool:
    import numpy as np

    cuts = one.cuts is None if other.cuts is None else one.cuts is not None and np.array_equal(one.cuts, other.cuts)
    return bool(cuts) and np.array_equal(one.ids, other.ids) and np.array_equal(one.offsets, other.offsets)
