"""Tables that are torn, endless, or change while they are read: refused, within a memory bound."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from textclf import DataError, read_table


def written(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    return path


def fault(path: Path, **options) -> str:
    with pytest.raises(DataError) as caught, read_table(path, **options) as table:
        list(table)
    return str(caught.value)


BOUNDED = """
import resource, sys, textclf
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (700 * 2**20, 700 * 2**20))
try:
    with textclf.read_table(Path(sys.argv[1]), format="csv") as table:
        for row in table: pass
except textclf.DataError as error:
    print(error)
"""


def bounded(path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", BOUNDED, str(path)], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_line_of_a_gigabyte_is_refused_within_a_memory_bound():
    """D14: a line without end, and the same unpacked from a small file; under 700 MB of address space."""
    with Path("long.csv").open("wb") as file:
        file.write(b"text\n")
        file.truncate(10**9)  # zeros that take no space
    assert bounded(Path("long.csv")) == "long.csv:2: a line longer than 64 MiB is no row of a table"


def test_a_gzip_bomb_is_refused_within_a_memory_bound():
    """D14: a bomb of one line, and one of very many."""
    for name, chunk in (("a.csv.gz", b"x" * 2**20), ("b.csv.gz", (b"words " * 200 + b"\n") * 900)):
        with gzip.open(name, "wb") as file:
            file.write(b"text\n")
            for _ in range(20):
                file.write(chunk)
        assert bounded(Path(name)) == (
            f"{name}: unpacks to more than 200 times its size, which no file of texts does; "
            "unpack it yourself if it is meant so"
        )


def test_a_quoted_field_without_end_is_bounded_too():
    """D14: many short lines inside one quote."""
    assert fault(written("a.csv", 'text\n"open\n' + "line\n" * 1000), limit=1000) == (
        "a.csv:2: the row that begins here is too long; is a quote never closed?"
    )


def test_torn_gzip_data_are_refused():
    """D15: packed data cut off, or changed."""
    packed = gzip.compress(b"text\n" + os.urandom(5000).hex().encode() + b"\n")
    Path("cut.csv.gz").write_bytes(packed[:-100])
    Path("bad.csv.gz").write_bytes(packed[:2000] + b"\xff" * 50 + packed[2050:])
    assert fault(Path("cut.csv.gz")) == "cut.csv.gz: the gzip data is cut off; fetch or pack the file again"
    assert fault(Path("bad.csv.gz")).startswith("bad.csv.gz: the gzip data is damaged (")


def test_torn_parquet_is_refused():
    """D15: Parquet cut off, of another format, or changed inside."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": [os.urandom(500).hex() for _ in range(100)]}), "a.parquet", compression="zstd")
    whole = Path("a.parquet").read_bytes()
    Path("cut.parquet").write_bytes(whole[: len(whole) // 2])
    Path("other.parquet").write_bytes(b"text,label\nfine,1\n")
    Path("inside.parquet").write_bytes(whole[:1000] + bytes(5000) + whole[6000:])
    for name in ("cut.parquet", "other.parquet"):
        assert fault(Path(name)).startswith(f"{name}: is no whole Parquet file (")
    assert fault(Path("inside.parquet")).startswith("inside.parquet: the Parquet data behind row 0 is damaged (")


@pytest.mark.parametrize("change", ["append", "replace", "remove"])
def test_a_file_that_changes_while_it_is_read_is_refused(change):
    """D17: appended to, replaced by another, removed."""
    path = written("a.csv", "text\n" + "fine\n" * 10)
    with read_table(path) as table:
        rows = iter(table)
        next(rows)
        if change == "append":
            with path.open("a") as file:
                file.write("more\n")
        elif change == "replace":
            written("b.csv", "text\n" + "evil\n" * 10).replace(path)
        else:
            path.unlink()
        with pytest.raises(DataError) as caught:
            list(rows)
    assert str(caught.value) == {
        "remove": "a.csv: was removed while it was read; run again when it is complete",
    }.get(change, "a.csv: changed while it was read; run again when nothing writes to it")
