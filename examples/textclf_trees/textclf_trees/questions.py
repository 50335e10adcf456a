"""How a task becomes LightGBM objectives: one for all labels, or one for each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit, softmax

from textclf import ArtefactError, DataError, Labels

Floats = NDArray[np.float64]
# binary: yes is the second of two classes. multiclass: one question of all classes. independent: yes or no, each label.
Form = Literal["binary", "multiclass", "independent"]


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked of the trees, and the answers that need none.

    columns: the labels that the trees speak of, in the order of their answers. known: the probability of every label
    that they do not speak of: 0 for one that no training text has, nearly 1 for one that all have.
    """

    form: Form
    columns: tuple[int, ...]
    known: tuple[float, ...]

    @classmethod
    def of(cls, truth: NDArray[Any], labels: Labels) -> Questions:
        """Return the questions that training texts can answer; a DataError where all have one and the same label."""
        if labels.task == "multi-label":
            having = truth.sum(axis=0)
            known = [(int(n) + 1) / (len(truth) + 2) if n == len(truth) else 0.0 for n in having]
            asked = [column for column, n in enumerate(having) if 0 < n < len(truth)]
            return cls("independent", tuple(asked), tuple(known))
        classes = np.unique(truth).tolist()
        if len(classes) < 2:
            only = labels.names[classes[0]] if classes else "none"
            raise DataError(f"all training texts have one label, '{only}'; a classifier needs texts of at least two")
        return cls("binary" if len(classes) == 2 else "multiclass", tuple(classes), (0.0,) * len(labels))

    def objective(self) -> dict[str, Any]:
        """Return what LightGBM is to learn."""
        if self.form == "multiclass":
            return {"objective": "multiclass", "num_class": len(self.columns)}
        return {"objective": "binary"}

    def targets(self, truth: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Return what each question's answers should have been, float32[texts] each."""
        if self.form == "independent":
            return [truth[:, column].astype(np.float32) for column in self.columns]
        return [np.searchsorted(self.columns, truth).astype(np.float32)]

    def probabilities(self, answers: list[Floats], texts: int) -> NDArray[np.float32]:
        """Turn the trees' raw answers, float64[texts] or float64[texts, classes] each, into float32[texts, labels]."""
        scores = np.tile(np.array(self.known, np.float32), (texts, 1))
        if self.form == "multiclass":
            scores[:, self.columns] = softmax(answers[0], axis=1)
        elif self.form == "binary":
            scores[:, self.columns] = np.stack([expit(-answers[0]), expit(answers[0])], axis=1)
        elif self.columns:
            scores[:, self.columns] = expit(np.stack(answers, axis=1))
        return scores

    def number(self) -> int:
        """Return how many questions there are."""
        return len(self.columns) if self.form == "independent" else 1

    def save(self, path: Path, labels: Labels) -> None:
        said = {"format": 1, "labels": list(labels.names), "task": labels.task, **asdict(self)}
        path.write_text(json.dumps(said), "utf-8")

    @classmethod
    def restore(cls, path: Path, labels: Labels) -> Questions:
        """Read what `save` wrote; an ArtefactError where it is damaged or made for other labels."""
        try:
            said = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ArtefactError(f"{path}: cannot be read: {error}; the model is damaged") from None
        if not isinstance(said, dict) or said.get("format") != 1:
            raise ArtefactError(f"{path}: is of a format that this version of textclf_trees does not read")
        if said.get("labels") != list(labels.names) or said.get("task") != labels.task:
            raise ArtefactError(f"{path}: was trained for other labels than {', '.join(labels.names[:12])}")
        form: Any = said.get("form")
        columns: Any = said.get("columns")
        known: Any = said.get("known")
        if form not in get_args(Form) or not _are(columns, int) or not _are(known, float) or len(known) != len(labels):
            raise ArtefactError(f"{path}: does not say what the trees answer; the model is damaged")
        if sorted(set(columns)) != columns or not all(0 <= column < len(labels) for column in columns):
            raise ArtefactError(f"{path}: 'columns' is {columns}, of {len(labels)} labels; the model is damaged")
        return cls(form, tuple(columns), tuple(known))


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def as_matrix(features: Any) -> Any:
    """Return a dense or sparse matrix as LightGBM takes it, and leave the one that was given as it is."""
    if not sparse.issparse(features):
        dense = np.asarray(features)
        return dense if dense.dtype in (np.float32, np.float64) else dense.astype(np.float32)
    rows = sparse.csr_matrix(features)
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float32)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return rows
