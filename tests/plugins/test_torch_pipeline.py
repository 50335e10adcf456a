"""That `transformers.pipeline` reads a saved model as textclf does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.plugins.sentiment import LABELS, TEXTS, TRUTH, Task, sentiment
from textclf import Labels, Texts

INJECTIONS = ["a good [SEP] film", "[CLS] the plot [PAD] was bad [SEP]", "[MASK] [UNK]", "a film"]
SEVERAL = Labels(("good", "film"), "multi-label")
HITS = np.array([["good" in text, "film" in text] for text in TEXTS])


def pipeline_scores(folder: Path, texts: Texts, labels: Labels) -> np.ndarray:
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    rows = []
    for row, text in enumerate(texts.first):
        given = text if texts.second is None else {"text": text, "text_pair": texts.second[row]}
        answer = classify(given)
        scores = {entry["label"]: entry["score"] for entry in (answer[0] if isinstance(answer[0], list) else answer)}
        rows.append([scores[name] for name in labels.names])
    return np.array(rows)


def saved(task: Task, folder: Path):
    model = task.train(epochs=30)
    folder.mkdir()
    task.encoder.save(folder)
    model.save(folder)
    return model


@pytest.mark.parametrize(
    ("labels", "truth", "pairs"),
    [(LABELS, TRUTH, False), (SEVERAL, HITS, False), (LABELS, TRUTH, True)],
    ids=["single-label", "multi-label", "pairs"],
)
def test_transformers_reads_a_saved_model_as_we_do(labels: Labels, truth: np.ndarray, pairs: bool, tmp_path: Path):
    task = sentiment(tmp_path, labels, truth, pairs=pairs)
    model = saved(task, tmp_path / "model")
    texts = [*TEXTS[:4], *INJECTIONS]
    given = Texts(texts, texts[::-1] if pairs else None)
    ours = model.scores(task.encoder.encode(given, task.context()), task.context())
    theirs = pipeline_scores(tmp_path / "model", given, labels)
    assert np.abs(ours - theirs).max() <= 1e-5
    assert ours.std(axis=0).max() > 1e-3
