"""AdamW against its formula in float64, and the sums and casts around it."""

from __future__ import annotations

import ctypes
from itertools import pairwise

import numpy as np
import pytest
from arrays import BFLOAT16, FLOAT32, TYPES, Rows, empty, near, to_half
from hypothesis import example, given
from hypothesis import strategies as st

sizes_of_tensors = st.lists(st.sampled_from([0, 1, 7, 17, 33, 384, 770]), max_size=4)
FIRST_BETA, SECOND_BETA, EPS = (float(np.float32(x)) for x in (0.9, 0.999, 1e-8))


class Step:
    def __init__(self, sizes, scale, seed):
        import textclf_kernels

        rng = np.random.default_rng(seed)
        self.sizes = np.array(sizes, np.int64)

        def drawn(spread=1.0):
            return [Rows(rng.standard_normal((1, size), np.float32) * spread, FLOAT32) for size in sizes]

        self.weights, self.gradients, self.first = drawn(), drawn(), drawn(0.1)
        self.second = [Rows(rng.random((1, size), np.float32), FLOAT32) for size in sizes]
        # Every other tensor has a copy of its weights in bfloat16.
        self.halves = [None if i % 2 else empty(1, size, BFLOAT16) for i, size in enumerate(sizes)]
        self.rate = rng.uniform(1e-4, 1e-2, len(sizes)).astype(np.float32)
        self.decay = rng.choice([0, 0.01, 0.1], len(sizes)).astype(np.float32)
        self.first_correction = (1 - FIRST_BETA ** rng.integers(1, 50, len(sizes))).astype(np.float32)
        self.second_correction = (1 - SECOND_BETA ** rng.integers(1, 50, len(sizes))).astype(np.float32)
        self.scale = float(np.float32(scale))
        self.arguments = textclf_kernels.AdamWStep(
            count=len(sizes), first_beta=FIRST_BETA, second_beta=SECOND_BETA, eps=EPS, gradient_scale=scale
        )
        self.addresses = []
        for name in ("weights", "first", "second", "gradients", "halves"):
            self.addresses.append((ctypes.c_void_p * len(sizes))(*[x and x.address for x in getattr(self, name)]))
            setattr(self.arguments, name, ctypes.addressof(self.addresses[-1]))
        for name in ("sizes", "rate", "decay", "first_correction", "second_correction"):
            setattr(self.arguments, name, getattr(self, name).ctypes.data)

    def take(self, library, *cuts):
        cuts = [0, *sorted(cuts), int(self.sizes.sum())]
        for begin, end in pairwise(cuts):
            library.textclf_adamw(ctypes.byref(self.arguments), begin, end)

    def numbers(self):
        return [[x.read() for x in part] for part in (self.weights, self.first, self.second)]


@given(sizes=sizes_of_tensors, scale=st.sampled_from([1.0, 0.03]), seed=st.integers(0, 1000))
def test_a_step_is_the_formula_s(library, level, sizes, scale, seed):
    step = Step(sizes, scale, seed)
    before = step.numbers()
    step.take(library)
    for t in range(len(sizes)):
        w, m, v = (part[t] for part in before)
        g, rate = step.gradients[t].read() * step.scale, float(step.rate[t])
        m = FIRST_BETA * m + (1 - FIRST_BETA) * g
        v = SECOND_BETA * v + (1 - SECOND_BETA) * g * g
        root = np.sqrt(v / float(step.second_correction[t])) + EPS
        w = w * (1 - rate * float(step.decay[t])) - rate * m / float(step.first_correction[t]) / root
        near(step.first[t].read(), m, 1 + abs(g), FLOAT32)
        near(step.second[t].read(), v, v, FLOAT32)
        near(step.weights[t].read(), w, abs(w) + rate * (1 + abs(g)) / float(step.first_correction[t]) / root, FLOAT32)
        if step.halves[t] is not None:
            np.testing.assert_array_equal(step.halves[t].typed, to_half(step.weights[t].typed))


@given(sizes=sizes_of_tensors, data=st.data())
def test_parts_give_the_bits_of_one_call(library, level, sizes, data):
    whole, divided = Step(sizes, 0.5, 1), Step(sizes, 0.5, 1)
    whole.take(library)
    divided.take(library, *data.draw(st.lists(st.integers(0, sum(sizes)), max_size=3)))
    for ones, others in zip(whole.numbers(), divided.numbers(), strict=True):
        for one, other in zip(ones, others, strict=True):
            np.testing.assert_array_equal(one, other)


lengths = st.integers(0, 100) | st.sampled_from([4095, 4096, 4097, 10_000])


@given(size=lengths, seed=st.integers(0, 1000))
def test_squares_are_added_up(library, level, size, seed):
    values = Rows(np.random.default_rng(seed).standard_normal((1, size), np.float32), FLOAT32)
    want = (values.read() ** 2).sum()
    assert library.textclf_sum_of_squares(values.address, size) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
@given(size=lengths, seed=st.integers(0, 1000))
def test_numbers_are_added(library, level, kind, size, seed):
    rng = np.random.default_rng(seed)
    into = Rows(rng.standard_normal((1, size), np.float32), FLOAT32)
    values = Rows(rng.standard_normal((1, size), np.float32), kind)
    want = into.typed + np.float32(values.read())
    library.textclf_add(kind, into.address, values.address, size)
    np.testing.assert_array_equal(into.read(), want)


# Numbers below 2 ** -126 are left out: AVX512_BF16 takes them for zero.
@given(values=st.lists(st.floats(width=32, allow_subnormal=False), max_size=40))
@example(values=[float("nan"), float("inf"), -float("inf"), 3.4e38, -0.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20])
def test_numbers_are_rounded_to_the_nearest_bfloat16(library, level, values):
    numbers = np.array([values], np.float32)
    source, into = Rows(numbers, FLOAT32), empty(1, len(values), BFLOAT16)
    library.textclf_to_bfloat16(into.address, source.address, len(values))
    np.testing.assert_array_equal(into.read()[~np.isnan(numbers)], Rows(numbers, BFLOAT16).read()[~np.isnan(numbers)])
    assert np.isnan(into.read()[np.isnan(numbers)]).all()
