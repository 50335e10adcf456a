"""Reading tables: every value as it stands, every fault with its place."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import HOSTILE
from textclf import DataError, Row, read_table


def written(name: str, text: str, encoding: str = "utf-8") -> Path:
    path = Path(name)
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def rows_of(path: Path, **options) -> list[Row]:
    with read_table(path, **options) as table:
        return list(table)


def values_of(path: Path, **options) -> list[dict]:
    return [dict(row.values) for row in rows_of(path, **options)]


def fault(path: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        rows_of(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV"])
def test_a_row_knows_the_line_on_which_it_begins(name):
    path = written(name, 'text,label\n"two\nlines",x\n\nthird,y\n')
    assert [(row.number, row.place, dict(row.values)) for row in rows_of(path)] == [
        (2, f"{name}:2", {"text": "two\nlines", "label": "x"}),
        (5, f"{name}:5", {"text": "third", "label": "y"}),
    ]


def test_every_format_gives_the_same_texts():
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    written("a.csv", "text,label\nfine,1\nbad,0\n")
    written("a.tsv", "text\tlabel\nfine\t1\nbad\t0\n")
    written("a.jsonl", '{"text": "fine", "label": 1}\n\n{"label": 0, "text": "bad"}\n')
    pq.write_table(pa.table({"text": ["fine", "bad"], "label": [1, 0]}), "a.parquet")
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet"):
        packed = Path(name + ".gz")
        packed.write_bytes(gzip.compress(Path(name).read_bytes()))
        for path in (Path(name), packed):
            with read_table(path) as table:
                assert table.columns == ("text", "label")
                assert [(row.text("text"), row.text("label")) for row in table] == [("fine", "1"), ("bad", "0")]


def test_numbers_keep_their_type_in_json_and_become_text_when_asked():
    path = written("a.jsonl", '{"a": 1, "b": 1.5, "c": true, "d": null, "e": ["x"]}\n')
    (row,) = rows_of(path)
    assert row.values == {"a": 1, "b": 1.5, "c": True, "d": None, "e": ["x"]}
    assert [row.text(column) for column in "abc"] == ["1", "1.5", "true"]


@pytest.mark.parametrize(
    ("head", "format"),
    [(b"text\nx\n", "csv"), (b'{"text": "x"}\n', "jsonl"), (b'\xef\xbb\xbf{"text": "x"}', "jsonl")],
)
def test_a_stream_tells_its_format_by_its_first_bytes(head, format):
    for data in (head, gzip.compress(head)):
        stream = io.BytesIO(data)
        table = read_table(stream)
        assert (table.name, table.format) == ("stdin", format)
        assert [row.text("text") for row in table] == ["x"]
        table.close()
        assert not stream.closed


def test_a_parquet_stream_is_read_although_it_cannot_be_sought():
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["x"]}), "a.parquet")
    program = "import sys, textclf; print([row.text('text') for row in textclf.read_table(sys.stdin.buffer)])"
    data = Path("a.parquet").read_bytes()
    assert subprocess.run([sys.executable, "-c", program], input=data, capture_output=True).stdout == b"['x']\n"


def test_a_name_that_tells_no_format_is_refused_with_the_option():
    assert fault(written("a.txt", "text\nx\n")) == (
        "a.txt: the name does not tell the format (known: .csv, .tsv, .tab, .jsonl, .ndjson, .json, .parquet, .pq, "
        "each also with .gz); rename the file or say `format` (csv, tsv, jsonl, parquet)"
    )
    assert values_of(Path("a.txt"), format="csv") == [{"text": "x"}]


def test_other_delimiters_and_quotes_as_ordinary_characters():
    assert values_of(written("a.csv", "a;b\n1,5;x\n"), delimiter=";") == [{"a": "1,5", "b": "x"}]
    assert values_of(written("b.tsv", 'a\tb\n"open\tx\n'), quotes=False) == [{"a": '"open', "b": "x"}]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz"])
def test_an_empty_file_is_refused(name):
    """D01: an empty file has no columns."""
    expected = "each line must be a JSON object" if "json" in name else "the first row must name the columns"
    assert fault(written(name, "\n\n")) == f"{name}: is empty; {expected}"


def test_a_header_alone_is_a_table_without_rows_and_refused_by_whoever_needs_one():
    """D01: header only."""
    assert rows_of(written("a.csv", "text,label\n")) == []
    with read_table(Path("a.csv")) as table, pytest.raises(DataError) as caught:
        list(table.some_rows())
    assert str(caught.value) == "a.csv: has a header (text, label) but no rows"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,y,z", "3 fields where the header has 2; put texts that contain ',' in quotes"),
        ("x", "1 field where the header has 2; a field or a line end is missing"),
    ],
)
def test_a_row_of_another_width_than_the_header_never_shifts_columns(row, message):
    """D03: too many or too few fields."""
    assert fault(written("a.csv", f"text,label\ngood,1\n{row}\nbad,0\n")) == f"a.csv:3: {message}"


def test_an_unclosed_quote_is_named_by_the_row_where_it_begins():
    """D04: an unclosed quote."""
    assert fault(written("a.csv", 'text,label\ngood,1\n"bad,0\nfine,1\n')) == (
        "a.csv:3: a quote is opened in the row that begins here and never closed; close it, or set `quotes: false` "
        "where quotes are ordinary characters"
    )
    assert fault(written("b.csv", 'text\n"a" b\n')) == (
        'b.csv:2: text follows a closing quote; a quote inside a quoted field is written twice ("")'
    )


def test_a_wrong_byte_is_named_with_its_offset_and_the_option_that_mends_it():
    """D05: wrong encoding, far from the beginning."""
    text = "text,label\n" + "good,1\n" * 50_000 + "café,1\n"
    path = written("a.csv", text, "cp1252")
    offset = text.index("é")
    assert fault(path) == (
        f"a.csv:50002: byte {offset} of the file (0xE9) is no utf-8; it looks like cp1252: set `encoding: cp1252`"
    )
    assert values_of(path, encoding="cp1252")[-1] == {"text": "café", "label": "1"}


def test_a_foreign_script_in_an_old_encoding_is_not_taken_for_western():
    """D05: where no guess is safe, none is made."""
    assert fault(written("a.csv", "text\nпривет мир\n", "cp1251")) == (
        "a.csv:2: byte 5 of the file (0xEF) is no utf-8; set `encoding` to that of the program that wrote it, for "
        "example cp1251, gb18030 or shift_jis"
    )


def test_utf_16_is_named_and_read_when_it_is_set():
    """D05: UTF-16 with its byte order mark."""
    path = written("a.csv", "text\nfine\n", "utf-16")
    assert fault(path) == "a.csv: is written in UTF-16, not in UTF-8; set `encoding: utf-16`"
    assert values_of(path, encoding="utf-16") == [{"text": "fine"}]


def test_an_unknown_encoding_is_refused():
    assert fault(written("a.csv", "text\nx\n"), encoding="klingon") == (
        "a.csv: no encoding is called 'klingon' (for example: utf-8, cp1252, utf-16)"
    )


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    """D05: UTF-8 with a mark is fine."""
    for name, text in (("a.csv", "text\nx\n"), ("a.jsonl", '{"text": "x"}\n')):
        Path(name).write_bytes(codecs.BOM_UTF8 + text.encode())
        assert values_of(Path(name)) == [{"text": "x"}]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_texts_that_look_like_nothing_stay_texts(suffix):
    """D06, D11: "NA", "null", "nan", NUL, marks, emoji and the rest of the naughty strings."""
    path = Path(f"a.{suffix}")
    if suffix == "jsonl":
        path.write_text("".join(json.dumps({"text": text, "n": i}) + "\n" for i, text in enumerate(HOSTILE)))
    elif suffix == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"text": HOSTILE, "n": range(len(HOSTILE))}), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if suffix == "tsv" else ",")
            writer.writerows([["text", "n"], *([text, i] for i, text in enumerate(HOSTILE))])
    assert tuple(row.text("text") for row in rows_of(path)) == HOSTILE


def test_a_lone_surrogate_comes_through_json():
    """D11: half a character, written as an escape."""
    assert values_of(written("a.jsonl", '{"text": "\\ud83d"}\n')) == [{"text": "\ud83d"}]


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), max_size=8))
def test_reading_agrees_with_the_csv_module(rows):
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    read = [list(row.values.values()) for row in read_table(io.BytesIO(out.getvalue().encode()), format="csv")]
    assert read == rows


@pytest.mark.parametrize("header", ["text,,label", "text, ,label"])
def test_a_column_without_a_name_is_refused(header):
    assert fault(written("a.csv", f"{header}\n")) == (
        "a.csv:1: column 2 has no name; the first row must name every column"
    )


def test_a_column_name_given_twice_is_refused():
    assert fault(written("a.csv", "text,label,text\n")) == "a.csv:1: columns 1 and 3 are both called 'text'; rename one"


def test_a_text_of_ten_megabytes_is_read():
    """D12: one very long text."""
    long = "word " * 2_000_000
    assert values_of(written("a.csv", f'text\n"{long}"\n')) == [{"text": long}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "x"', "13: is no JSON: expecting ',' delimiter; each line must be one JSON object"),
        ('{"text": NaN}', " NaN is no JSON; write null or leave the key out"),
        ("[1]", ' each line must be a JSON object such as {"text": "..."}, not a list'),
        ('{"a": 1, "a": 2}', " the key 'a' is given twice"),
        ('{"a": ' + "[" * 100_000 + "}", " is nested too deeply"),
    ],
)
def test_a_bad_line_of_json_is_named(line, message):
    """D13: bad JSON, NaN, no object, a key given twice."""
    assert fault(written("a.jsonl", '{"text": "fine"}\n' + line + "\n")) == f"a.jsonl:2:{message}"


def test_a_json_array_is_told_from_json_lines():
    """D13: the usual mistake."""
    assert fault(written("a.json", '[\n  {"text": "x"}\n]\n')) == (
        "a.json:1: is one JSON array over several lines; write one object a line (JSONL)"
    )


def test_a_missing_key_a_null_and_a_nested_value_are_no_texts():
    """D13: missing key, null, nested text, with the line."""
    (row,) = rows_of(written("a.jsonl", '{"text": null, "labels": ["x"], "more": {"a": 1}}\n'))
    messages = []
    for column in ("texts", "text", "labels", "more"):
        with pytest.raises(DataError) as caught:
            row.text(column)
        messages.append(str(caught.value))
    assert messages == [
        "a.jsonl:1: has no 'texts'; did you mean 'text'? (it has: text, labels, more)",
        "a.jsonl:1: 'text' is null, not a text; write an empty text or leave the row out",
        "a.jsonl:1: 'labels' is a list, not a text; put a single text into each row",
        "a.jsonl:1: 'more' is an object, not a text; put a single text into each row",
    ]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PK\x03\x04", "a ZIP archive or an Excel workbook, not a text file; save it as CSV"),
        (b"PAR1", "Parquet, not a text file; say `format: parquet`"),
    ],
)
def test_a_file_of_another_kind_is_recognised(head, kind):
    """D15: wrong magic."""
    Path("a.csv").write_bytes(head + bytes(range(256)))
    assert fault(Path("a.csv")) == f"a.csv: is {kind}"


def test_what_is_no_file_is_refused():
    Path("folder.csv").mkdir()
    assert fault(Path("folder.csv")) == "folder.csv: is a folder, not a file"
    assert fault(Path("missing.csv")) == "missing.csv: no such file"
