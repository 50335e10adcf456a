"""Owns where a batch's token ids come from: memory and memory maps, or the device itself once they were copied there.

On a GPU the ids of a whole split are copied once; batches are then gathered on the device, by index, and nothing but
a few numbers for each text travels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from textclf import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

CPU = torch.device("cpu")
KEPT = 4  # splits at most: training, validation, test, and one that is scored beside them
SHARE = 0.1  # of the device's free memory, at most, for the ids of one split


class Source(Protocol):
    """The ids of all texts, and behind them the special tokens of their template."""

    @property
    def device(self) -> torch.device:
        """Where indexes are wanted, and ids are given."""

    def take(self, places: torch.Tensor) -> torch.Tensor:
        """Return the ids at these places, int64."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """Ids in memory, or in a file that is mapped."""

    ids: NDArray[Any]
    specials: NDArray[np.int64]

    @property
    def device(self) -> torch.device:
        return CPU

    def take(self, places: torch.Tensor) -> torch.Tensor:
        wanted = places.numpy()
        found = np.empty(wanted.shape, np.int64)
        own = wanted < len(self.ids)
        found[own] = self.ids[wanted[own]]
        found[~own] = self.specials[wanted[~own] - len(self.ids)]
        return torch.from_numpy(found)


@dataclass(frozen=True, slots=True)
class Resident:
    """Ids on a device, int32."""

    flat: torch.Tensor

    @classmethod
    def of(cls, ids: NDArray[Any], specials: NDArray[np.int64], device: torch.device) -> Resident:
        return cls(torch.from_numpy(np.concatenate([ids, specials], dtype=np.int32, casting="unsafe")).to(device))

    @property
    def device(self) -> torch.device:
        return self.flat.device

    def take(self, places: torch.Tensor) -> torch.Tensor:
        return self.flat[places].long()


class Residents:
    """The splits whose ids lie on a GPU: those used last, as far as they fit."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, torch.device], tuple[Tokens, Source]] = OrderedDict()

    def source(self, tokens: Tokens, specials: Callable[[], NDArray[np.int64]], device: torch.device) -> Source:
        """Return where to take a split's ids from for a batch on this device."""
        if device.type != "cuda":
            return Mapped(tokens.ids, specials())
        key = (id(tokens), device)
        # The tokens are held too, so that no others can come to the same id.
        if key not in self._kept:
            self._kept[key] = (tokens, self._copied(tokens, specials(), device))
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key][1]

    def _copied(self, tokens: Tokens, specials: NDArray[np.int64], device: torch.device) -> Source:
        free, _ = torch.cuda.mem_get_info(device)
        if 4 * len(tokens.ids) > SHARE * free:
            return Mapped(tokens.ids, specials)
        return Resident.of(tokens.ids, specials, device)


def moved(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on a device, without waiting for the device."""
    if values.device.type == "cpu" and device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)
