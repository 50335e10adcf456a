"""A file of vectors that is broken is refused with one sentence: which file, which line, what is wrong."""

from __future__ import annotations

import gzip
import io
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from textclf_vectors.readers import numpy_matrix, text, word2vec

from tests.plugins.word_vectors import MATRIX, WORDS, everything, write_binary
from textclf import DataError

TEXT_FILES = {
    b"": "'{path}' is empty",
    b"\n\n": "'{path}' is empty",
    b"the 1 2 3\nfilm 1 2\n": "'{path}', line 2: 2 numbers, not 3; is the file whole?",
    b"the 1 2 3\nfilm 1 x 3\n": "'{path}', line 2: 'x' behind 'film' is no number",
    b"the 1 2 3\nfilm 1 nan 3\n": "'{path}', line 2: the vector of 'film' holds NaN, infinity or a number beyond "
    "float32",
    b"the 1 2 3\n\nfilm 1 1e99 3\n": "'{path}', line 3: the vector of 'film' holds NaN, infinity or a number beyond "
    "float32",
    b"the 1 2 3\nfi\xfflm 1 2 3\n": "'{path}', line 2: its word is not UTF-8 (byte 3 of the line)",
    b"3 2\nthe 1 2\nfilm 1 2\n": "'{path}' has 2 words, and its first line says 3; is the file whole?",
    b"1 2\nthe 1 2\nfilm 1 2\n": "'{path}' has 2 words, and its first line says 1; is the file whole?",
    b"9999999999999 3\nthe 1 2 3\n": "'{path}', line 1: 9999999999999 words of 3 dimensions; is it a file of vectors?",
    b"2 1000000\nthe 1 2 3\n": "'{path}', line 1: 2 words of 1000000 dimensions; is it a file of vectors?",
    b"oneword\n": "'{path}', line 1: 1 word of 0 dimensions; is it a file of vectors?",
}


@pytest.mark.parametrize("content", TEXT_FILES)
def test_a_broken_text_file_is_refused_with_its_line(content, tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        text.read(path, everything)
    assert str(refused.value) == TEXT_FILES[content].format(path=path)


def test_what_is_wrong_with_a_vector_that_nobody_wants_harms_nobody(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"the 1 2 3\nfilm nan x 3\n")
    assert text.read(path, lambda number, word: word == "the").words == ["the"]


def test_a_gzip_that_unpacks_to_a_line_without_end_is_refused_in_little_memory(tmp_path):
    """D14: what unpacks to an endless line is refused at the first megabyte."""
    path = tmp_path / "v.txt.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(b"1" * (1 << 20))
    with pytest.raises(DataError) as refused:
        text.read(path, everything)
    assert str(refused.value) == f"'{path}', line 1 is longer than 1,048,576 bytes; is it a text file?"


def test_a_torn_gzip_is_refused(tmp_path):
    path = tmp_path / "v.vec.gz"
    path.write_bytes(gzip.compress(b"".join(b"word%d 1 2 3\n" % i for i in range(9999)))[:-400])
    with pytest.raises(DataError, match=r"^'.*v\.vec\.gz' cannot be read: "):
        text.read(path, everything)


BINARY_FILES = {
    b"": "'{path}' cannot be read: ",
    b"nothing here\n": "'{path}' does not begin with a line of two numbers, as word2vec's binary files do",
    b"1" * 9000: "'{path}' does not begin with a line of two numbers, as word2vec's binary files do",
    b"4000000 300\nthe ": "'{path}' is too short for the 4000000 words of 300 dimensions that it begins with",
    b"1 99999999\nthe ": "'{path}', line 1: 1 word of 99999999 dimensions; is it a file of vectors?",
    b"1 1\n" + b"w" * 9000: "'{path}', word 1 of 1: it is not whole; is the file?",
    b"1 1\nfi\xfflm \0\0\0\0": "'{path}', word 1: it is not UTF-8",
    b"1 1\nfilm \0\0\xc0\x7f": "'{path}', word 1: the vector of 'film' holds NaN, infinity or a number beyond float32",
}


@pytest.mark.parametrize("content", BINARY_FILES)
def test_a_broken_binary_file_is_refused_with_its_word(content, tmp_path):
    path = tmp_path / "v.bin"
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        word2vec.read(path, everything)
    assert str(refused.value).startswith(BINARY_FILES[content].format(path=path))


def test_a_binary_file_that_was_cut_off_names_the_word_where_it_ends(tmp_path):
    path = write_binary(tmp_path / "v.bin")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError) as refused:
        word2vec.read(path, everything)
    assert str(refused.value) == f"'{path}', word 15 of 15: it is not whole; is the file?"


