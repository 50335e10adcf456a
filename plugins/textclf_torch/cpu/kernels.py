"""The compiled kernels of textclf-kernels, called with tensors, each by all threads of its caller."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import accumulate
from typing import Any

import torch

TYPES = {torch.float32: 0, torch.bfloat16: 1}
LARGE = 1 << 16  # numbers that are worth a thread where little is done with each
GRAIN = 32  # rows, or heads of texts, that are worth a thread


def missing() -> str:
    """Return why there are no kernels for this process, or an empty string."""
    try:
        load()
    except ModuleNotFoundError:
        return "textclf-kernels is not installed"
    except import_module("textclf_kernels").Unavailable as error:
        return str(error)
    return ""


@cache
def load() -> tuple[Any, Any]:
    """Return the module and its library; raises ModuleNotFoundError or `textclf_kernels.Unavailable`."""
    module: Any = import_module("textclf_kernels")
    return module, module.load()


def level() -> str:
    """Return the instruction set in use."""
    name: str = load()[0].level()
    return name


class Attention:
    """Attention within texts: query row i of text t is `query_borders[t] + i`, its keys stand within `borders`.

    query: [queries, heads * width]; key, value: [tokens, heads * width], rows of any stride. borders, query_borders:
    int64[texts + 1]. What lies behind the last text gets zeros.
    """

    def __init__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        borders: torch.Tensor,
        query_borders: torch.Tensor,
        heads: int,
        scale: float,
    ) -> None:
        self._kept = query, key, value, borders, query_borders
        self.out = query.new_empty(query.shape)
        self._ends = int(query_borders[-1]), int(borders[-1])
        self.out[self._ends[0] :] = 0.0
        self._logs = torch.empty(heads, len(query))
        self._size = (len(borders) - 1) * heads
        module, self._library = load()
        self._call = module.Attention(
            type=TYPES[query.dtype], heads=heads, width=query.shape[1] // heads, texts=len(borders) - 1,
            queries=len(query), reach=-1, scale=scale, borders=borders.data_ptr(),
            query_borders=query_borders.data_ptr(), query=query.data_ptr(), key=key.data_ptr(),
            value=value.data_ptr(), query_stride=query.stride(0), key_stride=key.stride(0),
            value_stride=value.stride(0), out=self.out.data_ptr(), out_stride=self.out.stride(0),
            logs=self._logs.data_ptr(),
        )  # fmt: skip
        by, call = ctypes.byref(self._call), self._library.textclf_attention_forward
        _divide(self._size, lambda part, begin, end: call(by, begin, end))

    def backward(self, gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        """Write the gradients of query, key and value."""
        queries, keys = self._ends
        query[queries:], key[keys:], value[keys:] = 0.0, 0.0, 0.0
        made = self._call
        made.out_gradient, made.out_gradient_stride = gradient.data_ptr(), gradient.stride(0)
        made.query_gradient, made.query_gradient_stride = query.data_ptr(), query.stride(0)
        made.key_gradient, made.key_gradient_stride = key.data_ptr(), key.stride(0)
        made.value_gradient, made.value_gradient_stride = value.data_ptr(), value.stride(0)
        by, call = ctypes.byref(made), self._library.textclf_attention_backward
        _divide(self._size, lambda part, begin, end: call(by, begin, end))


class Norm:
    """LayerNorm of residual + dropout(product + bias).

    product: [rows, width]. residual: float32[rows, width]. out: float32; `half` is the same in bf16 where the product
    is. dropped: how many of 65,536 random numbers drop an element. key: of dropout.
    """

    def __init__(
        self,
        product: torch.Tensor,
        bias: torch.Tensor,
        residual: torch.Tensor,
        norm: torch.nn.LayerNorm,
        dropped: int,
        key: int,
    ) -> None:
        self._kept = product, bias, residual, norm
        self.out = torch.empty_like(residual)
        self.half = torch.empty_like(product) if product.dtype == torch.bfloat16 else None
        self._moments = torch.empty(2, len(product))
        module, self._library = load()
        self._call = module.Norm(
            type=TYPES[product.dtype], rows=product.shape[0], width=product.shape[1], bias=bias.data_ptr(),
            residual=residual.data_ptr(), weight=norm.weight.data_ptr(), shift=norm.bias.data_ptr(), eps=norm.eps,
            dropped=dropped, key=key, out=self.out.data_ptr(), out_half=_pointer(self.half),
            mean=self._moments[0].data_ptr(), inverse=self._moments[1].data_ptr(),
        )  # fmt: skip
        setattr(self._call, "in", product.data_ptr())
        by, call = ctypes.byref(self._call), self._library.textclf_norm_forward
        _divide(len(product), lambda part, begin, end: call(by, begin, end))

    def backward(
        self, gradient: torch.Tensor | None, half: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the gradients of the product and of the residual, and those of bias, weight and shift, [3, width].

        gradient: float32, of the output. half: of the product's type, another part of it.
        """
        product, _, residual, _ = self._kept
        into, passed = torch.empty_like(product), torch.empty_like(residual)
        made, call = self._call, self._library.textclf_norm_backward
        made.out_gradient, made.out_gradient_half = _pointer(gradient), _pointer(half)
        made.in_gradient, made.residual_gradient = into.data_ptr(), passed.data_ptr()

        def work(part: int, begin: int, end: int) -> None:
            own = type(made).from_buffer_copy(made)
            own.bias_gradient, own.weight_gradient, own.shift_gradient = (row.data_ptr() for row in sums[part])
            call(ctypes.byref(own), begin, end)

        sums = torch.empty(len(_parts(len(product))), 3, product.shape[1])
        _divide(len(product), work)
        return into, passed, _summed(sums)


