"""Attention against the textbook's, text by text, in float64."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import pytest
from arrays import TYPES, Rows, empty, near
from hypothesis import given
from hypothesis import strategies as st

kinds = pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)


@dataclass
class Case:
    lengths: list[int]
    heads: int = 1
    width: int = 32
    reach: int = -1
    causal: bool = False
    first_only: bool = False
    gap: int = 0
    seed: int = 0


@st.composite
def cases(draw):
    # Lengths around the kernel's blocks of 48 and 64 queries and its tiles of 16 and 32 keys, and any others.
    lengths = draw(st.lists(st.integers(0, 40) | st.sampled_from([47, 48, 49, 63, 64, 65, 97, 130]), max_size=4))
    first_only = draw(st.booleans())
    return Case(
        lengths=[max(length, 1) for length in lengths] if first_only else lengths,
        heads=draw(st.integers(1, 3)),
        width=draw(st.sampled_from([1, 7, 16, 17, 32, 33, 64])),
        reach=draw(st.sampled_from([-1, 0, 1, 5, 33])),
        causal=draw(st.booleans()),
        first_only=first_only,
        gap=draw(st.integers(0, 5)),
        seed=draw(st.integers(0, 1000)),
    )


class Call:
    """A case with its arrays: what both passes read, and what they write."""

    def __init__(self, case, kind):
        import textclf_kernels

        rng = np.random.default_rng(case.seed)
        self.case, self.kind = case, kind
        self.borders = np.cumsum([0, *case.lengths], dtype=np.int64)
        texts, tokens, all_width = len(case.lengths), int(self.borders[-1]), case.heads * case.width
        self.query_borders = np.arange(texts + 1, dtype=np.int64) if case.first_only else self.borders
        self.queries = int(self.query_borders[-1])
        self.units = texts * case.heads
        self.scale = float(np.float32(case.width**-0.5))

        def drawn(rows):
            return Rows(rng.standard_normal((rows, all_width), np.float32), kind, case.gap)

        self.query, self.key, self.value = drawn(self.queries), drawn(tokens), drawn(tokens)
        self.out_gradient = drawn(self.queries)
        self.out = empty(self.queries, all_width, kind, case.gap)
        self.query_gradient = empty(self.queries, all_width, kind, case.gap + 1)
        self.key_gradient = empty(tokens, all_width, kind, case.gap)
        self.value_gradient = empty(tokens, all_width, kind, case.gap + 2)
        self.logs = empty(case.heads, self.queries, 0)
        self.arguments = textclf_kernels.Attention(
            type=kind,
            causal=case.causal,
            heads=case.heads,
            width=case.width,
            texts=texts,
            queries=self.queries,
            reach=case.reach,
            scale=self.scale,
            borders=self.borders.ctypes.data,
            query_borders=self.query_borders.ctypes.data,
            logs=self.logs.address,
        )
        for name in ("query", "key", "value", "out", *(f"{x}_gradient" for x in ("out", "query", "key", "value"))):
            setattr(self.arguments, name, getattr(self, name).address)
            setattr(self.arguments, f"{name}_stride", getattr(self, name).stride)

    def run(self, library, parts=None):
        for begin, end in parts or [(0, self.units)]:
            library.textclf_attention_forward(ctypes.byref(self.arguments), begin, end)
        for begin, end in parts or [(0, self.units)]:
            library.textclf_attention_backward(ctypes.byref(self.arguments), begin, end)

    def written(self):
        return [x.read() for x in (self.out, self.logs, self.query_gradient, self.key_gradient, self.value_gradient)]


def seen(case, first, queries, keys):
    i, j = np.arange(first, first + queries)[:, None], np.arange(keys)[None]
    within = np.ones((queries, keys), bool) if case.reach < 0 else np.abs(i - j) <= case.reach
    return within & (j <= i) if case.causal else within


def check(call):
    """Compare both passes with the reference, in blocks of queries so that 4,096 tokens take little memory."""
    case, kind, scale = call.case, call.kind, call.scale
    out, logs, query_gradient, key_gradient, value_gradient = call.written()
    for text, keys in enumerate(case.lengths):
        for head in range(case.heads):
            columns = slice(head * case.width, (head + 1) * case.width)
            at_keys = slice(call.borders[text], call.borders[text + 1])
            k, v = (x.read()[at_keys, columns] for x in (call.key, call.value))
            dk, dv, dk_size, dv_size = (np.zeros_like(k) for _ in range(4))
            start, stop = call.query_borders[text], call.query_borders[text + 1]
            for block in range(start, stop, 512):
                at = slice(block, min(block + 512, stop))
                q, g = (x.read()[at, columns] for x in (call.query, call.out_gradient))
                scores = np.where(seen(case, block - start, len(q), keys), q @ k.T * scale, -np.inf)
                top = scores.max(1, keepdims=True)
                log = top + np.log(np.exp(scores - top).sum(1, keepdims=True))
                w = np.exp(scores - log)
                o = w @ v
                near(out[at, columns], o, w @ abs(v) + abs(v).max(), kind)
                near(logs[head, at], log[:, 0], 1 + abs(log[:, 0]), kind)
                d = w * (g @ v.T - (g * o).sum(1, keepdims=True)) * scale
                d_size = w * (abs(g) @ abs(v).T + (abs(g) * abs(o)).sum(1, keepdims=True)) * scale
                near(query_gradient[at, columns], d @ k, d_size @ abs(k) + 1e-3, kind)
                dk, dk_size = dk + d.T @ q, dk_size + d_size.T @ abs(q)
                dv, dv_size = dv + w.T @ g, dv_size + w.T @ abs(g)
            near(key_gradient[at_keys, columns], dk, dk_size + 1e-3, kind)
            near(value_gradient[at_keys, columns], dv, dv_size + 1e-3, kind)


@kinds
@given(case=cases())
def test_both_passes_equal_the_reference(library, level, kind, case):
    call = Call(case, kind)
    call.run(library)
    check(call)


@kinds
@pytest.mark.parametrize("width", [384, 770])
def test_a_head_may_be_wide(library, level, kind, width):
    call = Call(Case([3, 50], width=width), kind)
    call.run(library)
    check(call)


@kinds
def test_a_text_may_have_4096_tokens(library, level, kind):
    call = Call(Case([4096], width=16), kind)
    call.run(library)
    check(call)


@kinds
@given(case=cases(), data=st.data())
def test_parts_give_the_bits_of_one_call(library, level, kind, case, data):
    whole, divided = Call(case, kind), Call(case, kind)
    whole.run(library)
    cuts = sorted(data.draw(st.lists(st.integers(0, whole.units), max_size=3)))
    divided.run(library, list(zip([0, *cuts], [*cuts, whole.units], strict=True)))
    for one, other in zip(whole.written(), divided.written(), strict=True):
        np.testing.assert_array_equal(one, other)


@kinds
def test_the_forward_pass_needs_no_logs(library, level, kind):
    call, silent = Call(Case([5, 60], heads=2), kind), Call(Case([5, 60], heads=2), kind)
    silent.arguments.logs = None
    for each in (call, silent):
        library.textclf_attention_forward(ctypes.byref(each.arguments), 0, each.units)
    np.testing.assert_array_equal(call.out.read(), silent.out.read())


@kinds
@pytest.mark.parametrize("name", ["query", "key", "value"])
def test_what_is_no_number_is_not_hidden(library, level, kind, name):
    call = Call(Case([40], heads=2), kind)
    rows = getattr(call, name)
    rows.typed[7, 3] = 0x7FC0 if rows.typed.dtype == np.uint16 else np.nan
    call.run(library)
    out, _, query_gradient, key_gradient, _ = call.written()
    assert np.isnan(out[7, :32]).any()
    assert np.isnan(query_gradient).any()
    assert np.isnan(key_gradient).any()
    assert np.isfinite(out[:, 32:]).all()
