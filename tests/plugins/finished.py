"""Finished runs for outputs to write of: predictions made here, their report made by textclf itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textclf import Finished, Labels, Predictions, Report, Texts
from textclf.evaluation import evaluate
from textclf.testing.toy import ToyAccuracy

RECIPE = {"name": "made", "trainer": {"use": "toy_linear", "epochs": 2}, "report": {"texts": True}}


def predictions(
    size: int = 240, names: Sequence[str] = ("bad", "good"), *, seed: int = 0, texts: Sequence[str] = (),
    pairs: bool = False, abstain_below: float = 0.0,
) -> Predictions:  # fmt: skip
    """Return single-label predictions that are right as often as their scores say."""
    generator = np.random.default_rng(seed)
    scores = generator.dirichlet(np.full(len(names), 0.5), size).astype(np.float32)
    truth = np.array([generator.choice(len(names), p=row / row.sum()) for row in scores.astype(np.float64)], np.int64)
    predicted = scores.argmax(axis=1).astype(np.int64)
    predicted[scores.max(axis=1) < abstain_below] = -1
    first = [*texts, *(f"text {row}" + " word" * int(generator.integers(40)) for row in range(len(texts), size))]
    second = [f"pair {row}" for row in range(size)] if pairs else None
    given = Texts(first[:size], second)
    return Predictions(Labels(tuple(names)), truth, predicted, scores, given, [f"id{row}" for row in range(size)])


def several(size: int = 240, names: Sequence[str] = ("art", "law", "war"), seed: int = 0) -> Predictions:
    """Return multi-label predictions whose scores are calibrated."""
    generator = np.random.default_rng(seed)
    scores = generator.beta(0.6, 0.9, (size, len(names))).astype(np.float32)
    truth = generator.random(scores.shape) < scores
    texts = Texts([f"text {row}" + " word" * (row % 30) for row in range(size)])
    ids = [str(row) for row in range(size)]
    return Predictions(Labels(tuple(names), "multi-label"), truth, scores >= 0.5, scores, texts, ids)


def finished(
    predicted: Predictions, *, epochs: int = 3, recipe: Mapping[str, Any] = RECIPE, name: str = "made", **rest: Any
) -> Finished:
    judged = evaluate.evaluate(predicted, {"toy_accuracy": ToyAccuracy()}, predicted.truth, 100)
    report: Report = evaluate.report(name, judged, {"train": 900, "test": len(predicted)}, gates={}, **rest)
    history = [
        {"event": "EpochFinished", "time": 0.0, "epoch": n, "epochs": epochs, "step": 10 * n, "loss": 1 / n,
         "validation": {"accuracy": 0.5 + 0.1 * min(n, 4 - n), "log_loss": 0.7 - 0.1 * min(n, 4 - n)}, "best": n <= 2}
        for n in range(1, epochs + 1)
    ]  # fmt: skip
    return Finished(report, predicted, history, None, recipe)
