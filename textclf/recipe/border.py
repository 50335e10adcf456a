"""Owns the border that features and scores cross between plugins: what breaks the contract is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..data.dataset import Labels
from ..data.tokens import Tokens
from ..errors import PluginError, counted
from .steps import Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def checked_features(features: Any, texts: int, step: Step[Any]) -> Any:
    """Refuse features that break the contract, naming the plugin, before anything reads them."""
    import numpy as np

    def broken(what: str) -> PluginError:
        return step.fault(f"encode {what}")

    try:
        rows = features.shape[0] if hasattr(features, "shape") else len(features)
    except (TypeError, IndexError):
        raise broken(f"returned a {type(features).__name__}, which has no rows") from None
    if rows != texts:
        raise broken(f"returned {rows} rows of features for {texts} texts")
    makes = step.traits.makes
    if makes == "tokens" and not isinstance(features, Tokens):
        raise broken(f"returned a {type(features).__name__}, but its traits say 'tokens'")
    if makes in ("matrix", "counts"):
        if len(getattr(features, "shape", ())) != 2 or not hasattr(features, "dtype"):
            raise broken(f"returned a {type(features).__name__}, but its traits say '{makes}'")
        values = features if isinstance(features, np.ndarray) else getattr(features, "data", None)
        if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not np.isfinite(values).all():
            raise broken("returned features that are NaN or infinite")
        if makes == "counts" and isinstance(values, np.ndarray) and values.size and values.min() < 0:
            raise broken("returned negative features, but its traits say 'counts'")
    return features


def checked_scores(scores: Any, texts: int, labels: Labels, step: Step[Any]) -> NDArray[np.float32]:
    """Refuse scores that break the contract, naming the plugin, before anything is computed from them."""
    import numpy as np

    if not isinstance(scores, np.ndarray):
        fault = f"a {type(scores).__name__}, not an array of float32 [texts, labels]"
    else:
        fault = fault_of_scores(scores, texts, labels)
    if fault:
        raise step.fault(f"Model.scores returned {fault}")
    found: NDArray[np.float32] = scores
    return found


def fault_of_scores(scores: NDArray[Any], texts: int, labels: Labels) -> str:
    """Return in words what keeps an array from being the scores of so many texts; nothing where it is sound."""
    import numpy as np

    if scores.shape != (texts, len(labels)):
        return f"shape {scores.shape} for {texts} texts and {len(labels)} labels"
    if scores.dtype != np.float32:
        return f"{scores.dtype}, not float32"
    if not np.isfinite(scores).all():
        rows = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        return f"NaN or infinite scores for {counted(len(rows), 'text')} (the first is text {rows[0]})"
    if scores.size and (scores.min() < -1e-6 or scores.max() > 1 + 1e-6):
        return f"scores from {scores.min():.4g} to {scores.max():.4g}, which are no probabilities"
    if labels.task == "single-label" and scores.size and np.abs(scores.sum(axis=1) - 1).max() > 1e-3:
        return "rows that do not sum to 1"
    return ""
