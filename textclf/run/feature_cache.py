"""The cache of encoded features, by fingerprint of encoder and texts, shared between processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from ..data.cleaning import texts_digest
from ..data.dataset import Texts
from ..data.tokens import Tokens
from ..errors import ResourceError
from ..files import MANIFEST, manifest, manifest_error, write_folder

FORMAT = 1


def default_folder() -> Path:
    """Return the folder that runs and processes share: TEXTCLF_CACHE, or the system's own for caches."""
    named = os.environ.get("TEXTCLF_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("textclf"))


def features(
    folder: Path | None, fingerprint: str, texts: Texts, make: Callable[[], Any],
    valid: Callable[[Any], bool] = lambda cached: True,
) -> Any:  # fmt: skip
    """Return the cached features of the same encoder and texts, or make and cache them.

    valid: whether cached features are to be used; where not, they are made and cached again.
    Only Tokens, arrays and sparse matrices are cached.
    """
    if folder is None or not fingerprint:
        return make()
    named = f"{FORMAT}:{fingerprint}:{texts_digest(texts)}".encode("utf-8", "surrogatepass")
    key = hashlib.sha256(named).hexdigest()[:40]
    entry = folder / "features" / key
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{entry}.lock")
        lock.acquire()
    except (OSError, NotImplementedError):
        # A cache that cannot be written costs time, and no result.
        return make()
    try:
        return _cached_or_made(entry, make, valid)
    finally:
        lock.release()


def _cached_or_made(entry: Path, make: Callable[[], Any], valid: Callable[[Any], bool]) -> Any:
    cached = _cached(entry)
    if cached is not None and valid(cached):
        return cached
    made = make()
    if _kind(made) is None:
        return made
    with suppress(OSError, ResourceError):
        # Read back, so that the features are memory-mapped in this run as they are in the next.
        write_folder(entry, lambda part: _write(part, made))
        return _read(entry)
    return made


def _cached(entry: Path) -> Any:
    """Return the features of an entry, or None where there are none or its files are damaged."""
    if not entry.exists():
        return None
    with suppress(OSError, ValueError):
        if manifest_error(entry) is None:
            return _read(entry)
    return None


def _kind(made: Any) -> str | None:
    import numpy as np
    from scipy import sparse

    if isinstance(made, Tokens):
        return "tokens"
    if isinstance(made, np.ndarray) and made.dtype != object:
        return "array"
    return "sparse" if sparse.issparse(made) else None


def _write(folder: Path, made: Any) -> None:
    import numpy as np
    from scipy import sparse

    kind = _kind(made)
    if kind == "tokens":
        arrays = {"ids": made.ids, "offsets": made.offsets, "cuts": made.cuts}
        for name, array in arrays.items():
            if array is not None:
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
    elif kind == "array":
        np.save(folder / "array.npy", made, allow_pickle=False)
    else:
        sparse.save_npz(folder / "sparse.npz", sparse.csr_matrix(made), compressed=False)
    (folder / "kind.json").write_text(json.dumps(kind), encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps(manifest(folder)), encoding="utf-8")


def _read(folder: Path) -> Any:
    import numpy as np
    from scipy import sparse

    kind = json.loads((folder / "kind.json").read_text(encoding="utf-8"))
    if kind == "sparse":
        return sparse.load_npz(folder / "sparse.npz")
    if kind == "array":
        return np.load(folder / "array.npy", mmap_mode="r", allow_pickle=False)
    cuts = folder / "cuts.npy"
    return Tokens(
        np.load(folder / "ids.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / "offsets.npy", allow_pickle=False),
        np.load(cuts, allow_pickle=False) if cuts.exists() else None,
    )
