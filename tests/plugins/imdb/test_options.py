"""Options of the imdb dataset, and what the check finds before a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import textclf_imdb
from pydantic import ValidationError
from textclf_imdb import ImdbOptions

from tests.drive import reviews_csv
from textclf import Problem


def problems(**options: object) -> list[Problem]:
    (component,) = textclf_imdb.textclf_datasets()
    assert component.check is not None
    return list(component.check(ImdbOptions(**options)))


def test_options_that_are_wrong_are_found_before_a_run(tmp_path: Path) -> None:
    missing = tmp_path / "no.csv"
    assert problems() == []
    assert problems(path=missing, url="https://example.org/imdb.csv") == [
        Problem("set either path or url, not both", ("url",)),
        Problem(f"'{missing}': no such file", ("path",)),
    ]
    assert problems(path=tmp_path) == [Problem(f"'{tmp_path}': is a folder, not a file", ("path",))]
    for url in ("https://[::1/imdb.csv", "https://me:secret@example.org/imdb.csv", "https://example.org:x/imdb.csv"):
        assert problems(url=url) == [Problem(f"'{url}' is no URL to download from", ("url",))]


def test_gdown_is_required_only_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.csv").write_bytes(reviews_csv(4))
    monkeypatch.setitem(sys.modules, "gdown", None)
    assert problems(path=tmp_path / "mine.csv") == []
    assert problems(url="https://example.org/imdb.csv") == []
    assert problems() == [
        Problem(
            "dataset 'imdb' needs gdown, which is not installed: pip install 'gdown>=6.4', "
            "or set `path` to the file, or `url` to a mirror",
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
            "or set `path` to the file, or `url` to a mirror",
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
