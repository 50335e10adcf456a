"""What bad input and bad luck get: every clause by its id, and which of them have a test that carries the id."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

FAULTS: dict[str, str] = {
    # Recipes
    "R01": "a misspelt key, option, component or metric is named with the one meant, at its position",
    "R02": "a key given twice is refused with both lines",
    "R03": "a tab or an unclosed bracket is shown in its source line",
    "R04": "an empty file, a list, a single value or two documents are no recipe",
    "R05": "tags are refused and run nothing",
    "R06": "aliases that multiply or bite their tail are refused",
    "R07": "too deep, too large, or a number too long",
    "R08": "infinite, negative, zero, quoted or truth values where a number is asked; bare 2e-5 is a number",
    "R09": "a component that looks like a path to code is not imported",
    "R10": "a run name that could not name a folder, or would name another",
    "R11": "other encodings are refused with the byte; a byte-order mark and CRLF are read",
    "R12": "a folder, a pipe, an endless device, nothing at all, or no permission",
    "R13": "a version of recipes that is not known",
    "R14": "an override that is malformed or leads nowhere, named by its flag",
    "R15": "a component of a broken plugin, or of a library that is absent",
    "R16": "steps that do not fit each other, the task, pairs, or the lack of validation",
    "R17": "an option that names a file, column or folder that is not there",
    # Data
    "D01": "an empty file, or nothing but the header",
    "D02": "a column that is missing or nearly named",
    "D03": "rows with too few or too many fields never shift a column",
    "D04": "a quote that is never closed",
    "D05": "a wrong encoding, with the byte, a guess and the option that mends it",
    "D06": "the texts NA, null, None and nan stay texts",
    "D07": "empty texts are counted, and kept, dropped or refused",
    "D08": "labels that look alike stay apart",
    "D09": "one class only",
    "D10": "a class with one text, or only in test",
    "D11": "hostile characters pass through training, prediction and report",
    "D12": "one text of 10 MB",
    "D13": "lines that are not JSON, or not of the expected form",
    "D14": "an endless line or a compressed bomb stays within bounded memory",
    "D15": "a Parquet file that is cut, or none at all",
    "D16": "texts on both sides of a split that was given",
    "D17": "a file that changes while it is read",
    "D18": "rows without a label are refused, or taken as unlabelled when asked",
    # Downloads
    "W01": "no network: a few tries, then how to fetch by hand",
    "W02": "Drive's quota, permission and virus-scan pages are recognised and never cached",
    "W03": "silence before or during the body ends in a time-out",
    "W04": "a cut connection is mended",
    "W05": "the right size with a wrong digest is removed",
    "W06": "a body without end is capped",
    "W07": "names and paths that a server gives are ignored",
    "W08": "a redirect to a file or a private address is refused",
    "W09": "two processes fetch one file once",
    "W10": "killed in the middle, the next run is sound",
    "W11": "a full disk leaves nothing behind",
    "W12": "offline with a cold cache ends at once, without a socket",
    "W13": "a damaged cache is fetched again",
    # Checkpoints and models
    "C01": "killed at any write, a resumed run has the same bits",
    "C02": "a torn newest checkpoint gives way to the one before",
    "C03": "a pickle in place of tensors is not read",
    "C04": "a disk that fills while saving keeps the last good checkpoint",
    "C05": "resume after a change is refused with the differences",
    "C06": "tensors that are missing, extra, misshapen or no numbers are named",
    "C07": "labels that do not fit the head",
    "C08": "a file that differs from the manifest",
    "C09": "two processes on one run",
    "C10": "a folder that was moved, or is read-only, still predicts",
    "C11": "a manifest whose paths leave the folder",
    "C12": "a model whose plugin is missing or older",
    # Training
    "T01": "a loss that is no number stops before the step",
    "T02": "out of memory halves the micro-batch and keeps the effective one",
    "T03": "CUDA asked for where there is none",
    "T04": "Ctrl-C finishes the step and saves; twice stops now",
    "T05": "SIGTERM finishes the step and saves",
    "T06": "a disk that fills during the run leaves it resumable",
    "T07": "accumulated gradients equal those of the big batch",
    "T08": "padding, order and neighbours do not change scores",
    "T09": "the names of the labels change nothing",
    # Plugins
    "P01": "whatever a plugin raises at import is a reason, and the rest works",
    "P02": "a misspelt hook or an unknown argument",
    "P03": "one name offered twice",
    "P04": "what a component returns is checked at the border and blamed on it",
    "P05": "an observer or output that raises is a warning",
    "P06": "what a plugin prints does not break a JSON document",
    "P07": "a plugin made for another version",
    # Reports and terminal
    "X01": "markup in labels and texts is inert in the report",
    "X02": "terminal markup and escape sequences are literal or stripped",
    "X03": "a cell that begins like a formula is harmless in spreadsheets",
    "X04": "no NaN in JSON",
    "X05": "a closed pipe or a full device",
    "X06": "many classes, long labels, poor terminals, no home",
}
REQUIRED = [
    fault
    for fault in FAULTS
    if fault[0] in "RDWPCT" or "X02" <= fault <= "X06"
]


def _carried(path: Path) -> set[str]:
    """Return the ids that begin the docstrings of a file's tests: `R01: ...`, or `R01, R02: ...`."""
    tests = [
        node
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    beginnings = [(ast.get_docstring(test) or "").partition(":")[0] for test in tests]
    return {fault for words in beginnings for fault in re.findall(r"\b[RDWCTPX]\d\d\b", words)}


@pytest.fixture(scope="module")
def tested() -> set[str]:
    return set().union(*map(_carried, TESTS.rglob("test_*.py")))


@pytest.mark.parametrize("fault", REQUIRED)
def test_a_clause_that_must_hold_has_a_test_that_carries_its_id(fault, tested):
    assert fault in tested, f"no test begins its docstring with '{fault}:' ({FAULTS[fault]})"


def test_every_id_that_a_test_carries_is_known(tested):
    assert tested - set(FAULTS) == set()


def test_the_ids_are_whole():
    sizes = {letter: sum(fault[0] == letter for fault in FAULTS) for letter in "RDWCTPX"}
    assert sizes == {"R": 17, "D": 18, "W": 13, "C": 12, "T": 9, "P": 7, "X": 6}
