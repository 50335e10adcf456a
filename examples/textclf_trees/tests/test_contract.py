"""The contract of textclf, a case for each clause."""

import pytest
import textclf_trees

from textclf.testing import contract

CHOICES = {
    "as it comes": {},
    "with patience": {"patience": 40},
    "few columns, big steps": {"share": 0.2, "rate": 0.3, "rounds": 60, "leaves": 4, "checkpoint_every": 1},
}
CASES = {
    f"{case} ({choice})": case
    for choice, values in CHOICES.items()
    for case in contract(textclf_trees, options={"trees": values})
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_contract(case):
    case.check()
