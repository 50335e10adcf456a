"""Matrices that no trainer could read are named by `encoder.layout`, with the way out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.culprits.making import WORDS
from textclf.testing import check_component
from textclf.testing.toy import ToyWords, restore_words


def failed(made_of, layout="matrix"):
    class Made(ToyWords):
        def encode(self, texts, context):
            return made_of(super().encode(texts, context))

    def restore(options, folder):
        return Made(options, restore_words(options, folder).weights)

    findings = check_component(replace(WORDS, build=Made, restore=restore), "encoder", {"layout": layout})
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


def sparse(kind):
    return lambda features: getattr(pytest.importorskip("scipy.sparse"), kind)(features)


@pytest.mark.parametrize(
    ("made_of", "said"),
    [
        (np.matrix, "a numpy matrix, which multiplies unlike an array; return np.asarray(...) of it"),
        (lambda features: np.ma.masked_equal(features, 0),
         "a masked array, whose mask no trainer sees; return .filled(0) of it"),
        (lambda features: features[:, :0], "no columns: a row of no features says nothing of a text"),
        (sparse("coo_matrix"), "a coo_matrix, and that cannot be sliced; return .tocsr() of it"),
        (sparse("lil_matrix"), "a lil_matrix, and that is for building one, not for reading it; return .tocsr() of it"),
        (lambda features: pytest.importorskip("torch").from_numpy(features),
         "a Tensor, not an array; return .numpy() of it"),
        (lambda features: pytest.importorskip("pandas").DataFrame(features),
         "a DataFrame, not an array; return .to_numpy() of it"),
    ],
)  # fmt: skip
def test_what_no_trainer_could_read_is_named_with_the_way_out(made_of, said):
    assert failed(made_of) == {"encoder.layout": f"encode returns {said}"}


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "csc_matrix"])
def test_sparse_matrices_that_give_rows_pass(kind):
    assert failed(sparse(kind), "counts") == {}


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64, np.bool_, ">f4"])
def test_any_numbers_pass(dtype):
    assert failed(lambda features: np.asfortranarray(np.abs(features).astype(dtype))) == {}
