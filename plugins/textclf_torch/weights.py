"""Weights of networks in safetensors files, read strictly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from textclf import ArtefactError


def read_tensors(folder: Path, files: Iterable[Path]) -> dict[str, torch.Tensor]:
    """Return all tensors of a folder's safetensors files; an ArtefactError where a file is damaged or holds NaN.

    NaN and infinity would make every score NaN without an error.
    """
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            tensors |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise ArtefactError(f"'{file}' cannot be read as safetensors: {error}") from None
    infinite = (name for name, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all()))
    refuse_tensors(folder, "are not finite in", infinite)
    return tensors


def refuse_tensors(folder: Path, what: str, names: Iterable[str]) -> None:
    """Raise an ArtefactError that names the tensors with which something is wrong, where there are any."""
    names = sorted(names)
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise ArtefactError(f"the weights in '{folder}' {what} tensors: {', '.join(names[:5])}{more}")
