"""The linear model: weights, calibration, one-vs-rest."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold

from textclf import ArtefactError, Attributions, Context, DataError, Labels

from .storage import read_array, read_json, write_array, write_json

Floats = NDArray[np.float64]
# binary: one row, for the second of two classes. softmax: a row a class. one-vs-rest: a sigmoid a class, divided by
# their sum. independent: a sigmoid a label, for multi-label tasks.
Link = Literal["binary", "softmax", "one-vs-rest", "independent"]
# From features and bool[n] to the weights, float64[features], and the intercept of one binary decision.
Fit = Callable[[Any, NDArray[np.bool_]], tuple[Floats, float]]
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
    explains_by: ClassVar[Literal["exact"]] = "exact"

    def scores(self, features: Any, context: Context) -> NDArray[np.float32]:
        """Return probabilities, float32[texts, labels]; rows sum to one for single-label tasks."""
        if features.shape[1] != self.weights.shape[1]:
            raise ArtefactError(
                f"the model was trained on {self.weights.shape[1]} features a text, but the encoder makes "
                f"{features.shape[1]}: it is another one, or is not restored as it was saved"
            )
        decisions = np.asarray(features @ self.weights.T) + self.intercepts
        scores = np.zeros((features.shape[0], len(self.labels)), np.float32)
        scores[:, self.classes] = _probabilities(self.link, decisions)
        return scores

    def attributions(self, features: Any, columns: NDArray[np.int64], context: Context) -> list[Attributions]:
        """Return feature times weight: exactly what each feature adds to the logit, beside the intercept."""
        rows = sparse.csr_matrix(features)
        rows.sort_indices()
        found = []
        for row, column in enumerate(columns.tolist()):
            weights, intercept, of = self._line(column)
            units = rows.indices[rows.indptr[row] : rows.indptr[row + 1]].astype(np.int64)
            values = rows.data[rows.indptr[row] : rows.indptr[row + 1]].astype(np.float64) * weights[units]
            # Computed as scores are, not as the sum of the values, which would hide their errors.
            logit = float((rows[row] @ weights + intercept)[0])
            found.append(Attributions(units, values, logit, float(intercept), of, "a text without known words"))
        return found

    def _line(self, column: int) -> tuple[Floats, Any, str]:
        """Return the weights, the intercept and the name of a label's logit."""
        name = self.labels.names[column]
        if column not in self.classes:
            raise DataError(f"no training text had the label '{name}', so nothing can speak for it; choose another")
        place = int(np.searchsorted(self.classes, column))
        weights, intercepts = self.weights, self.intercepts
        if self.link == "binary":
            sign = 1 if place == 1 else -1
            return sign * weights[0], sign * intercepts[0], f"log-odds of '{name}'"
        if self.link == "softmax":
            others = np.arange(len(weights)) != place
            means = weights[others].mean(axis=0), intercepts[others].mean()
            of = f"logit of '{name}' above the mean of the other labels'"
            return weights[place] - means[0], intercepts[place] - means[1], of
        of = f"log-odds of '{name}'" + (" against all other labels" if self.link == "one-vs-rest" else "")
        return weights[place], intercepts[place], of

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
    description = read_json(path)
    _check_labels(path, description, labels)
    classes = description.get("classes")
    link: Any = description.get("link")
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


def _check_labels(path: Path, description: dict[str, Any], labels: Labels) -> None:
    task, trained = description.get("task"), description.get("labels")
    if task != labels.task:
        raise ArtefactError(f"{path}: was trained for a {task} task, but the labels are {labels.task}")
    if trained != list(labels.names):
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
    # Every sigmoid can underflow to 0 far from all classes: then all are equally likely.
    even = np.full_like(chances, 1 / chances.shape[1])
    return np.asarray(np.divide(chances, total, out=even, where=total > 0))


def as_float64(features: Any) -> Any:
    """Return the features, dense or sparse, in the precision in which everything is fitted."""
    return features.astype(np.float64)


def classes_in(targets: NDArray[Any], labels: Labels) -> NDArray[np.int64]:
    """Return the columns of the labels that occur; a DataError where there is but one."""
    classes = np.unique(targets).astype(np.int64)
    if len(classes) < 2:
        only = labels.names[classes[0]] if len(classes) else "none"
        raise DataError(f"all training texts have one label, '{only}'; a classifier needs texts of at least two")
    return classes


