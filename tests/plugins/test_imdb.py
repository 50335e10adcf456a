"""What the imdb component offers, what it refuses before anything runs, and a file that was fetched by hand."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
import textclf_imdb
from pydantic import ValidationError
from textclf_imdb import ImdbOptions, build

from textclf import DataError, Problem
from textclf.testing import LocalContext

from ..drive import PERMISSION_PAGE, reviews_csv


def problems(**options: object) -> list[Problem]:
    (component,) = textclf_imdb.textclf_datasets()
    assert component.check is not None
    return list(component.check(ImdbOptions(**options)))


def refusal(tmp_path: Path, data: bytes, **options: object) -> str:
    """Return what is said of a file fetched by hand, without its path."""
    file = tmp_path / "mine.csv"
    file.write_bytes(data)
    with pytest.raises(DataError) as caught:
        build(ImdbOptions(path=file, **options)).load(LocalContext(tmp_path))
    return str(caught.value).removeprefix(str(file))


def test_a_file_fetched_by_hand_is_read_in_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(b'review,label\n"Bad,<br />""bad"" film",0\nNA,0\n Good ,1\n')
    dataset = build(ImdbOptions(path=file, rows=3)).load(LocalContext(tmp_path))
    assert dataset.train.texts.first == ['Bad,<br />"bad" film', "NA", " Good "]
    assert dataset.train.labels.tolist() == [0, 0, 1]
    assert (dataset.labels.names, dataset.labels.positive) == (("negative", "positive"), "positive")
    assert (dataset.validation, dataset.test, dataset.unlabelled) == (None, None, None)
    assert dataset.source == f"{file} (sha256 {hashlib.sha256(file.read_bytes()).hexdigest()})"
    assert dataset.licence.startswith("not stated: ")


@pytest.mark.parametrize(("data", "message"), [
    (b"text,label\nx,1\n", ": has no column 'review' (columns: text, label)"),
    (b"review,labels\nx,1\n", ": has no column 'label'; did you mean 'labels'? (columns: review, labels)"),
    (b"review,label\nx,1\ny,2\n", ":3: the label is '2', neither 0 (negative) nor 1 (positive)"),
    (b"review,label\nx,\n", ":2: the label is '', neither 0 (negative) nor 1 (positive)"),
    (b"review,label\nx,1\n", ": has 1 rows, not 62,155; set dataset.rows=0 if that is meant"),
    (b"review,label\n", ": has a header (review, label) but no rows"),
    (PERMISSION_PAGE.encode(), ": is a web page, not a CSV file: the file is not open to everyone, or not any more"),
])  # fmt: skip
def test_a_file_that_is_not_the_reviews_is_refused_with_the_reason(data: bytes, message: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, data) == message


def test_a_file_of_another_digest_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = reviews_csv(4)
    found = hashlib.sha256(data).hexdigest()
    assert refusal(tmp_path, data, rows=0, sha256="0" * 64) == (
        f": has the sha256 {found}, not {'0' * 64}; fetch it again, or correct dataset.sha256"
    )
    assert (tmp_path / "mine.csv").read_bytes() == data


def test_what_is_wrong_with_the_options_is_found_before_anything_runs(tmp_path: Path) -> None:
    missing = tmp_path / "no.csv"
    assert problems() == []
    assert problems(path=missing, url="https://example.org/imdb.csv") == [
        Problem("give either a path or a url, not both", ("url",)),
        Problem(f"'{missing}': no such file", ("path",)),
    ]
    assert problems(path=tmp_path) == [Problem(f"'{tmp_path}': is a folder, not a file", ("path",))]
    for url in ("https://[::1/imdb.csv", "https://me:secret@example.org/imdb.csv", "https://example.org:x/imdb.csv"):
        assert problems(url=url) == [Problem(f"'{url}' is no address to download from", ("url",))]


def test_gdown_is_asked_for_only_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.csv").write_bytes(reviews_csv(4))
    monkeypatch.setitem(sys.modules, "gdown", None)
    assert problems(path=tmp_path / "mine.csv") == []
    assert problems(url="https://example.org/imdb.csv") == []
    assert problems() == [
        Problem(
            "dataset 'imdb' needs gdown, which is not installed: pip install 'gdown>=6.4', "
            "or give the file as `path`, or a mirror as `url`",
            exit_code=5,
        )
    ]


def test_a_gdown_that_cannot_be_cancelled_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "gdown-6.3.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gdown\nVersion: 6.3.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert problems() == [
        Problem(
            "dataset 'imdb' needs gdown>=6.4, but gdown 6.3.0 is installed: pip install 'gdown>=6.4', "
            "or give the file as `path`, or a mirror as `url`",
            exit_code=5,
        )
    ]


@pytest.mark.parametrize("options", [
    {"file_id": "../../etc/passwd"}, {"url": "http://example.org/imdb.csv"}, {"url": "file:///etc/passwd"},
    {"rows": -1}, {"sha256": "ABC"}, {"timeout": 0}, {"deadline": float("inf")}, {"tries": 0}, {"tries": True},
])  # fmt: skip
def test_options_out_of_bounds_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ImdbOptions(**options)


def test_every_option_is_described() -> None:
    assert [name for name, field in ImdbOptions.model_fields.items() if not field.description] == []


def test_the_recipes_are_offered() -> None:
    assert sorted(entry.name for entry in textclf_imdb.textclf_recipes().iterdir()) == [
        "imdb_bert.yaml", "imdb_bert_adapted.yaml", "imdb_gpt2.yaml", "imdb_notebook.yaml", "imdb_tfidf.yaml",
    ]  # fmt: skip
