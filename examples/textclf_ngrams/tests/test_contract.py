"""The contract of textclf, a case for each clause."""

import pytest
import textclf_ngrams

from textclf.testing import contract

CHOICES = {
    "as it comes": {},
    "nothing learnt": {"columns": 4096, "use_idf": False, "sublinear_tf": False},
    "one size, capitals kept": {"columns": 64, "shortest": 3, "longest": 3, "lowercase": False},
}
CASES = {
    f"{case} ({choice})": case
    for choice, values in CHOICES.items()
    for case in contract(textclf_ngrams, options={"ngrams": values})
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_contract(case):
    case.check()
