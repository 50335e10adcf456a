"""Features at the border: what is nearly an array or a sparse matrix is named before a trainer stumbles over it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tests.places import placeless
from tests.toys import engine, plugin, recipe
from textclf import PluginError
from textclf.plugin.validation import validate_features
from textclf.testing.toy import ToyWords, WordsOptions

SOUND = np.arange(12, dtype=np.float32).reshape(4, 3)


class Tensor:
    """Stands for one of torch: the core's tests do without."""

    def __init__(self, values: Any) -> None:
        self.shape, self.dtype, self.ndim = values.shape, "torch.float32", values.ndim

    def detach(self) -> Any:
        return self


@pytest.mark.parametrize("layout", ["matrix", "counts"])
@pytest.mark.parametrize(
    ("features", "found"),
    [
        (np.matrix(SOUND), "a matrix, but its traits say '{}'; return np.asarray(features)"),
        (np.ma.masked_array(SOUND), "a MaskedArray, but its traits say '{}'; return features.filled(0)"),
        (Tensor(SOUND), "a Tensor, but its traits say '{}'; return features.detach().cpu().numpy()"),
        (pd.DataFrame(SOUND), "a DataFrame, but its traits say '{}'; return features.to_numpy()"),
        (SOUND.tolist(), "a list, but its traits say '{}'"),
        (SOUND[:, 0], "an array of shape (4,), but its traits say '{}', which has rows and columns"),
        (SOUND[None].repeat(4, 0), "an array of shape (4, 4, 3), but its traits say '{}', which has rows and columns"),
        (SOUND[:, :0], "features of no column, from which nothing can be learned"),
        (sparse.csr_matrix((4, 0)), "features of no column, from which nothing can be learned"),
        (SOUND.astype(complex), "features of the type complex128, which are no numbers"),
        *((sparse.csr_array(SOUND * np.nan).asformat(form), "features that are NaN or infinite")
          for form in ("csr", "csc", "coo", "lil", "dok")),
    ],
)  # fmt: skip
def test_what_no_trainer_could_read_is_named_with_the_way_out(layout: str, features: Any, found: str) -> None:
    assert validate_features(features, 4, layout) == found.format(layout)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
def test_every_sparse_form_is_looked_into(form: str) -> None:
    whole = sparse.csr_matrix(SOUND).asformat(form)
    assert validate_features(whole, 4, "counts") == ""
    less = sparse.csr_matrix(SOUND - 2).asformat(form)
    assert validate_features(less, 4, "matrix") == ""
    assert validate_features(less, 4, "counts") == "negative features, but its traits say 'counts'"


def test_arrays_in_memory_and_on_the_disk_are_sound(tmp_path: Any) -> None:
    np.save(tmp_path / "kept.npy", SOUND)
    for sound in (SOUND, SOUND.astype(np.uint8), SOUND > 1, np.load(tmp_path / "kept.npy", mmap_mode="r")):
        assert validate_features(sound, 4, "counts") == ""


def test_a_masked_array_is_the_encoders_fault_and_not_the_trainers() -> None:
    class Odd(ToyWords):
        def encode(self, texts: Any, context: Any) -> Any:
            return np.ma.masked_array(super().encode(texts, context))

    with pytest.raises(PluginError) as raised:
        engine(plugin("encoder", "odd", lambda: Odd(WordsOptions()))).run(recipe(encoder="odd"))
    assert placeless(str(raised.value)) == (
        "encoder 'odd' (plugin textclf_odd): encode returned a MaskedArray, but its traits say 'matrix'; return "
        "features.filled(0)"
    )
