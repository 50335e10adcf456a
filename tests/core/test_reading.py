"""What is read back of a finished run is what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.core.toys import engine, recipe
from textclf import ArtefactError
from textclf.runs.reading import read_predictions

ODD = ["=cmd|' /C calc'!A0", "'quoted", "-dash", "a,b\n\"c\"", "", "NA", "[x]"]


@pytest.mark.parametrize("changes", [{}, {"multi_label": True}, {"groups": 3}, {"pairs": True}])
def test_predictions_are_read_back_as_they_were(changes: dict[str, Any]) -> None:
    """X03: labels that a spreadsheet would run are harmless in the file and themselves again when read."""
    data = {"use": "toy_texts", "size": 84, "names": ODD, **changes}
    done = engine().run(recipe(dataset=data, split={"test": 0.4}))
    back = read_predictions(done.folder)
    assert back.labels.names == tuple(ODD)
    assert back.scores.dtype == np.float32
    again = engine().evaluate(done.classifier, _test_data(done.folder, changes), draws=100)
    assert again.metrics["accuracy"].value == done.report.metrics["toy_accuracy"].value  # type: ignore[union-attr]
    right = back.truth == back.predicted
    assert (right if right.ndim == 1 else right.all(axis=1)).mean() == again.metrics["accuracy"].value
    assert (back.groups is not None) == ("groups" in changes)


def _test_data(folder: Path, changes: dict[str, Any]) -> Any:
    from textclf import read_table
    from textclf.data.predictions import named

    back = read_predictions(folder)
    with read_table(folder / "predictions.csv") as table:
        rows = list(table)
    labels = named(back.truth, back.labels)
    texts = [row.text("text") for row in rows]
    return (texts, [row.text("pair") for row in rows], labels) if "pairs" in changes else (texts, labels)


def test_damaged_predictions_are_refused() -> None:
    done = engine().run(recipe())
    scores = done.folder / "scores.npy"
    whole = scores.read_bytes()
    scores.write_bytes(whole[:50])
    with pytest.raises(ArtefactError, match=rf"^{scores} cannot be read: "):
        read_predictions(done.folder)
    scores.write_bytes(whole)
    table = done.folder / "predictions.csv"
    table.write_text(table.read_text().replace("label1", "label9"))
    with pytest.raises(ArtefactError, match=r"^predictions.csv has the label 'label9', which is none of the run's"):
        read_predictions(done.folder)
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ArtefactError, match=r"predictions.csv has 7 rows, but scores.npy has shape \(8, 2\)$"):
        read_predictions(done.folder)
