"""What is found wrong with a database and a query before any row is read, and that nothing can be written."""

import json
import sqlite3
import time
from contextlib import closing
from importlib.metadata import entry_points

import pytest
from databases import ROWS, options
from textclf_sql import SqlOptions, check
from textclf_sql.dataset import SqlDataset

from textclf import DataError
from textclf.testing import LocalContext

WRITING = [
    "DELETE FROM tickets",
    "INSERT INTO tickets VALUES (1, 2, 3, 4)",
    "UPDATE tickets SET text = ''",
    "DROP TABLE tickets",
    "CREATE TABLE other (a)",
    "CREATE TEMP TABLE other AS SELECT 1",
    "ATTACH 'other.db' AS other",
    "VACUUM INTO 'other.db'",
    "PRAGMA writable_schema = 1",
    "BEGIN IMMEDIATE",
    "DELETE FROM tickets RETURNING *",
    "WITH old AS (SELECT 1) DELETE FROM tickets",
]


def read(values):
    return SqlOptions.model_validate_json(json.dumps(values))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def found(path, query=None, **changes):
    values = options(path, **changes) if query is None else options(path, query, **changes)
    return [(problem.path, problem.message) for problem in check(read(values))]


def test_textclf_finds_the_plugin_by_its_entry_point():
    assert [entry.value for entry in entry_points(group="textclf", name="sql")] == ["textclf_sql"]


def test_a_sound_database_has_no_problems(database):
    assert found(database) == []


def test_a_file_that_is_not_there_or_is_a_folder_is_a_problem(tmp_path):
    assert found(tmp_path / "x.db") == [(("path",), f"'{tmp_path}/x.db': no such file")]
    assert found(tmp_path) == [(("path",), f"'{tmp_path}': is a folder, not a file")]


def test_a_file_that_is_no_database_is_a_problem(tmp_path):
    path = tmp_path / "tickets.csv"
    path.write_text("ticket,customer,text,team\n" * 200, "utf-8")
    said = f"'{path}': cannot be read as an SQLite database: file is not a database"
    assert found(path) == [(("path",), said)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT ticket FROM ticket", "no such table: ticket"),
        ("SELECT tixt FROM tickets", "no such column: tixt"),
        ("SELCT 1", 'near "SELCT": syntax error'),
        ("SELECT 1 FROM", "incomplete input"),
    ],
)
def test_a_query_that_does_not_compile_is_a_problem(database, query, said):
    assert found(database, query) == [(("query",), f"the query does not compile: {said}")]


def test_two_statements_and_placeholders_are_problems(database):
    two, open_ = "SELECT 1; DELETE FROM tickets", "SELECT * FROM tickets WHERE team = ?"
    assert found(database, two) == [(("query",), "the query is more than one statement; write one SELECT")]
    said = "the query has a placeholder such as ?, which nothing fills; write the value itself"
    assert found(database, open_) == [(("query",), said)]


@pytest.mark.parametrize("query", WRITING)
def test_a_query_that_would_write_is_refused_and_writes_nothing(database, query):
    before, beside = database.read_bytes(), names(database.parent)
    assert found(database, query) == [(("query",), "the query does more than read; write one SELECT")]
    with pytest.raises(DataError, match=r"the query does more than read; write one SELECT$"):
        SqlDataset(read(options(database, query))).load(LocalContext(database.parent))
    assert (database.read_bytes(), names(database.parent)) == (before, beside)


def test_a_misspelt_column_is_named_with_the_one_meant(database):
    known = "(it gives: 'ticket', 'customer', 'text', 'team')"
    assert found(database, text=["ticket", "txt"], label="taem", id="nothing-like-it") == [
        (("text", 1), f"the query gives no column 'txt'; did you mean 'text'? {known}"),
        (("label",), f"the query gives no column 'taem'; did you mean 'team'? {known}"),
        (("id",), f"the query gives no column 'nothing-like-it' {known}"),
    ]


def test_a_column_given_twice_is_a_problem_where_it_is_read(database):
    query = "SELECT ticket, customer, text, team, customer || '!' AS text FROM tickets"
    said = "the query gives the column 'text' twice; name one of them otherwise with AS"
    assert found(database, query) == [(("text",), said)]
    with pytest.raises(DataError, match=said):
        SqlDataset(read(options(database, query))).load(LocalContext(database.parent))


def test_a_query_may_end_in_a_semicolon_or_a_comment_and_use_json(database):
    assert found(database, "SELECT * FROM tickets; ") == []
    assert found(database, "SELECT * FROM tickets -- all") == []
    assert found(database, "SELECT ticket, customer, value AS text, team FROM tickets, json_each('[1]')") == []


def test_a_query_that_computes_for_ever_is_checked_in_about_a_second(database):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS text FROM n GROUP BY i"
    began = time.monotonic()
    found(database, f"SELECT * FROM ({endless}) ORDER BY text")
    assert time.monotonic() - began < 5


def test_full_text_search_can_be_read(tmp_path):
    path = tmp_path / "search.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE VIRTUAL TABLE tickets USING fts5 (ticket, customer, text, team)")
        made.executemany("INSERT INTO tickets VALUES (?, ?, ?, ?)", ROWS)
        made.commit()
    query = "SELECT * FROM tickets WHERE text MATCH 'refund' ORDER BY rowid"
    values = read(options(path, query, label_names={"0": "login", "1": "billing"}))
    assert list(check(values)) == []
    assert len(SqlDataset(values).load(LocalContext(tmp_path)).train) == 6
