"""textclf's side of a scoring comparison: a saved classifier streams texts, in float32 or `fast` (see talking.py)."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import texts
from talking import Driver

from textclf import Engine, Texts
from textclf.plugin.context import RunContext


def lengths(classifier: Any, every: list[str]) -> list[int]:
    """Return the tokens that the network sees of each text."""
    with TemporaryDirectory() as work:
        context = RunContext(0, Path(work), lambda event: None, offline=True)
        tokens = classifier.encoder.encode(Texts(every), context)
    return [int(length) for length in classifier.encoder.lengths(tokens)]


def score(classifier: Any, wanted: list[str], fast: bool) -> dict[str, Any]:
    began = time.perf_counter()
    found = list(classifier.stream(wanted, fast=True) if fast else classifier.stream(wanted))
    seconds = time.perf_counter() - began
    margins = []
    for one in found:
        best, second = sorted(one.scores.values())[::-1][:2]
        margins.append(best - second)
    return {"seconds": seconds, "labels": [one.label for one in found], "margins": margins}


def main() -> None:
    driver = Driver()
    classifier, every, fast = None, list[str](), False
    while True:
        heard = driver.hear()
        if heard["do"] == "load":
            classifier, fast = Engine(offline=True).load(heard["model"]), heard["settings"]["fast"]
            every = texts.read(Path(heard["data"]))["test"].texts
            driver.tell({"lengths": lengths(classifier, every)})
        else:
            driver.tell(score(classifier, every[heard["first"] : heard["first"] + heard["count"]], fast))


if __name__ == "__main__":
    main()
