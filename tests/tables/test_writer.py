"""Writing tables: whole or not at all, the same texts back, and nothing a spreadsheet would run."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textclf import RecipeError, ResourceError, read_table, write_table

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def write(path: Path, columns, rows, **options) -> Path:
    with write_table(path, columns, **options) as row:
        for values in rows:
            row(values)
    return path


def read(path: Path) -> list[dict]:
    with read_table(path) as table:
        return [dict(row.values) for row in table]


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl"])
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), max_size=6))
def test_what_is_written_raw_is_read_back(format, rows):
    out = io.BytesIO()
    with write_table(out, ["a", "b"], format=format, raw=True) as row:
        for values in rows:
            row(values)
    if format == "jsonl" and not rows:
        assert out.getvalue() == b""
        return
    table = read_table(io.BytesIO(out.getvalue()), format=format)
    assert [tuple(row.values.values()) for row in table] == rows


@given(texts=st.lists(TEXTS, min_size=1, max_size=6))
def test_a_single_column_loses_no_empty_text(texts):
    out = io.BytesIO()
    with write_table(out, ["text"], raw=True) as row:
        for text in texts:
            row([text])
    assert [row.text("text") for row in read_table(io.BytesIO(out.getvalue()), format="csv")] == texts


@pytest.mark.parametrize("name", ["a.csv", "a.tsv.gz", "a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_values_of_every_kind_are_written_in_every_format(name):
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    rows = [("1", "two\nlines", 0.5, 3, True, None), ("2", "", -1e-7, -4, False, "x")]
    found = read(write(Path(name), ["id", "text", "score", "n", "flag", "more"], rows))
    if name.startswith(("a.csv", "a.tsv")):
        texts = [["1", "two\nlines", "0.5", "3", "true", ""], ["2", "", "-1e-07", "-4", "false", "x"]]
        assert [list(row.values()) for row in found] == texts
    else:
        assert [tuple(row.values()) for row in found] == rows


def test_parquet_takes_more_rows_than_one_batch_and_texts_where_kinds_are_mixed():
    pytest.importorskip("pyarrow")
    rows = [(i, None if i < 2000 else "late", [1] if i == 5 else "x") for i in range(3000)]
    found = read(write(Path("a.parquet"), ["n", "late", "mixed"], rows))
    assert (len(found), found[5]["mixed"], found[-1]) == (3000, "[1]", {"n": 2999, "late": "late", "mixed": "x"})


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "=1"])
def test_what_a_spreadsheet_would_run_is_made_harmless(cell):
    """X03: a text that begins like a formula gets an apostrophe, and keeps its own beginning with `raw`."""
    for name in ("a.csv", "a.tsv"):
        assert read(write(Path(name), ["text"], [[cell]])) == [{"text": f"'{cell}"}]
        assert read(write(Path(name), ["text"], [[cell]], raw=True)) == [{"text": cell}]
    assert read(write(Path("a.jsonl"), ["text"], [[cell]])) == [{"text": cell}]


def test_a_column_name_is_made_harmless_too():
    """X03: the header is a row of cells like any other."""
    assert write(Path("a.csv"), ["=1+1", "text"], []).read_text() == "'=1+1,text\n"


@pytest.mark.parametrize("cell", ["-1", "+1.5", "-1e-7", -0.25, "'quoted", "fine"])
def test_numbers_and_other_texts_are_left_alone(cell):
    """X03: a number is no formula."""
    assert read(write(Path("a.csv"), ["text"], [[cell]])) == [{"text": str(cell)}]


def test_half_a_character_does_not_stop_the_writing():
    """D11: a lone surrogate is replaced where UTF-8 cannot hold it, and escaped in JSON."""
    assert read(write(Path("a.csv"), ["text"], [["a\ud83d"]])) == [{"text": "a\ufffd"}]
    assert read(write(Path("a.jsonl"), ["text"], [["a\ud83d"]])) == [{"text": "a\ud83d"}]


def test_numbers_that_are_none_are_null_in_json():
    """X04: NaN has no place in JSON."""
    path = write(Path("a.jsonl"), ["score"], [[float("nan")], [float("inf")]])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"score": None}] * 2


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.parquet"])
def test_a_failure_leaves_what_was_there_and_nothing_else(name):
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    path = write(Path(name), ["text"], [["old"]])
    rows = (["new" if number else 1 / number] for number in (2, 1, 0))
    with pytest.raises(ZeroDivisionError):
        write(path, ["text"], rows)
    assert [entry.name for entry in Path().iterdir()] == [name]
    assert read(path) == [{"text": "old"}]


def test_writing_follows_a_link_and_leaves_it():
    Path("real.csv").write_text("text\nold\n")
    Path("link.csv").symlink_to("real.csv")
    write(Path("link.csv"), ["text"], [["new"]])
    assert Path("link.csv").is_symlink()
    assert read(Path("real.csv")) == [{"text": "new"}]


def test_the_same_rows_make_the_same_bytes():
    first = write(Path("a.csv.gz"), ["text"], [["x"]]).read_bytes()
    os.utime("a.csv.gz", (0, 0))
    assert write(Path("a.csv.gz"), ["text"], [["x"]]).read_bytes() == first


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("a.xls", RecipeError, "a.xls: the name does not tell the format; end it with .csv, .tsv, .jsonl or .parquet"),
        ("no/a.csv", RecipeError, "cannot write no/a.csv: there is no folder 'no'; make it"),
        ("folder.csv", RecipeError, "cannot write folder.csv: is a folder; name a file"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(name, error, message):
    Path("folder.csv").mkdir()
    with pytest.raises(error) as caught:
        write(Path(name), ["text"], [["x"]])
    assert str(caught.value) == message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named():
    """X05: a device that takes nothing ends with exit code 7."""
    with pytest.raises(ResourceError) as caught:
        write(Path("/dev/full"), ["text"], [["x"]], format="csv")
    assert str(caught.value) == "the disk is full: cannot write /dev/full; free space or use another folder"
