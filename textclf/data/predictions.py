"""Encoded splits, predictions, confusion counts, decisions, and the prediction for a single text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import counted
from .dataset import Labels, Texts
from .html import more, quoted, table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


ABSTAINED = -1


@dataclass(frozen=True, slots=True)
class Encoded:
    """A split after its encoder. `features` is what the encoder makes: Tokens, a dense or a sparse matrix.

    unlabelled: features of the dataset's texts without labels, in the training split alone and only where a step's
    traits say that it uses them.
    """

    features: Any
    labels: NDArray[np.int64] | NDArray[np.bool_]
    unlabelled: Any = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Weighted one-against-rest counts of each label, float64[..., labels]; leading axes are bootstrap draws."""

    hits: NDArray[np.float64]
    predicted: NDArray[np.float64]
    support: NDArray[np.float64]

    @property
    def precision(self) -> NDArray[np.float64]:
        return _ratio(self.hits, self.predicted)

    @property
    def recall(self) -> NDArray[np.float64]:
        return _ratio(self.hits, self.support)

    @property
    def f1(self) -> NDArray[np.float64]:
        return _ratio(2 * self.hits, self.predicted + self.support)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What metrics, outputs and comparisons read.

    truth and predicted: int64[n] (a predicted -1 abstains), or bool[n, labels] for multi-label tasks.
    scores: float32[n, labels], probabilities.
    """

    labels: Labels
    truth: NDArray[np.int64] | NDArray[np.bool_]
    predicted: NDArray[np.int64] | NDArray[np.bool_]
    scores: NDArray[np.float32]
    texts: Texts
    ids: Sequence[str]
    groups: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def __repr__(self) -> str:
        return f"<Predictions of {counted(len(self), 'text')}>"

    def truth_matrix(self) -> NDArray[np.bool_]:
        return _membership(self.truth, len(self.labels))

    def predicted_matrix(self) -> NDArray[np.bool_]:
        return _membership(self.predicted, len(self.labels))

    def counts(self, weights: NDArray[np.float64] | None = None) -> Counts:
        """Count hits, predictions and support of each label; for weights [draws, n], of each draw."""
        import numpy as np

        truth = self.truth_matrix().astype(np.float64)
        predicted = self.predicted_matrix().astype(np.float64)
        w = np.ones(len(self)) if weights is None else weights
        return Counts(w @ (truth * predicted), w @ predicted, w @ truth)

    def log_losses(self) -> NDArray[np.float64]:
        """Return the negative log likelihood of each text's true labels, float64[n]; multi-label: mean over labels."""
        import numpy as np

        scores = self.scores.astype(np.float64)
        # As in scikit-learn, 0 and 1 are clipped by the resolution of the scores' own type.
        edge = float(np.finfo(self.scores.dtype).eps)
        truth = self.truth_matrix()
        if self.labels.task == "multi-label":
            likely = np.clip(np.where(truth, scores, 1 - scores), edge, 1 - edge)
            return -np.log(likely).mean(axis=1)  # type: ignore[no-any-return]
        likely = np.clip(scores, edge, 1 - edge)
        likely = likely / likely.sum(axis=1, keepdims=True)
        return -np.log(likely[truth])  # type: ignore[no-any-return]

    def frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: id, text, (pair,) label, predicted, and one score column a label."""
        import pandas as pd

        columns: dict[str, Any] = {"id": list(self.ids), "text": list(self.texts.first)}
        if self.texts.second is not None:
            columns["pair"] = list(self.texts.second)
        columns["label"] = named(self.truth, self.labels)
        columns["predicted"] = named(self.predicted, self.labels)
        for i, name in enumerate(self.labels.names):
            columns[f"score_{name}"] = self.scores[:, i]
        return pd.DataFrame(columns)


def named(values: NDArray[np.int64] | NDArray[np.bool_], labels: Labels) -> list[str] | list[list[str]]:
    """Return the label names of int64[n] (an abstention is ""), or the lists of names of bool[n, labels]."""
    if values.ndim == 2:
        return [[name for name, on in zip(labels.names, row, strict=True) if on] for row in values]
    return ["" if v == ABSTAINED else labels.names[v] for v in values]


def shortest(score: np.float32) -> float:
    """Return the float with the fewest digits that is the same float32: 0.5463902, not 0.5463902354240417."""
    return float(str(score))


@dataclass(frozen=True, slots=True)
class Decision:
    """How scores become labels: the only place where a score is compared with a threshold.

    threshold: for multi-label tasks, what each label's score must reach; with two single labels, what the positive
    label's score must reach; None is the most probable label. abstain_below: with a best score below it, no label.
    """

    threshold: float | None = None
    abstain_below: float = 0.0

    def decide(self, scores: NDArray[np.float32], labels: Labels) -> NDArray[np.int64] | NDArray[np.bool_]:
        import numpy as np

        if labels.task == "multi-label":
            chosen: NDArray[np.bool_] = scores >= np.float32(0.5 if self.threshold is None else self.threshold)
            return chosen
        predicted: NDArray[np.int64] = scores.argmax(axis=1).astype(np.int64)
        positive = labels.positive_index
        if self.threshold is not None and positive is not None:
            predicted = np.where(scores[:, positive] >= np.float32(self.threshold), positive, 1 - positive)
        if self.abstain_below > 0:
            predicted[scores.max(axis=1) < np.float32(self.abstain_below)] = ABSTAINED
        return predicted


def _membership(values: NDArray[np.int64] | NDArray[np.bool_], labels: int) -> NDArray[np.bool_]:
    import numpy as np

    if values.ndim == 2:
        return values.astype(np.bool_)
    belongs: NDArray[np.bool_] = values[:, None] == np.arange(labels)
    return belongs


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; 0 / 0 is 0, as with scikit-learn's `zero_division=0`."""
    import numpy as np

    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


_ROWS, _LABELS = 20, 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for one text.

    label: the decided label, None for an abstention; for multi-label tasks a tuple of labels. score: the probability
    of the decided label (of the best one for an abstention; None for multi-label tasks).
    """

    label: str | tuple[str, ...] | None
    score: float | None
    scores: Mapping[str, float]

    def _repr_html_(self) -> str:
        best = sorted(self.scores.items(), key=lambda item: -item[1])
        rows = [(quoted(name), f"{score:.4f}", "✓" if self._holds(name) else "") for name, score in best[:_ROWS]]
        return table(("label", "score", "decided"), rows) + more(len(best) - _ROWS, "label")

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
        rows = []
        for row, answer in enumerate(self[:_ROWS]):
            best = "" if answer.score is None else f"{answer.score:.4f}"
            scores = [f"{answer.scores[name]:.4f}" for name in shown] if shown else [best]
            rows.append((str(row), answer.decided(), *scores))
        return table(("", "label", *(map(quoted, shown) if shown else ["score"])), rows) + more(
            len(self) - _ROWS, "prediction"
        )


def answers(
    scores: NDArray[np.float32], decided: NDArray[np.int64] | NDArray[np.bool_], labels: Labels
) -> Iterable[Prediction]:
    """Yield the prediction for each text from scores, float32[texts, labels], and the columns decided from them."""
    for row, label, column in zip(scores, named(decided, labels), decided, strict=True):
        by_name = {name: shortest(score) for name, score in zip(labels.names, row, strict=True)}
        if not isinstance(label, str):
            yield Prediction(tuple(label), None, by_name)
        elif column < 0:
            yield Prediction(None, shortest(row.max()), by_name)
        else:
            yield Prediction(label, shortest(row[column]), by_name)
