"""Owns the border that a metric's numbers cross: what breaks the contract is refused by the name of its plugin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..data.predictions import Predictions
from ..errors import kind_of
from ..plugin.protocols import Metric
from ..plugin.step import Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# By how much sums may differ that were added in another order, or in float32.
_RELATIVE, _ABSOLUTE = 1e-5, 1e-6


class CheckedMetric:
    """A step's metric behind the border: what it raises, or returns against its contract, names its plugin."""

    def __init__(self, step: Step[Metric]) -> None:
        self.step, self.inner = step, step.build()
        self.greater_is_better = self.inner.greater_is_better
        self.reads_scores = step.call("reads_scores", lambda: bool(getattr(self.inner, "reads_scores", True)))

    def __call__(self, predictions: Predictions, weights: NDArray[np.float64] | None = None) -> Any:
        import numpy as np

        value = self.step.call("__call__", lambda: self.inner(predictions, weights))
        called = self.inner.__call__
        if weights is not None:
            if not isinstance(value, np.ndarray) or value.shape != (len(weights),) or value.dtype.kind not in "fiu":
                raise self.step.fault(f"__call__ returned {_shown(value)} for {len(weights)} weightings", called)
            return value.astype(np.float64)
        if np.ndim(value) != 0 or not isinstance(value, (int, float, np.number)):
            raise self.step.fault(f"__call__ returned {_shown(value)}, not a number", called)
        return float(value)

    def refuse_other(self, value: float, predictions: Predictions, weights: NDArray[np.float64]) -> None:
        """Raise the fault where weights that count each text once give another value than none.

        predictions: the texts themselves, or their confusion cells with the number of texts in each as its weight. An
        interval that is drawn by such weights would be one of something else, and a gate be held against it.
        """
        weighted = float(self(predictions, weights[None])[0])
        if math.isnan(value) and math.isnan(weighted):
            return
        if not math.isclose(value, weighted, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE):
            cells = "" if self.reads_scores else ", from the confusion cells (reads_scores is False)"
            raise self.step.fault(
                f"__call__ returned {value:g} without weights and {weighted:g} with weights that count each text "
                f"once{cells}; both must be the same",
                self.inner.__call__,
            )


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return kind_of(value) + (f" of shape {shape}" if shape is not None else "")