def gelu(product: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return gelu(product + bias), the exact one."""
    out, call = torch.empty_like(product), load()[1].textclf_gelu_forward
    shared = TYPES[product.dtype], product.data_ptr(), bias.data_ptr(), out.data_ptr(), product.shape[1]
    _divide(len(product), lambda part, begin, end: call(*shared, begin, end))
    return out


def gelu_backward(product: torch.Tensor, bias: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Turn the gradient of `gelu` into that of the product, in place, and return that of the bias."""
    sums = torch.empty(len(_parts(len(product))), product.shape[1])
    call, place = load()[1].textclf_gelu_backward, gradient.data_ptr()
    shared = TYPES[product.dtype], product.data_ptr(), bias.data_ptr(), place, place
    width = product.shape[1]
    _divide(len(product), lambda part, begin, end: call(*shared, sums[part].data_ptr(), width, begin, end))
    return _summed(sums)


def add(into: torch.Tensor, values: torch.Tensor) -> None:
    """Add contiguous values to a contiguous float32 tensor."""
    call, kind, size = load()[1].textclf_add, TYPES[values.dtype], values.element_size()
    to, source = into.data_ptr(), values.data_ptr()
    _divide(
        into.numel(), lambda part, begin, end: call(kind, to + 4 * begin, source + size * begin, end - begin), LARGE
    )


def add_rows(table: torch.Tensor, ids: torch.Tensor, rows: torch.Tensor) -> None:
    """Add row i to `table[ids[i]]` in the order of the rows; all are contiguous, float32 and int64."""
    load()[1].textclf_embedding_backward(
        table.data_ptr(), ids.data_ptr(), rows.data_ptr(), -1, table.shape[1], len(ids)
    )  # fmt: skip


def sums_of_squares(tensors: Sequence[torch.Tensor]) -> list[float]:
    """Return the sum of squares of each contiguous float32 tensor, added up in double."""
    call = load()[1].textclf_sum_of_squares
    ends = list(accumulate(tensor.numel() for tensor in tensors))
    places = [(tensor.data_ptr(), end - tensor.numel(), end) for tensor, end in zip(tensors, ends, strict=True)]
    found = [[0.0] * len(tensors) for _ in _parts(ends[-1], LARGE)]

    def work(part: int, begin: int, end: int) -> None:
        for index, (place, first, last) in enumerate(places):
            low, high = max(begin, first), min(end, last)
            if low < high:
                found[part][index] = call(place + 4 * (low - first), high - low)

    _divide(ends[-1], work, LARGE)
    return [sum(each) for each in zip(*found, strict=True)]


@dataclass(frozen=True, slots=True)
class Stepped:
    """One tensor of an AdamW step: contiguous weights, gradient and averages; `half` gets the weights in bf16 as well.

    number: of the step, from 1; more of them correct the bias of the averages less.
    """

    weights: torch.Tensor
    gradient: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    half: torch.Tensor | None
    rate: float
    decay: float
    number: float


def adamw(tensors: Sequence[Stepped], betas: tuple[float, float], eps: float, scale: float) -> None:
    """Take one step of AdamW as torch.optim.AdamW does; gradients count times `scale`."""
    count = len(tensors)
    pointers, floats = ctypes.c_void_p * count, ctypes.c_float * count
    sizes = [each.weights.numel() for each in tensors]
    arrays: dict[str, Any] = {
        "sizes": (ctypes.c_int64 * count)(*sizes),
        "weights": pointers(*(_pointer(each.weights) for each in tensors)),
        "gradients": pointers(*(_pointer(each.gradient) for each in tensors)),
        "first": pointers(*(_pointer(each.first) for each in tensors)),
        "second": pointers(*(_pointer(each.second) for each in tensors)),
        "halves": pointers(*(_pointer(each.half) for each in tensors)),
        "rate": floats(*(each.rate for each in tensors)),
        "decay": floats(*(each.decay for each in tensors)),
        "first_correction": floats(*(1.0 - betas[0] ** each.number for each in tensors)),
        "second_correction": floats(*(1.0 - betas[1] ** each.number for each in tensors)),
    }  # fmt: skip
    module, library = load()
    made = module.AdamWStep(count=count, first_beta=betas[0], second_beta=betas[1], eps=eps, gradient_scale=scale)
    kinds: dict[str, Any] = dict(type(made)._fields_)
    for name, array in arrays.items():
        setattr(made, name, ctypes.cast(array, kinds[name]))
    by, call = ctypes.byref(made), library.textclf_adamw
    _divide(sum(sizes), lambda part, begin, end: call(by, begin, end), LARGE)
    torch.autograd.graph.increment_version([each.weights for each in tensors])


def _pointer(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _summed(sums: torch.Tensor) -> torch.Tensor:
    return sums[0] if len(sums) == 1 else sums.sum(0)


def _parts(size: int, grain: int = GRAIN) -> Sequence[tuple[int, int]]:
    """Return the parts of a call, one for each thread that the caller may use."""
    count = max(1, min(torch.get_num_threads(), size // grain))
    return [(size * part // count, size * (part + 1) // count) for part in range(count)]


def _divide(size: int, work: Callable[[int, int, int], None], grain: int = GRAIN) -> None:
    """Call `work(part, begin, end)` for each part, the first one in this thread."""
    first, *others = _parts(size, grain)
    others_at_work = [_pool(os.getpid()).submit(work, part, *other) for part, other in enumerate(others, 1)]
    try:
        work(0, *first)
    finally:
        # After an interrupt the caller frees the memory that the other threads still read and write.
        wait(others_at_work)
    for each in others_at_work:
        each.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of a process; a forked one has none of those that it was forked from."""
    return ThreadPoolExecutor(os.cpu_count(), "kernel")
