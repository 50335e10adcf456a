"""Arrays and JSON in a model folder, without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf import ArtefactError

FORMAT = 1


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON that gives back every string exactly, lone surrogates and pairs of them included."""
    text = json.dumps({"format": FORMAT, **values}, ensure_ascii=False)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


def read_json(path: Path) -> dict[str, Any]:
    """Return what `write_json` wrote; an ArtefactError where the file is missing, torn or of another format."""
    try:
        values = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror}; the model is incomplete") from None
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{path}: is no JSON: {error}; the model is damaged") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise ArtefactError(f"{path}: is of format '{found}', this version of textclf_sklearn reads {FORMAT}")
    return values


def write_array(path: Path, array: NDArray[np.float64]) -> None:
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)


def read_array(path: Path, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Return a finite float64 array of that shape (None is any length); anything else is an ArtefactError."""
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}; the model is incomplete") from None
    except (ValueError, EOFError, MemoryError) as error:
        raise ArtefactError(f"{path}: is no array: {' '.join(str(error).split())}; the model is damaged") from None
    name = f"{path}: tensor '{path.stem}'"
    if array.dtype != np.float64:
        raise ArtefactError(f"{name} holds {array.dtype}, not float64")
    if array.ndim != len(shape) or any(want not in (None, have) for have, want in zip(array.shape, shape, strict=True)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ArtefactError(f"{name} has the shape {list(array.shape)}, not [{wanted}]")
    if not np.isfinite(array).all():
        raise ArtefactError(f"{name} holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite")
    return array
