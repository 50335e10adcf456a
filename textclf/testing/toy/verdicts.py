"""Owns the toy metric and the toy output: the share of right answers, and a summary as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ...data.predictions import Predictions
from ...plugin.component import Options
from ...plugin.protocols import Finished

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ToyAccuracy:
    """The share of texts whose labels are all right."""

    greater_is_better = True
    reads_scores = False

    def __call__(self, predictions: Predictions, weights: NDArray[np.float64] | None = None) -> Any:
        right = predictions.truth == predictions.predicted
        if right.ndim == 2:
            right = right.all(axis=1)
        return float(right.mean()) if weights is None else weights @ right / weights.sum(axis=1)


class SummaryOptions(Options):
    file: str = Field("toy_summary.json", pattern=r"^[A-Za-z0-9_-]+\.json$", description="the file that is written")


class ToySummary:
    def __init__(self, options: SummaryOptions) -> None:
        self.options = options

    def write(self, finished: Finished, folder: Path) -> None:
        predictions = finished.predictions
        summary = {
            "labels": list(predictions.labels.names),
            "texts": len(predictions),
            "right": ToyAccuracy()(predictions),
            "epochs": len(finished.history),
        }
        (folder / self.options.file).write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
