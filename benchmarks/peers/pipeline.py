"""The peer of scoring: `transformers.pipeline` on a model folder that textclf saved, driven in blocks (talking.py)."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
sys.path.insert(0, str(Path(__file__).parents[1]))

import texts
import torch
from talking import Driver
from transformers import pipeline


def load(asked: dict[str, Any]) -> Any:
    given = asked["settings"]
    torch.set_float32_matmul_precision(given.get("matmul", "highest"))
    if given.get("threads"):
        torch.set_num_threads(given["threads"])
    more: dict[str, Any] = {"dtype": torch.bfloat16} if given.get("bf16") else {}
    if given.get("batch_size"):
        more["batch_size"] = given["batch_size"]
    return pipeline("text-classification", model=asked["model"], device=asked["device"], **more)


def score(scorer: Any, given: dict[str, Any], wanted: list[str]) -> list[Any]:
    """Return what the pipeline says of the texts, in their order; sorting counts."""
    order = sorted(range(len(wanted)), key=lambda row: len(wanted[row])) if given.get("sorted") else range(len(wanted))
    said = scorer([wanted[row] for row in order], truncation=True, max_length=512)
    found: list[Any] = [None] * len(wanted)
    for row, answer in zip(order, said, strict=True):
        found[row] = answer["label"]
    return found


def main() -> None:
    driver = Driver()
    scorer, asked, every = None, {}, list[str]()
    while True:
        heard = driver.hear()
        if heard["do"] == "load":
            asked, scorer = heard, load(heard)
            every = texts.read(Path(heard["data"]))["test"].texts
            driver.tell({"ready": True})
            continue
        wanted = every[heard["first"] : heard["first"] + heard["count"]]
        began = time.perf_counter()
        labels = score(scorer, asked["settings"], wanted)
        driver.tell({"seconds": time.perf_counter() - began, "labels": labels})


if __name__ == "__main__":
    main()
