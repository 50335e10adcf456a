"""Options and files that the check refuses before a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import textclf_files
from textclf_files.options import FilesOptions


def problems(**options) -> list[tuple[tuple[str | int, ...], str, int]]:
    (component,) = textclf_files.textclf_datasets()
    found = component.check(FilesOptions.model_validate_json(json.dumps(options)))
    return [(problem.path, problem.message, problem.exit_code) for problem in found]


@pytest.fixture(autouse=True)
def _a_file() -> None:
    Path("a.csv").write_text("review,label,key\nfine,1,a\nbad,0,b\n")


def test_nothing_is_wrong_with_a_plain_file():
    assert problems(path="a.csv") == []
    assert problems(train="a.csv", test="a.csv", id="key") == []


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({}, (), "there is no data; set `path: FILE`, or `train: FILE` for files that are split already"),
        ({"path": "a.csv", "train": "a.csv"}, ("train",), "set either path or train, not both"),
        ({"path": "a.csv", "test": "a.csv"}, ("test",),
         "with a test file the training rows are set by train, not path"),
        ({"path": "a.csv", "label": "label", "labels": ["key"]}, ("labels",),
         "set either label (one for each text) or labels (several), not both"),
        ({"path": "a.csv", "labels": ["key"], "positive": "a"}, ("positive",),
         "a multi-label task has no positive label"),
    ],
)  # fmt: skip
def test_options_that_clash_are_named(options, path, message):
    assert problems(**options) == [(path, message, 2)]


def test_a_missing_file_and_a_folder_are_named_before_anything_runs():
    """R17: a file named by an option that is not there, or is none."""
    Path("folder").mkdir()
    assert problems(train="a.csv", test="b.csv", validation="folder") == [
        (("validation",), "'folder': is a folder, not a file", 2),
        (("test",), "'b.csv': no such file", 2),
    ]


def test_a_misspelt_column_is_named_with_the_one_meant():
    """D02: a missing or nearly named column; all of them at once."""
    assert problems(path="a.csv", text="reveiw", label="labels", group="house") == [
        (("text", 0), "a.csv: there is no column 'reveiw'; did you mean 'review'? "
         "(columns: 'review', 'label', 'key')", 2),
        (("label",), "a.csv: there is no column 'labels'; did you mean 'label'? "
         "(columns: 'review', 'label', 'key')", 2),
        (("group",), "a.csv: there is no column 'house' (columns: 'review', 'label', 'key')", 2),
    ]  # fmt: skip


def test_columns_without_usual_names_must_be_set():
    """D02: no guess where there is doubt."""
    Path("b.csv").write_text("text,review,class,words\na,b,c,d\n")
    Path("c.csv").write_text("one,two,three\na,b,c\n")
    assert problems(path="b.csv") == [
        (("text",), "b.csv: the column of the text may be 'text' or 'review'; set `text: COLUMN` "
         "(columns: 'text', 'review', 'class', 'words')", 2),
    ]  # fmt: skip
    assert problems(path="c.csv") == [
        (("text",), "c.csv: the column of the text has none of the usual names; set `text: COLUMN` "
         "(columns: 'one', 'two', 'three')", 2),
        (("label",), "c.csv: the column of the label has none of the usual names; set `label: COLUMN` "
         "(columns: 'one', 'two', 'three')", 2),
    ]  # fmt: skip


def test_a_file_with_another_delimiter_is_recognised():
    """D02: one column that holds semicolons."""
    Path("b.csv").write_text("text;label\na;b\n")
    assert problems(path="b.csv", text="text", label="label")[0] == (
        ("text", 0), "b.csv: there is no column 'text' "
        "(columns: 'text;label'; is `delimiter: \";\"` meant?)", 2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.csv: is empty; the first row must name the columns"),
        ("größe,label\n".encode("cp1252"),
         "a.csv:1: byte 2 of the file (0xF6) is no utf-8; it looks like cp1252: set `encoding: cp1252`"),
    ],
)  # fmt: skip
def test_a_file_whose_header_cannot_be_read_is_a_problem_of_the_data(content, message):
    """D01, D05: found in the plan already, with the exit code of data."""
    Path("a.csv").write_bytes(content)
    assert problems(path="a.csv") == [(("path",), message, 3)]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/a.csv", "'http://example.org/a.csv' is no https URL; only https is downloaded"),
        ("file:///etc/passwd", "'file:///etc/passwd' is no https URL; only https is downloaded"),
        ("https://", "'https://' names no host"),
        ("https://me:secret@example.org/a.csv",
         "a URL with a user name or password would be written into run folders; use one without"),
        ("https://example.org/data",
         "'https://example.org/data' does not show the format; set `format: csv`, tsv, jsonl or parquet"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_named_without_opening_a_socket(url, message):
    assert problems(path=url) == [(("path",), message, 2)]


def test_a_url_is_checked_without_a_download():
    assert problems(path="https://unreachable.invalid/a.csv") == []
