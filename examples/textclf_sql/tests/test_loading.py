"""What the rows of a query become, and what is said of rows that cannot be read."""

import json
import sqlite3
import tracemalloc
from contextlib import closing

import pytest
from databases import ROWS, options, write_database
from textclf_sql import SqlOptions
from textclf_sql.dataset import SqlDataset

from textclf import DataError
from textclf.testing import LocalContext


def load(path, **changes):
    values = SqlOptions.model_validate_json(json.dumps(options(path, **changes)))
    return SqlDataset(values).load(LocalContext(path.parent))


def refusal(path, rows, **changes):
    write_database(path, rows)
    with pytest.raises(DataError) as error:
        load(path, **changes)
    return str(error.value).removeprefix(f"{path}: ")


def test_rows_become_texts_labels_ids_and_groups_in_the_order_of_the_query(database):
    dataset = load(database, query="SELECT * FROM tickets WHERE team < 2 ORDER BY ticket DESC;")
    assert list(dataset.train.texts.first) == [text for _, _, text, _ in reversed(ROWS)]
    assert list(dataset.train.ids) == [ticket for ticket, *_ in reversed(ROWS)]
    assert list(dataset.train.groups) == [customer for _, customer, *_ in reversed(ROWS)]
    assert dataset.labels.names == ("0", "1")
    assert dataset.train.labels.tolist() == [team for *_, team in reversed(ROWS)]
    assert dataset.source == str(database)


def test_without_columns_for_them_ids_are_row_numbers_and_there_are_no_groups(database):
    train = load(database, id=None, group=None).train
    assert list(train.ids) == [str(number) for number in range(1, 13)]
    assert train.groups is None


def test_labels_get_their_names_in_the_order_in_which_they_are_named(database):
    dataset = load(database, label_names={"1": "billing", "0": "login", "2": "technical"})
    assert dataset.labels.names == ("billing", "login")
    assert dataset.train.labels.tolist() == [1 - team for *_, team in ROWS]


def test_two_values_may_have_one_name(database):
    dataset = load(database, query="SELECT ticket, customer, text, ticket AS team FROM tickets",
                   label_names={ticket: "late" if ticket > "T-05" else "early" for ticket, *_ in ROWS})  # fmt: skip
    assert dataset.labels.names == ("early", "late")
    assert dataset.train.labels.tolist() == [0] * 6 + [1] * 6


def test_a_label_that_has_no_name_is_an_error_with_its_row(database):
    with pytest.raises(DataError) as error:
        load(database, label_names={"0": "login"})
    assert str(error.value) == (
        f"{database}: row 2 of the query: the label '1' is not among label_names ('0'); add it there"
    )


def test_several_columns_are_joined_and_empty_ones_left_out(tmp_path):
    path = write_database(tmp_path / "two.db", [("a", "c", "body", 0), ("", "c", "more", 1)])
    dataset = load(path, text=["ticket", "text"], id=None)
    assert sorted(dataset.train.texts.first) == ["a\nbody", "more"]


@pytest.mark.parametrize("text", ["NULL", "null", "nan", "", "\x00", "'; DROP TABLE tickets; --", "👩‍👩‍👧"])
def test_hostile_texts_stay_as_they_are(tmp_path, text):
    """D06, D11: nothing is interpreted."""
    path = write_database(tmp_path / "hostile.db", [("1", "c", text, 0), ("2", "c", "other", 1)])
    assert load(path).train.texts.first[0] == text


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("1", "c", None, 0), "'text' is NULL; leave such rows out with WHERE text IS NOT NULL"),
        (("1", "c", 7, 0), "'text' is a whole number, not a text; say CAST(text AS TEXT) if it is meant as one"),
        (("1", "c", b"x", 0), "'text' is a blob, not a text; say CAST(text AS TEXT) if it is meant as one"),
        (("1", "c", "x", None), "'team' is NULL; leave such rows out with WHERE team IS NOT NULL"),
        (("1", "c", "x", 0.5), "'team' is a number, not a text; say CAST(team AS TEXT) if it is meant as one"),
        (("1", "c", "x", " "), "'team' is empty; fill it, or leave such rows out with WHERE"),
        ((None, "c", "x", 0), "'ticket' is NULL; leave such rows out with WHERE ticket IS NOT NULL"),
        (("1", None, "x", 0), "'customer' is NULL; leave such rows out with WHERE customer IS NOT NULL"),
        (("0", "c", "x", 0), "the id '0' was already given in row 1; make ids unique"),
    ],
)
def test_a_row_that_cannot_be_read_is_an_error_with_its_number(tmp_path, row, said):
    rows = [("0", "c", "fine", 0), row]
    query = "SELECT ticket, customer, text, team FROM tickets ORDER BY rowid"
    assert refusal(tmp_path / "x.db", rows, query=query) == f"row 2 of the query: {said}"


def test_text_that_is_no_utf8_is_an_error_with_its_row(tmp_path):
    path = write_database(tmp_path / "latin.db", [("1", "c", "x", 0)])
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO tickets SELECT '2', 'c', CAST(x'66fc' AS TEXT), 1")
        database.commit()
    with pytest.raises(DataError, match=r"row 2 of the query cannot be read: Could not decode to UTF-8 column 'text'"):
        load(path)


def test_a_query_without_rows_is_an_error(tmp_path):
    assert refusal(tmp_path / "none.db", []) == "the query gives no rows; look at its WHERE"


def test_ids_and_groups_that_are_whole_numbers_become_texts(tmp_path):
    path = write_database(tmp_path / "n.db", [(7, 1, "x", 0), (8, 2, "y", 1)])
    assert (list(load(path).train.ids), list(load(path).train.groups)) == (["7", "8"], ["1", "2"])


def test_a_big_result_is_in_memory_once(tmp_path):
    rows = [(str(n), "c", f"{n:08}" * 125, n % 2) for n in range(20_000)]
    path = write_database(tmp_path / "big.db", rows)
    kept = sum(len(text) for _, _, text, _ in rows)
    del rows
    load(path)  # imports what it needs
    tracemalloc.start()
    try:
        dataset = load(path, id=None, group=None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(dataset.train) == 20_000
    assert kept < peak < 1.35 * kept
