"""Owns what a classifier says of single texts: a Prediction of each, and how they look in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .dataset import Labels
from .markup import Markup, escaped, quoted, table
from .predictions import named, shortest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROWS, _LABELS = 20, 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of one text.

    label: the decided label, None for an abstention; for multi-label tasks a tuple of labels. score: the probability
    of the decided label (of the best one for an abstention; None for multi-label tasks).
    """

    label: str | tuple[str, ...] | None
    score: float | None
    scores: Mapping[str, float]

    def _repr_html_(self) -> str:
        best = sorted(self.scores.items(), key=lambda item: -item[1])
        rows = [(quoted(name), f"{score:.4f}", "✓" if self._holds(name) else "") for name, score in best[:_ROWS]]
        return table(("label", "score", "decided"), rows) + _more(len(best) - _ROWS, "labels")

    def decided(self) -> str:
        """Return the decided label, or labels, as a person reads them."""
        if self.label is None:
            return "(no label)"
        names = (self.label,) if isinstance(self.label, str) else self.label
        return ", ".join(map(quoted, names)) or "(no label)"

    def _holds(self, name: str) -> bool:
        return name == self.label if isinstance(self.label, str) else name in (self.label or ())


class Answers(list[Prediction]):
    """Predictions in the order of their texts: a list that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        names = list(self[0].scores) if self else []
        shown = names if len(names) <= _LABELS else []
        headers = ("", "label", *(() if shown else ("score",)), *map(quoted, shown))
        rows = [
            (str(row), answer.decided(), *(() if shown else (_number(answer.score),)),
             *(f"{answer.scores[name]:.4f}" for name in shown))
            for row, answer in enumerate(self[:_ROWS])
        ]  # fmt: skip
        return table(headers, rows) + _more(len(self) - _ROWS, "predictions")


def answers(
    scores: NDArray[np.float32], decided: NDArray[np.int64] | NDArray[np.bool_], labels: Labels
) -> Iterable[Prediction]:
    """Yield what scores, float32[texts, labels], and the columns decided by them say of each text."""
    for row, label, column in zip(scores, named(decided, labels), decided, strict=True):
        by_name = {name: shortest(score) for name, score in zip(labels.names, row, strict=True)}
        if not isinstance(label, str):
            yield Prediction(tuple(label), None, by_name)
        elif column < 0:
            yield Prediction(None, shortest(row.max()), by_name)
        else:
            yield Prediction(label, shortest(row[column]), by_name)


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"


def _more(count: int, what: str) -> Markup:
    return escaped(f"… and {count:,} {what} more" if count > 0 else "")
