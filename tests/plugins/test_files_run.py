"""Whole runs on the reader's own files, from recipe to predictions."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.hostile import HOSTILE
from textclf import Engine, read_table


def recipe(**dataset) -> dict:
    return {
        "version": 1, "name": "mine", "dataset": {"use": "files", **dataset}, "split": {"test": 0.5},
        "encoder": "tfidf", "trainer": "logistic", "metrics": ["accuracy"],
    }  # fmt: skip


def test_hostile_texts_come_through_training_prediction_and_report():
    """D11: NUL, lone surrogates, marks and the rest, from the file to predictions.csv."""
    texts = [*HOSTILE, "half a character \ud83d", *(f"plain text {i}" for i in range(30))]
    lines = [json.dumps({"text": text, "label": "ab"[i % 2], "key": i}) for i, text in enumerate(texts)]
    Path("a.jsonl").write_text("\n".join(lines))
    result = Engine().run(recipe(path="a.jsonl", id="key"))
    with read_table(result.folder / "predictions.csv") as table:
        written = {int(row.text("id")): row.text("text") for row in table}
    assert len(written) > 20
    for number, text in written.items():
        expected = texts[number].replace("\ud83d", "\ufffd")
        assert text == (f"'{expected}" if expected.startswith(("=", "-", "@")) and expected != "-1" else expected)
    assert len(result.classifier.predict(texts)) == len(texts)


def test_a_text_of_ten_megabytes_is_read_in_a_second():
    """D12: one very long text among short ones."""
    long = "word " * 2_000_000
    rows = "".join(f"short {i},{'ab'[i % 2]}\n" for i in range(20))
    Path("a.csv").write_text(f"text,label\n{rows}{long},a\n")
    began = time.process_time()
    with read_table(Path("a.csv")) as table:
        longest = max(len(row.text("text")) for row in table)
    assert longest == len(long)
    assert time.process_time() - began < 1
