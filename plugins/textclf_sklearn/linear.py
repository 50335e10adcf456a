"""Owns the model that all trainers of this plugin end in: weights and intercepts, and how they become probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from textclf import ArtefactError, Context, Labels

from .stored import read_array, read_json, write_array, write_json

Floats = NDArray[np.float64]
# binary: one row, for the second of two classes. softmax: a row a class. one-vs-rest: a sigmoid a class, divided by
# their sum. independent: a sigmoid a label, for multi-label tasks.
Link = Literal["binary", "softmax", "one-vs-rest", "independent"]
DESCRIPTION, WEIGHTS, INTERCEPTS = "linear.json", "weights.npy", "intercepts.npy"


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Linear decisions on features, float64[rows, features] and float64[rows], and a link to probabilities.

    classes: the columns of the labels seen in training; all others have the probability 0.
    """

    labels: Labels
    classes: NDArray[np.int64]
    link: Link
    weights: Floats
    intercepts: Floats

    def scores(self, features: Any, context: Context) -> NDArray[np.float32]:
        """Return probabilities, float32[texts, labels]; rows sum to one for single-label tasks."""
        if features.shape[1] != self.weights.shape[1]:
            raise ArtefactError(
                f"the model reads {self.weights.shape[1]} features a text, but the encoder makes {features.shape[1]}; "
                "encoder and trainer come from different runs"
            )
        decisions = np.asarray(features @ self.weights.T) + self.intercepts
        scores = np.zeros((features.shape[0], len(self.labels)), np.float32)
        scores[:, self.classes] = _probabilities(self.link, decisions)
        return scores

    def save(self, folder: Path) -> None:
        folder = folder / "trainer"
        folder.mkdir(parents=True, exist_ok=True)
        description = {
            "task": self.labels.task, "labels": list(self.labels.names),
            "classes": self.classes.tolist(), "link": self.link,
        }  # fmt: skip
        write_json(folder / DESCRIPTION, description)
        write_array(folder / WEIGHTS, self.weights)
        write_array(folder / INTERCEPTS, self.intercepts)


def restore(folder: Path, labels: Labels) -> LinearModel:
    """Read what `LinearModel.save` wrote; an ArtefactError where it is damaged or made for other labels."""
    folder = folder / "trainer"
    path = folder / DESCRIPTION
    said = read_json(path)
    _check_labels(path, said, labels)
    classes = said.get("classes")
    link: Any = said.get("link")
    if link not in get_args(Link) or (link == "independent") != (labels.task == "multi-label"):
        raise ArtefactError(f"{path}: the link '{link}' does not fit a {labels.task} task; the model is damaged")
    if not isinstance(classes, list) or not all(type(c) is int and 0 <= c < len(labels) for c in classes):
        raise ArtefactError(f"{path}: 'classes' is no list of columns from 0 to {len(labels) - 1}")
    if sorted(set(classes)) != classes or (link == "binary" and len(classes) != 2):
        raise ArtefactError(f"{path}: 'classes' is {classes}, which the link '{link}' cannot have")
    rows = 1 if link == "binary" else len(classes)
    weights = read_array(folder / WEIGHTS, (rows, None))
    intercepts = read_array(folder / INTERCEPTS, (rows,))
    return LinearModel(labels, np.array(classes, np.int64), link, weights, intercepts)


def _check_labels(path: Path, said: dict[str, Any], labels: Labels) -> None:
    if said.get("task") != labels.task:
        raise ArtefactError(f"{path}: was trained for a {said.get('task')} task, but the labels are {labels.task}")
    if said.get("labels") != list(labels.names):
        trained = said.get("labels")
        known = ", ".join(str(name) for name in trained[:12]) if isinstance(trained, list) else "none"
        raise ArtefactError(
            f"{path}: was trained for the labels {known}, which are not the classifier's {', '.join(labels.names[:12])}"
        )


def _probabilities(link: Link, decisions: Floats) -> Floats:
    if link == "binary":
        return np.hstack([expit(-decisions), expit(decisions)])
    if link == "softmax":
        return np.asarray(softmax(decisions, axis=1))
    chances = np.asarray(expit(decisions))
    if link == "independent":
        return chances
    total = chances.sum(axis=1, keepdims=True)
    # Every sigmoid can underflow to 0 far from all classes: then nothing speaks for any of them.
    even = np.full_like(chances, 1 / chances.shape[1])
    return np.asarray(np.divide(chances, total, out=even, where=total > 0))
