"""GELU with its bias against the error function in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arrays import FLOAT32, TYPES, Rows, empty, near
from hypothesis import given
from hypothesis import strategies as st

kinds = pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
shapes = st.tuples(st.integers(0, 6), st.sampled_from([1, 7, 17, 33, 384, 770]))
erf = np.vectorize(math.erf, otypes=[float])


class Call:
    def __init__(self, rows, width, spread, kind, seed=0):
        rng = np.random.default_rng(seed)
        self.rows, self.width, self.kind = rows, width, kind
        self.input = Rows(rng.standard_normal((rows, width), np.float32) * spread, kind)
        self.bias = Rows(rng.standard_normal((1, width), np.float32), FLOAT32)
        self.out_gradient = Rows(rng.standard_normal((rows, width), np.float32), kind)
        self.out, self.in_gradient = empty(rows, width, kind), empty(rows, width, kind)
        self.bias_gradient = empty(1, width, FLOAT32)

    def run(self, library, parts, in_place=False):
        sums = 0.0
        gradient = self.out_gradient if in_place else self.in_gradient
        for begin, end in parts:
            library.textclf_gelu_forward(
                self.kind, self.input.address, self.bias.address, self.out.address, self.width, begin, end
            )
            library.textclf_gelu_backward(
                self.kind,
                self.input.address,
                self.bias.address,
                self.out_gradient.address,
                gradient.address,
                self.bias_gradient.address,
                self.width,
                begin,
                end,
            )
            sums = sums + self.bias_gradient.read()
        return self.out.read(), gradient.read(), sums


@kinds
@given(shape=shapes, spread=st.sampled_from([0.1, 1, 5, 100]), seed=st.integers(0, 1000))
def test_both_passes_equal_the_reference(library, level, kind, shape, spread, seed):
    call = Call(*shape, spread, kind, seed)
    out, gradient, sums = call.run(library, [(0, shape[0])])
    x, dy = call.input.read() + call.bias.read(), call.out_gradient.read()
    below = (1 + erf(x / math.sqrt(2))) / 2
    near(out, x * below, 1 + abs(x), kind)
    slope = below + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    near(gradient, dy * slope, 1 + abs(dy), kind)
    near(sums[0], (dy * slope).sum(0), 1 + abs(dy).sum(0), FLOAT32 if kind == FLOAT32 else kind)


@kinds
@given(shape=shapes, data=st.data())
def test_parts_give_the_bits_of_one_call_and_the_gradient_may_be_in_place(library, level, kind, shape, data):
    cut = data.draw(st.integers(0, shape[0]))
    whole = Call(*shape, 1, kind).run(library, [(0, shape[0])])
    divided = Call(*shape, 1, kind).run(library, [(0, cut), (cut, shape[0])], in_place=True)
    np.testing.assert_array_equal(whole[0], divided[0])
    np.testing.assert_array_equal(whole[1], divided[1])
    near(divided[2], whole[2], 10.0, FLOAT32)


@kinds
def test_what_is_no_number_is_not_hidden(library, level, kind):
    call = Call(1, 40, 1, kind)
    call.input.typed[0, 7] = 0x7FC0 if kind else np.nan
    out, gradient, _ = call.run(library, [(0, 1)])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(out)), [7])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(gradient)), [7])
