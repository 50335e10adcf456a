"""Owns features as a run's cache gives them, which nobody can write into."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def as_cached(features: Any, path: Path) -> Any:
    """Return a dense matrix as it comes from the cache: read-only, mapped from a file; all else as it is."""
    import numpy as np

    if not isinstance(features, np.ndarray) or features.dtype.kind not in "fiub":
        return features
    np.save(path, features, allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def as_made(features: Any) -> Any:
    """Return a matrix that was mapped from a file as an array in memory, which can be written into."""
    import numpy as np

    return np.array(features) if isinstance(features, np.ndarray) else features
