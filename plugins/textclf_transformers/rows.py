"""Owns where the texts of a packed row lie."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import torch


def runs(lengths: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return runs of equal lengths as (length, texts)."""
    return [(length, len(list(run))) for length, run in groupby(lengths)]


def starts(lengths: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return where each text of a packed row begins, int64[texts]."""
    return torch.from_numpy(np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)])).to(device)
