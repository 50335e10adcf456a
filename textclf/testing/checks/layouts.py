"""Owns what a matrix of features, or tokens, must be for any trainer to read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...data.tokens import Tokens
from ...errors import kind_of
from ..clauses import Broken
from .comparing import demand_numbers, rows_of

_LAYOUTS = {"matrix": "a matrix", "counts": "counts"}
_SLICED = ("csr", "csc")
_BUILT = ("lil", "dok")


def demand_layout(features: Any, layout: str | None) -> None:
    """Raise Broken where features are not what the traits promise."""
    if features is None:
        raise Broken("encode returns nothing; return one row of features a text")
    if layout == "tokens" and not isinstance(features, Tokens):
        raise Broken(f"it makes tokens, and encode returns {kind_of(features)}, not textclf.Tokens")
    if layout not in _LAYOUTS:
        return
    if getattr(features, "ndim", None) != 2:
        found = kind_of(features) + (f" of shape {list(features.shape)}" if hasattr(features, "shape") else "")
        raise Broken(f"it makes {_LAYOUTS[layout]}, and encode returns {found}, not an array [texts, columns]")
    if fault := _fault_of_matrix(features):
        raise Broken(f"encode returns {fault}")


def demand_rows(features: Any, texts: Sequence[str], layout: str | None) -> None:
    """Raise Broken where there is not one row of numbers, or of tokens, a text."""
    if isinstance(features, Tokens) and (flaw := features.flaw()):
        raise Broken(f"encode returns Tokens whose {flaw}")
    if rows_of(features) != len(texts):
        raise Broken(f"{rows_of(features)} rows for {len(texts)} texts")
    if layout in _LAYOUTS:
        demand_numbers(features, texts, layout)


def _fault_of_matrix(features: Any) -> str:
    """Return what keeps a table from being read as every trainer reads it, with the way out."""
    import numpy as np

    found = kind_of(features)
    if isinstance(features, np.matrix):
        return "a numpy matrix, which multiplies unlike an array; return np.asarray(...) of it"
    if isinstance(features, np.ma.MaskedArray):
        return "a masked array, whose mask no trainer sees; return .filled(0) of it"
    if hasattr(features, "tocsr"):
        if features.format not in _SLICED:
            why = "is for building one, not for reading it" if features.format in _BUILT else "cannot be sliced"
            return f"{found}, and that {why}; return .tocsr() of it"
    elif not isinstance(features, np.ndarray):
        out = next((name for name in ("to_numpy", "numpy") if hasattr(features, name)), "")
        return f"{found}, not an array; return {f'.{out}() of it' if out else 'a numpy array or a csr_matrix'}"
    return "no columns: a row of no features says nothing of a text" if features.shape[1] == 0 else ""