def _npy(value, **given):
    file = io.BytesIO()
    np.save(file, value, **given)
    return file.getvalue()


def _pickled():
    return _npy(np.array([{"a": 1}], object), allow_pickle=True)


NPY_FILES = {
    "text": (lambda: b"the 1 2 3\n", "'{path}' cannot be read as a NumPy matrix: "),
    "empty": (lambda: b"", "'{path}' cannot be read as a NumPy matrix: "),
    "cut off": (lambda: _npy(MATRIX)[:-8], "'{path}' cannot be read as a NumPy matrix: "),
    "pickle": (_pickled, "'{path}' cannot be read as a NumPy matrix: "),
    "bare pickle": (lambda: pickle.dumps([1]), "'{path}' cannot be read as a NumPy matrix: "),
    "vector": (lambda: _npy(MATRIX[0]), "'{path}' is float32[6], and not a matrix of floating-point "),
    "integers": (lambda: _npy(np.eye(15, dtype=int)), "'{path}' is int64[15, 15], and not a matrix of floating-point "),
    "no rows": (lambda: _npy(MATRIX[:0]), "'{path}' has 0 rows of 6 numbers; is it a matrix of vectors?"),
    "nan": (lambda: _npy(np.where(np.eye(15, 6), np.nan, 1.0)), "'{path}', row 0: the vector of 'the' holds NaN, "),
    "fewer": (lambda: _npy(MATRIX[:9]), "'{words}' has more words than the 9 rows of '{path}'"),
    "more": (lambda: _npy(np.ones((20, 6))), "'{words}' has 15 words, and '{path}' 20 rows"),
}


@pytest.mark.parametrize("kind", NPY_FILES)
def test_a_broken_matrix_is_refused(kind, tmp_path):
    path, words = tmp_path / "v.npy", tmp_path / "words.txt"
    make, message = NPY_FILES[kind]
    path.write_bytes(make())
    words.write_text("\n".join(WORDS))
    with pytest.raises(DataError) as refused:
        numpy_matrix.read(path, words, everything)
    assert str(refused.value).startswith(message.format(path=path, words=words))


def test_a_broken_word_list_is_refused(tmp_path):
    """D15: Parquet that is cut off or is none is refused, as are other broken lists."""
    np.save(tmp_path / "v.npy", MATRIX)
    lists = {
        "latin.txt": (b"the\nf\xeflm\n", "'{path}', line 2: it is not UTF-8 (byte 2)"),
        "long.txt": (b"a" * 99_999, "'{path}', line 1 is longer than 65,536 bytes; is it a list of words?"),
        "torn.parquet": (b"PAR1 and no more", "'{path}' cannot be read as Parquet: "),
    }
    for name, (content, message) in lists.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError) as refused:
            numpy_matrix.read(tmp_path / "v.npy", path, everything)
        assert str(refused.value).startswith(message.format(path=path))
    tables = {
        "two.parquet": ({"a": WORDS, "b": WORDS}, "'{path}' has 2 columns; a word list has one"),
        "numbers.parquet": ({"a": list(range(15))}, "'{path}' holds 0, which is no word"),
        "nulls.parquet": ({"a": [*WORDS[:-1], None]}, "'{path}' holds None, which is no word"),
    }
    for name, (columns, message) in tables.items():
        path = tmp_path / name
        pq.write_table(pa.table(columns), path)
        with pytest.raises(DataError) as refused:
            numpy_matrix.read(tmp_path / "v.npy", path, everything)
        assert str(refused.value) == message.format(path=path)
