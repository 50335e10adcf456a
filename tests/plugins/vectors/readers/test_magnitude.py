"""Files in Magnitude's format, made by its own converter and built by hand, are read as that library reads them."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from textclf_vectors.readers import magnitude, text
from textclf_vectors.readers.magnitude import xxh32

from tests.plugins.word_vectors import MATRIX, WORDS, everything, write_magnitude
from textclf import DataError

CONVERTED = Path(__file__).parent / "magnitude_files"


@pytest.fixture
def converted(tmp_path) -> Path:
    path = tmp_path / "words.magnitude"
    path.write_bytes(gzip.decompress((CONVERTED / "words.magnitude.gz").read_bytes()))
    return path


@pytest.fixture(scope="module")
def expected() -> dict:
    return json.loads((CONVERTED / "expected.json").read_text("utf-8"))


def test_a_converted_file_has_the_vectors_of_its_source_to_its_stated_precision(converted):
    source = text.read(CONVERTED / "words.vec", everything)
    found = magnitude.read(converted, everything)
    assert found.words == source.words
    # Its format says precision 6: units of 10^-6 of vectors of length 1, rounded.
    lengths = np.linalg.norm(source.matrix, axis=1, keepdims=True)
    assert (np.abs(found.matrix - source.matrix) <= 0.51e-6 * lengths).all()


def test_known_words_are_as_the_original_library_reads_them(converted, expected):
    found = magnitude.read(converted, everything)
    for word, vector in expected["known"].items():
        assert found.matrix[found.words.index(word)] == pytest.approx(vector, abs=1e-6)


def test_unknown_words_get_the_vectors_that_the_original_library_gives_them(converted, expected):
    found = magnitude.read(converted, everything)
    assert found.guess is not None
    words = list(expected["unknown"])
    assert len(words) > 15
    assert found.guess(words) == pytest.approx(np.array(list(expected["unknown"].values())), abs=1e-6)


def test_the_hash_is_that_of_the_xxhash_specification():
    # Vectors of the reference implementation, seed 0; the last is longer than one stripe.
    assert xxh32(b"") == 0x02CC5D05
    assert xxh32(b"a") == 0x550D7456
    assert xxh32(b"abc") == 0x32D153FF
    assert xxh32(b"Nobody inspects the spammish repetition") == 0xE2293B2F


def test_a_misspelt_word_lies_nearer_to_the_right_one_than_to_others(tmp_path):
    words = ["wonderful", "terrible", "story", "cinema", "evening", "yesterday"]
    matrix = np.eye(6, 24, dtype=np.float32) * 3
    found = magnitude.read(write_magnitude(tmp_path / "v.magnitude", words, matrix), everything)
    (vector,) = found.guess(["wonderfull"])
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert vector[0] > 0.5 > np.abs(vector[1:6]).max()


def test_a_file_without_parts_of_words_guesses_nothing(tmp_path):
    assert magnitude.read(write_magnitude(tmp_path / "v.magnitude", sizes=None), everything).guess is None


def test_a_file_of_the_first_version_has_vectors_of_length_one(tmp_path):
    path = write_magnitude(tmp_path / "v.magnitude", sizes=None, version=1)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE magnitude DROP COLUMN magnitude")
    found = magnitude.read(path, everything)
    assert found.matrix == pytest.approx(MATRIX / np.linalg.norm(MATRIX, axis=1, keepdims=True), abs=1e-6)


def _changed(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)
    return path


HOSTILE = {
    "DROP TABLE magnitude_format": "'{path}' is an SQLite database without a table 'magnitude_format', so it is no "
    ".magnitude file",
    "UPDATE magnitude_format SET value = 3 WHERE key = 'version'": "'{path}' has version 3 of the format; known are "
    "those up to 2",
    "UPDATE magnitude_format SET value = 1 WHERE key = 'elmo'": "'{path}' holds an ELMo network, not vectors of words",
    "UPDATE magnitude_format SET value = 'six' WHERE key = 'dim'": "'{path}': its 'dim' is 'six', and should be a "
    "whole number",
    "UPDATE magnitude_format SET value = 7 WHERE key = 'dim'": "'{path}' says that vectors have 7 dimensions, but "
    "has no column dim_6",
    "UPDATE magnitude_format SET value = 900000000 WHERE key = 'dim'": "'{path}', its format: 15 words of 900000000 "
    "dimensions; is it a file of vectors?",
    "UPDATE magnitude_format SET value = -2 WHERE key = 'precision'": "'{path}': its 'precision' is -2, and should be "
    "from 0 to 18",
    "UPDATE magnitude SET dim_2 = 'x' WHERE key = 'good'": "'{path}', row 4: the vector of 'good' holds something that "
    "is no number",
    "UPDATE magnitude SET magnitude = 9e999 WHERE key = 'bad'": "'{path}', row 5: the vector of 'bad' holds NaN, "
    "infinity or a number beyond float32",
    "UPDATE magnitude SET key = NULL WHERE key = 'film'": "'{path}', row 2: its key is no text",
    "DROP TABLE magnitude_subword": "'{path}' says that it knows parts of words of 3 to 6 letters, and does not",
}


@pytest.mark.parametrize("statement", HOSTILE)
def test_a_file_that_is_not_what_it_says_is_refused_with_the_reason(statement, tmp_path):
    path = _changed(write_magnitude(tmp_path / "v.magnitude"), statement)
    with pytest.raises(DataError) as refused:
        magnitude.read(path, everything)
    assert str(refused.value) == HOSTILE[statement].format(path=path)


def test_a_view_in_the_place_of_a_table_is_never_asked(tmp_path):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS key, i AS value FROM n"
    view = f"CREATE VIEW magnitude_format AS {endless}"
    path = _changed(write_magnitude(tmp_path / "v.magnitude"), "DROP TABLE magnitude_format", view)
    with pytest.raises(DataError, match="without a table 'magnitude_format'"):
        magnitude.read(path, everything)


def test_what_is_no_database_or_is_cut_off_or_damaged_is_refused(tmp_path, converted):
    whole = converted.read_bytes()
    damaged = {
        "text": b"the 0.1 0.2\n" * 400,
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "torn": whole[:4096] + bytes(len(whole) - 4096),
    }
    for name, content in damaged.items():
        path = tmp_path / f"{name}.magnitude"
        path.write_bytes(content)
        with pytest.raises(DataError) as refused:
            magnitude.read(path, everything)
        assert str(refused.value).startswith(f"'{path}' ")


def test_a_file_is_read_where_nothing_may_be_written(tmp_path):
    folder = tmp_path / "a folder with #signs?"
    folder.mkdir()
    path = write_magnitude(folder / "v.magnitude")
    before = path.read_bytes()
    assert magnitude.read(path, everything).words == WORDS
    assert [p.name for p in folder.iterdir()] == ["v.magnitude"]
    assert path.read_bytes() == before
