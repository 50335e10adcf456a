"""Dropout, residual and LayerNorm against float64, and the random bits of dropout."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import pytest
from arrays import BFLOAT16, FLOAT32, TYPES, Rows, empty, near
from hypothesis import given
from hypothesis import strategies as st

kinds = pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
EPS = 1e-5


@dataclass
class Case:
    rows: int
    width: int
    dropped: int = 0
    after: bool = False
    key: int = 0
    has_in: bool = True
    has_bias: bool = True
    outputs: str = "both"
    seed: int = 0


@st.composite
def cases(draw):
    has_in = draw(st.booleans())
    return Case(
        rows=draw(st.integers(0, 9)),
        width=draw(st.sampled_from([1, 2, 7, 17, 33, 64, 384, 770])),
        dropped=draw(st.sampled_from([0, 0, 1, 6554, 32768, 65535])),
        after=draw(st.booleans()),
        key=draw(st.integers(0, 2**64 - 1)),
        has_in=has_in,
        has_bias=has_in and draw(st.booleans()),
        outputs=draw(st.sampled_from(["both", "float", "half"])),
        seed=draw(st.integers(0, 1000)),
    )


def random_bits(key, count):
    """The 16 bits of each element by the formula of random.h."""

    def mixed(x):
        x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
        return x ^ (x >> 16)

    words = np.arange((count + 1) // 2, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(key & 0xFFFFFFFF)
    return mixed(mixed(words) ^ np.uint32(key >> 32)).view(np.uint16)[:count]


def scales(case):
    """What dropout multiplies each element by."""
    if not case.dropped:
        return np.ones((case.rows, case.width))
    bits = random_bits(case.key, case.rows * case.width).reshape(case.rows, case.width)
    return np.where(bits >= case.dropped, 65536 / (65536 - case.dropped), 0)


class Call:
    def __init__(self, case, kind):
        import textclf_kernels

        rng = np.random.default_rng(case.seed)
        self.case, self.kind = case, kind

        def drawn(rows, kind=FLOAT32):
            return Rows(rng.standard_normal((rows, case.width), np.float32), kind)

        def written(rows, kind=FLOAT32):
            return empty(rows, case.width, kind)

        rows = case.rows
        self.arrays = {
            "in": drawn(rows, kind),
            "bias": drawn(1),
            "residual": drawn(rows),
            "weight": drawn(1),
            "shift": drawn(1),
            "out": written(rows),
            "out_half": written(rows, BFLOAT16),
            "mean": empty(1, rows, FLOAT32),
            "inverse": empty(1, rows, FLOAT32),
            "out_gradient": drawn(rows),
            "out_gradient_half": drawn(rows, kind),
            "in_gradient": written(rows, kind),
            "residual_gradient": written(rows),
            "bias_gradient": written(1),
            "weight_gradient": written(1),
            "shift_gradient": written(1),
        }
        if not case.has_in:
            del self.arrays["in"], self.arrays["in_gradient"]
        if not case.has_bias:
            del self.arrays["bias"], self.arrays["bias_gradient"]
        if case.outputs == "float":
            del self.arrays["out_half"], self.arrays["out_gradient_half"]
        if case.outputs == "half":
            del self.arrays["out"], self.arrays["out_gradient"]
        self.arguments = textclf_kernels.Norm(
            type=kind, after=case.after, rows=rows, width=case.width, eps=EPS, dropped=case.dropped, key=case.key
        )
        for name, array in self.arrays.items():
            setattr(self.arguments, name, array.address)

    def forward(self, library, begin=0, end=None):
        library.textclf_norm_forward(ctypes.byref(self.arguments), begin, self.case.rows if end is None else end)

    def backward(self, library, begin=0, end=None):
        library.textclf_norm_backward(ctypes.byref(self.arguments), begin, self.case.rows if end is None else end)

    def read(self, name):
        return self.arrays[name].read() if name in self.arrays else np.zeros((1, 1))


def check(call):
    case, kind, read = call.case, call.kind, call.read
    scale = scales(case)
    before, after = (1, scale) if case.after else (scale, 1)
    total = read("residual") + before * (read("in") + read("bias"))
    mean = total.mean(1, keepdims=True)
    inverse = 1 / np.sqrt(((total - mean) ** 2).mean(1, keepdims=True) + EPS)
    # Rounding of the sum's largest number, seen in units of the deviation.
    size = abs(total).max(1, keepdims=True, initial=0) * inverse
    x, weight = (total - mean) * inverse, read("weight")
    out, out_size = after * (x * weight + read("shift")), after * (size * abs(weight) + abs(read("shift")))
    if case.rows:
        near(read("mean")[0], mean[:, 0], abs(total).max(1), FLOAT32)
        near(read("inverse")[0], inverse[:, 0], inverse[:, 0] * (1 + size[:, 0]), FLOAT32)
    if case.outputs != "half":
        near(read("out"), out, out_size, FLOAT32)
    if case.outputs != "float":
        near(read("out_half"), out, out_size, BFLOAT16)

    dy = after * (read("out_gradient") + read("out_gradient_half"))
    g = dy * weight
    d = (g - g.mean(1, keepdims=True) - x * (g * x).mean(1, keepdims=True)) * inverse
    part = abs(g).mean(1, keepdims=True)
    d_size = (abs(g) + part + 3 * size * size * part) * inverse
    near(read("residual_gradient"), d, d_size, FLOAT32)
    near(read("weight_gradient")[0], (dy * x).sum(0), (abs(dy) * size).sum(0), FLOAT32)
    near(read("shift_gradient")[0], dy.sum(0), abs(dy).sum(0), FLOAT32)
    if case.has_in:
        near(read("in_gradient"), before * d, before * d_size, kind)
    if case.has_bias:
        near(read("bias_gradient")[0], (before * d).sum(0), (before * d_size).sum(0), FLOAT32)


@kinds
@given(case=cases())
def test_both_passes_equal_the_reference(library, level, kind, case):
    call = Call(case, kind)
    call.forward(library)
    call.backward(library)
    check(call)


@kinds
@given(case=cases(), data=st.data())
def test_parts_give_the_bits_of_one_call(library, level, kind, case, data):
    whole, divided = Call(case, kind), Call(case, kind)
    whole.forward(library)
    whole.backward(library)
    cut = data.draw(st.integers(0, case.rows))
    divided.forward(library, 0, cut)
    divided.forward(library, cut)
    sums = [name for name in ("bias_gradient", "weight_gradient", "shift_gradient") if name in whole.arrays]
    divided.backward(library, 0, cut)
    first = {name: divided.read(name) for name in sums}
    divided.backward(library, cut)
    for name in whole.arrays:
        if name not in sums:
            np.testing.assert_array_equal(whole.read(name), divided.read(name))
    for name in sums:
        near(first[name] + divided.read(name), whole.read(name), 20 + abs(first[name]) * case.rows, FLOAT32)


def dropout_of_ones(library, key, dropped, rows=500, width=385):
    """Dropout behind a norm whose output is 1 everywhere."""
    call = Call(Case(rows, width, dropped, after=True, key=key), FLOAT32)
    call.arrays["weight"].typed[...], call.arrays["shift"].typed[...] = 0, 1
    call.forward(library)
    return call.read("out")


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_keeps_the_share_it_states_and_the_bits_that_every_level_draws(library, level, share):
    dropped = round(share * 65536)
    out = dropout_of_ones(library, 123456789012345, dropped)
    case = Case(*out.shape, dropped, key=123456789012345)
    np.testing.assert_array_equal(out, np.float32(scales(case)))
    deviation = (share * (1 - share) / out.size) ** 0.5
    assert abs((out != 0).mean() - (1 - share)) < 4 * deviation


@pytest.mark.parametrize("other", [1, 1 << 32, 2**64 - 1])
def test_another_key_draws_independent_bits(library, level, other):
    one, two = (dropout_of_ones(library, key, 32768) != 0 for key in (0, other))
    assert abs((one == two).mean() - 0.5) < 4 * (0.25 / one.size) ** 0.5


def test_neighbours_are_dropped_independently(library, level):
    kept = dropout_of_ones(library, 7, 32768) != 0
    for one, other in [(kept[:, 1:], kept[:, :-1]), (kept[1:], kept[:-1])]:
        assert abs((one == other).mean() - 0.5) < 4 * (0.25 / one.size) ** 0.5