def fit_each(fit: Fit, features: Any, targets: NDArray[Any], labels: Labels) -> LinearModel:
    """Fit one decision for two classes, else one for each class, or one for each label of a multi-label task."""
    if labels.task == "multi-label":
        return _fit_each_label(fit, features, targets, labels)
    classes = classes_in(targets, labels)
    decided = classes[1:] if len(classes) == 2 else classes
    fits = [fit(features, targets == label) for label in decided]
    link: Link = "binary" if len(classes) == 2 else "one-vs-rest"
    return LinearModel(labels, classes, link, np.array([w for w, _ in fits]), np.array([b for _, b in fits]))


def _fit_each_label(fit: Fit, features: Any, members: NDArray[Any], labels: Labels) -> LinearModel:
    positives = members.sum(axis=0)
    classes = np.flatnonzero(positives).astype(np.int64)
    if len(classes) == 0:
        raise DataError("no training text has any label; a classifier needs texts with labels")
    weights = np.zeros((len(classes), features.shape[1]))
    intercepts = np.zeros(len(classes))
    for row, label in enumerate(classes):
        if positives[label] == len(members):
            # Every text has the label: Laplace's estimate of its probability.
            intercepts[row] = np.log(len(members) + 1)
        else:
            weights[row], intercepts[row] = fit(features, members[:, label])
    return LinearModel(labels, classes, "independent", weights, intercepts)


def calibrated(fit: Fit, folds: int, balanced: bool, context: Context) -> Fit:
    """Return a fit on all texts whose decisions are log-odds; it costs `folds` further fits on a part of them.

    Calibration gives yes and no equal weight where the fit does (`balanced`), or it would undo that.
    """

    def fit_and_scale(features: Any, wanted: NDArray[np.bool_]) -> tuple[Floats, float]:
        weights, intercept = fit(features, wanted)
        parts = min(folds, int(wanted.sum()), int((~wanted).sum()))
        slope, shift = 0.0, 0.0
        if parts >= 2:
            slope, shift = platt(_held_out(fit, features, wanted, parts, context.seed), wanted, balanced)
        if slope <= 0:
            context.warn("too few texts, or too much alike, to calibrate probabilities; they are rough")
            slope, shift = 1.0, 0.0
        return slope * weights, slope * intercept + shift

    return fit_and_scale


def platt(decisions: Floats, wanted: NDArray[np.bool_], balanced: bool) -> tuple[float, float]:
    """Return slope and shift of the sigmoid that fits best, with Platt's (1999) smoothed targets."""
    yes, no = int(wanted.sum()), int((~wanted).sum())
    targets = np.where(wanted, (yes + 1) / (yes + 2), 1 / (no + 2))
    weights = np.where(wanted, 1 / (2 * yes), 1 / (2 * no)) if balanced else np.full(len(wanted), 1 / len(wanted))
    scale = float(decisions.std()) or 1.0
    unit = decisions / scale

    def loss(at: Floats) -> tuple[float, Floats]:
        odds = at[0] * unit + at[1]
        error = weights * (expit(odds) - targets)
        return float(weights @ (np.logaddexp(0, odds) - targets * odds)), np.array([error @ unit, error.sum()])

    start = np.array([0.0, 0.0 if balanced else np.log((yes + 1) / (no + 1))])
    slope, shift = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-7}).x
    return float(slope) / scale, float(shift)


def _held_out(fit: Fit, features: Any, wanted: NDArray[np.bool_], parts: int, seed: int) -> Floats:
    """Return the decision on each text of a fit on the others, float64[n]."""
    decisions = np.zeros(len(wanted))
    folds = StratifiedKFold(parts, shuffle=True, random_state=seed % 2**32)
    for rest, held in folds.split(np.zeros(len(wanted)), wanted):
        weights, intercept = fit(features[rest], wanted[rest])
        decisions[held] = features[held] @ weights + intercept
    return decisions


def with_warnings(fit: Callable[[], LinearModel], trainer: str, context: Context) -> LinearModel:
    """Call `fit` and turn scikit-learn's warnings into the run's, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fit()
    for message in dict.fromkeys(_describe(warning) for warning in caught):
        context.warn(f"{trainer}: {message}")
    return model


def _describe(warning: warnings.WarningMessage) -> str:
    if issubclass(warning.category, ConvergenceWarning):
        return "training stopped at max_iter before it converged; raise max_iter or lower C"
    return " ".join(str(warning.message).split())
