"""Validation of features and scores that pass between plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..data.dataset import Labels
from ..data.tokens import Tokens
from ..errors import counted, type_name
from .step import Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def check_features(features: Any, texts: int, step: Step[Any]) -> Any:
    """Return the features; a PluginError where they break the contract."""
    wrong = step.call("encode", lambda: validate_features(features, texts, step.traits.makes))
    if wrong:
        raise step.error(f"encode returned {wrong}")
    return features


def validate_features(features: Any, texts: int, makes: str | None) -> str:
    """Return what is wrong with the features of so many texts, or ""."""
    if makes == "tokens" and isinstance(features, Tokens) and (wrong := features.flaw()):
        return f"Tokens whose {wrong}"
    try:
        rows = features.shape[0] if hasattr(features, "shape") else len(features)
    except (TypeError, IndexError):
        return f"{type_name(features)}, which has no rows"
    if rows != texts:
        return f"{rows} rows of features for {texts} texts"
    if makes == "tokens" and not isinstance(features, Tokens):
        return f"{type_name(features)}, but its traits say 'tokens'"
    return _validate_numbers(features, makes) if makes in ("matrix", "counts") else ""


def _validate_numbers(features: Any, makes: str) -> str:
    """Return what is wrong with an array or a sparse matrix [texts, columns] of numbers, or ""."""
    import numpy as np
    from scipy import sparse

    if type(features) not in (np.ndarray, np.memmap) and not sparse.issparse(features):
        return f"{type_name(features)}, but its traits say '{makes}'{_hint(features)}"
    if features.ndim != 2:
        return f"an array of shape {features.shape}, but its traits say '{makes}', which has rows and columns"
    if features.dtype.kind not in "biuf":
        return f"features of the type {features.dtype}, which are no numbers"
    if features.shape[1] == 0:
        return "features of no column, from which nothing can be learned"
    values = features.tocsr().data if sparse.issparse(features) else features
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return "features that are NaN or infinite"
    if makes == "counts" and values.size and values.min() < 0:
        return "negative features, but its traits say 'counts'"
    return ""


def _hint(features: Any) -> str:
    """Return how to make an array of a value that is nearly one; most libraries would read it differently."""
    if hasattr(features, "detach"):
        return "; return features.detach().cpu().numpy()"
    if hasattr(features, "filled"):
        return "; return features.filled(0)"
    if hasattr(features, "iloc"):
        return "; return features.to_numpy()"
    return "; return np.asarray(features)" if hasattr(features, "__array__") else ""


def check_scores(scores: Any, texts: int, labels: Labels, step: Step[Any]) -> NDArray[np.float32]:
    """Return the scores; a PluginError where they break the contract."""
    import numpy as np

    if not isinstance(scores, np.ndarray):
        wrong = f"{type_name(scores)}, not an array of float32 [texts, labels]"
    else:
        wrong = validate_scores(scores, texts, labels)
    if wrong:
        raise step.error(f"Model.scores returned {wrong}")
    found: NDArray[np.float32] = scores
    return found


def validate_scores(scores: NDArray[Any], texts: int, labels: Labels) -> str:
    """Return what is wrong with an array of the scores of so many texts, or ""."""
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
