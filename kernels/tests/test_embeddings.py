"""Embeddings against numpy, to the bit: they only add."""

from __future__ import annotations

import ctypes

import numpy as np
from arrays import FLOAT32, Rows, empty
from hypothesis import given
from hypothesis import strategies as st

widths = st.sampled_from([1, 7, 17, 33, 384, 770])


@given(rows=st.integers(0, 12), width=widths, count=st.integers(1, 3), data=st.data())
def test_the_rows_of_all_tables_are_added_up(library, level, rows, width, count, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    tables = [Rows(rng.standard_normal((size, width), np.float32), FLOAT32) for size in (9, 2, 5)[:count]]
    ids = [rng.integers(0, len(table.typed), rows) for table in tables]
    want = np.zeros((rows, width), np.float32)
    for table, at in zip(tables, ids, strict=True):
        want = want + table.typed[at]
    out = empty(rows, width, FLOAT32)
    table_addresses = (ctypes.c_void_p * count)(*[table.address for table in tables])
    id_addresses = (ctypes.c_void_p * count)(*[at.ctypes.data for at in ids])
    cut = data.draw(st.integers(0, rows))
    for begin, end in [(0, cut), (cut, rows)]:
        library.textclf_embedding_forward(count, table_addresses, id_addresses, out.address, width, begin, end)
    np.testing.assert_array_equal(out.read(), want)


@given(rows=st.integers(0, 12), width=widths, padding=st.integers(-1, 3), seed=st.integers(0, 1000))
def test_gradients_are_added_in_the_order_of_rows_and_padding_gets_none(library, level, rows, width, padding, seed):
    rng = np.random.default_rng(seed)
    table = Rows(rng.standard_normal((4, width), np.float32), FLOAT32)
    gradient = Rows(rng.standard_normal((rows, width), np.float32), FLOAT32)
    ids = rng.integers(0, 4, rows)
    want = table.typed.copy()
    np.add.at(want, ids[ids != padding], gradient.typed[ids != padding])
    library.textclf_embedding_backward(table.address, ids.ctypes.data, gradient.address, padding, width, rows)
    np.testing.assert_array_equal(table.read(), want)
