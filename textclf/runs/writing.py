"""Owns what a run says of each text of the test split, as files: predictions.csv and scores.npy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..data.predictions import Predictions, named, shortest
from ..files import disk_errors, write_file
from ..tables.writer import write_table

PREDICTIONS, SCORES = "predictions.csv", "scores.npy"


def write_predictions(folder: Path, predictions: Predictions, *, texts: bool) -> None:
    """Write predictions.csv (id, label, predicted, score, one score a label, the texts) and scores.npy."""
    import numpy as np

    labels = predictions.labels
    columns = ["id", "label", "predicted", "score", *(f"score_{name}" for name in labels.names)]
    second, groups = predictions.texts.second, predictions.groups
    columns += [] if groups is None else ["group"]
    if texts:
        columns += ["text"] if second is None else ["text", "pair"]
    truth, decided = named(predictions.truth, labels), named(predictions.predicted, labels)
    with disk_errors(folder / PREDICTIONS), write_table(folder / PREDICTIONS, columns) as write:
        for row, scores in enumerate(predictions.scores):
            best: Any = None if labels.task == "multi-label" else shortest(_decided_score(predictions, row))
            values = [predictions.ids[row], _cell(truth[row]), _cell(decided[row]), best, *map(shortest, scores)]
            values += [] if groups is None else [groups[row]]
            if texts:
                values.append(predictions.texts.first[row])
                values += [] if second is None else [second[row]]
            write(values)

    def save(part: Path) -> None:
        with part.open("wb") as file:
            np.save(file, predictions.scores, allow_pickle=False)

    write_file(folder / SCORES, save)


def _decided_score(predictions: Predictions, row: int) -> Any:
    column, scores = predictions.predicted[row], predictions.scores[row]
    return scores.max() if column < 0 else scores[column]


def _cell(names: str | list[str]) -> str:
    """Write several labels as JSON, since a label may hold any separator."""
    return names if isinstance(names, str) else json.dumps(names, ensure_ascii=False)
