"""Compiled kernels for training and scoring text classifiers on the CPU, called by ctypes.

The functions are those of `textclf_kernels.h`, which describes them. `load` returns the library that has them.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_double, c_float, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path

__all__ = [
    "LEVELS", "AdamWStep", "Attention", "Norm", "Unavailable", "best_level", "level", "load", "use_level",
]  # fmt: skip
__version__ = "0.2.0"

ABI = 1
LEVELS = ("avx2", "avx512", "avx512_bf16", "amx_bf16")
FLOAT32, BFLOAT16 = 0, 1
VARIABLE = "TEXTCLF_KERNELS"


class Unavailable(Exception):  # noqa: N818 - it is a state of the machine, as often as an error
    """Why the kernels cannot be used here."""


class Attention(ctypes.Structure):
    """`textclf_attention`."""

    _fields_ = [
        ("type", c_int32), ("causal", c_int32),
        ("heads", c_int64), ("width", c_int64), ("texts", c_int64), ("queries", c_int64),
        ("reach", c_int64), ("scale", c_float),
        ("borders", c_void_p), ("query_borders", c_void_p),
        ("query", c_void_p), ("key", c_void_p), ("value", c_void_p),
        ("query_stride", c_int64), ("key_stride", c_int64), ("value_stride", c_int64),
        ("out", c_void_p), ("out_stride", c_int64), ("logs", c_void_p),
        ("out_gradient", c_void_p), ("out_gradient_stride", c_int64),
        ("query_gradient", c_void_p), ("key_gradient", c_void_p), ("value_gradient", c_void_p),
        ("query_gradient_stride", c_int64), ("key_gradient_stride", c_int64), ("value_gradient_stride", c_int64),
    ]  # fmt: skip


class Norm(ctypes.Structure):
    """`textclf_norm`."""

    _fields_ = [
        ("type", c_int32), ("after", c_int32), ("rows", c_int64), ("width", c_int64),
        ("in", c_void_p), ("bias", c_void_p), ("residual", c_void_p), ("weight", c_void_p), ("shift", c_void_p),
        ("eps", c_float), ("dropped", c_uint32), ("key", c_uint64),
        ("out", c_void_p), ("out_half", c_void_p), ("mean", c_void_p), ("inverse", c_void_p),
        ("out_gradient", c_void_p), ("out_gradient_half", c_void_p),
        ("in_gradient", c_void_p), ("residual_gradient", c_void_p),
        ("bias_gradient", c_void_p), ("weight_gradient", c_void_p), ("shift_gradient", c_void_p),
    ]  # fmt: skip


class AdamWStep(ctypes.Structure):
    """`textclf_adamw_step`."""

    _fields_ = [
        ("count", c_int64), ("sizes", c_void_p),
        ("weights", c_void_p), ("first", c_void_p), ("second", c_void_p), ("gradients", c_void_p),
        ("halves", c_void_p),
        ("rate", c_void_p), ("decay", c_void_p), ("first_correction", c_void_p), ("second_correction", c_void_p),
        ("first_beta", c_double), ("second_beta", c_double), ("eps", c_float), ("gradient_scale", c_float),
    ]  # fmt: skip


_ARGUMENTS = {
    "attention_forward": (POINTER(Attention), c_int64, c_int64),
    "attention_backward": (POINTER(Attention), c_int64, c_int64),
    "norm_forward": (POINTER(Norm), c_int64, c_int64),
    "norm_backward": (POINTER(Norm), c_int64, c_int64),
    "gelu_forward": (c_int32, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64),
    "gelu_backward": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64),
    "embedding_forward": (c_int32, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64),
    "embedding_backward": (c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64),
    "adamw": (POINTER(AdamWStep), c_int64, c_int64),
    "sum_of_squares": (c_void_p, c_int64),
    "add": (c_int32, c_void_p, c_void_p, c_int64),
    "to_bfloat16": (c_void_p, c_void_p, c_int64),
}


@cache
def load() -> ctypes.CDLL:
    """Return the library, at the level that TEXTCLF_KERNELS names, or the best one. Calls release the GIL.

    Raises Unavailable where it was not built, where the processor has no AVX2, and where TEXTCLF_KERNELS is "none".
    """
    # An editable install keeps the library in another folder of the package than this file.
    found = [file for folder in __path__ for file in Path(folder).glob("libtextclf_kernels.*")]
    if not found:
        raise Unavailable("textclf-kernels was installed without its compiled library; reinstall it")
    try:
        library = ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise Unavailable(f"'{found[0]}' cannot be loaded: {error}") from None
    if library.textclf_abi() != ABI:
        raise Unavailable(f"'{found[0]}' belongs to another version of textclf-kernels; reinstall it")
    for name, arguments in _ARGUMENTS.items():
        function = getattr(library, f"textclf_{name}")
        function.argtypes, function.restype = arguments, c_double if name == "sum_of_squares" else None
    if not library.textclf_best_level():
        raise Unavailable("this processor has no AVX2")
    wanted = os.environ.get(VARIABLE)
    if wanted == "none":
        raise Unavailable(f"{VARIABLE} is 'none'")
    if wanted:
        _use(library, wanted, f"{VARIABLE} is")
    return library


def best_level() -> str:
    """Return the highest level of this processor."""
    return LEVELS[load().textclf_best_level() - 1]


def level() -> str:
    """Return the level in use."""
    return LEVELS[load().textclf_level() - 1]


def use_level(name: str) -> None:
    """Select a level for the whole process; Unavailable where the processor lacks it."""
    _use(load(), name, "the level is")


def _use(library: ctypes.CDLL, name: str, what: str) -> None:
    known = LEVELS[: library.textclf_best_level()]
    if name not in known:
        raise Unavailable(f"{what} '{name}', but this processor has {', '.join(known)}")
    library.textclf_use_level(LEVELS.index(name) + 1)
