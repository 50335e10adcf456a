"""Arrays that kernels read and write, and how far these may be from a reference."""

from __future__ import annotations

import numpy as np

FLOAT32, BFLOAT16 = 0, 1
TYPES = {"float32": FLOAT32, "bfloat16": BFLOAT16}
TOLERANCE = {FLOAT32: 1e-5, BFLOAT16: 2.0**-7}
UNTOUCHED = 77  # what lies around an array in its memory


def to_half(values):
    """Round float32 to bfloat16, to the nearest, ties to even."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def exact(values):
    """The numbers of a typed array, in float64."""
    if values.dtype == np.uint16:
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(float)


class Rows:
    """Rows of a type inside of a larger memory, one element off its alignment."""

    def __init__(self, values, kind, gap=0):
        rows, width = np.shape(values)
        self.kind, self.stride = kind, width + gap
        dtype = np.uint16 if kind == BFLOAT16 else np.float32
        self.memory = np.full(1 + rows * self.stride + 16, UNTOUCHED, dtype)
        self.typed = self.memory[1 : 1 + rows * self.stride].reshape(rows, self.stride)[:, :width]
        self.typed[...] = to_half(values) if kind == BFLOAT16 else values
        self._inside = np.zeros(self.memory.shape, bool)
        self._inside[1 : 1 + rows * self.stride].reshape(rows, self.stride)[:, :width] = True

    @property
    def address(self):
        return self.memory.ctypes.data + self.memory.itemsize

    def read(self):
        """The numbers in float64; nothing around them was written."""
        assert (self.memory[~self._inside] == UNTOUCHED).all()
        return exact(self.typed)


def empty(rows, width, kind, gap=0):
    """Rows that a kernel must write whole: what is left of them is no number."""
    return Rows(np.full((rows, width), np.nan, np.float32), kind, gap)


def near(got, want, size, kind):
    """Whether numbers are as near to a reference as the type allows, relative to the size of what was added up."""
    np.testing.assert_array_less(np.abs(got - want), TOLERANCE[kind] * np.broadcast_to(size, want.shape) + 1e-30)
