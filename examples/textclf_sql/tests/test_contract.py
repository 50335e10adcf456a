"""The contract of textclf, a case for each clause."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import textclf_sql
from databases import options, write_database

from textclf.testing import contract

FOLDER = TemporaryDirectory()  # options are fixed before the first test runs, and the database with them
DATABASE = write_database(Path(FOLDER.name) / "tickets.db")
CHOICES = {
    "every column named": options(DATABASE),
    "no ids, no groups, and labels by name": options(
        DATABASE, id=None, group=None, text=["customer", "text"], label_names={"0": "login", "1": "billing"}
    ),
}
CASES = {
    f"{case} ({choice})": case
    for choice, values in CHOICES.items()
    for case in contract(textclf_sql, options={"sql": values})
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_contract(case):
    case.check()
