"""Owns the linear trainers: what each of them fits, and how single-label and multi-label tasks become fits."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from textclf import Context, DataError, Encoded, Encoder, Labels

from .linear import Floats, LinearModel, Link, restore
from .options import LogisticOptions

# A fit of one yes-or-no question: features and bool[n] to weights [features] and an intercept.
Fit = Callable[[Any, NDArray[np.bool_]], tuple[Floats, float]]


class Restorable:
    """A trainer whose model is a LinearModel."""

    def restore(self, folder: Path, encoder: Encoder, labels: Labels) -> LinearModel:
        return restore(folder, labels)


class Logistic(Restorable):
    """Logistic regression, multinomial for single labels.

    L-BFGS, because it needs no random numbers, leaves the intercept unpenalised and solves the multinomial problem
    itself; liblinear does none of these.
    """

    def __init__(self, options: LogisticOptions) -> None:
        self.options = options

    def train(
        self, encoder: Encoder, train: Encoded, validation: Encoded | None, labels: Labels, context: Context
    ) -> LinearModel:
        features = as_float64(train.features)
        if labels.task == "multi-label":
            return one_by_one(lambda x, y: self._fit_one(x, y, context), features, train.labels, labels)
        classes = classes_in(train.labels, labels)
        fitted = self._fit(features, train.labels, context)
        link: Link = "binary" if len(classes) == 2 else "softmax"
        return LinearModel(labels, classes, link, fitted.coef_, fitted.intercept_)

    def _fit_one(self, features: Any, wanted: NDArray[np.bool_], context: Context) -> tuple[Floats, float]:
        fitted = self._fit(features, wanted, context)
        return fitted.coef_[0], float(fitted.intercept_[0])

    def _fit(self, features: Any, targets: NDArray[Any], context: Context) -> LogisticRegression:
        o = self.options
        weight = None if o.class_weight == "none" else o.class_weight
        regression = LogisticRegression(C=o.C, class_weight=weight, max_iter=o.max_iter, solver="lbfgs")
        return converge(lambda: regression.fit(features, targets), "logistic", o.max_iter, context)


def as_float64(features: Any) -> Any:
    """Return the features, dense or sparse, in the precision in which everything is fitted."""
    return features.astype(np.float64)


def classes_in(targets: NDArray[np.int64] | NDArray[np.bool_], labels: Labels) -> NDArray[np.int64]:
    """Return the columns of the labels that occur; a DataError where there is but one."""
    classes = np.unique(targets).astype(np.int64)
    if len(classes) < 2:
        only = labels.names[classes[0]] if len(classes) else "none"
        raise DataError(f"all training texts have one label, '{only}'; a classifier needs texts of at least two")
    return classes


def one_by_one(fit: Fit, features: Any, members: NDArray[Any], labels: Labels) -> LinearModel:
    """Fit each label of a multi-label task against its absence."""
    positives = members.sum(axis=0)
    classes = np.flatnonzero(positives).astype(np.int64)
    if not len(classes):
        raise DataError("no training text has any label; a classifier needs texts with labels")
    weights = np.zeros((len(classes), features.shape[1]))
    intercepts = np.zeros(len(classes))
    for row, label in enumerate(classes):
        if positives[label] == len(members):
            # Nothing to tell apart: Laplace's estimate for what was always so.
            intercepts[row] = np.log(len(members) + 1)
        else:
            weights[row], intercepts[row] = fit(features, members[:, label])
    return LinearModel(labels, classes, "independent", weights, intercepts)


def converge(fit: Callable[[], Any], trainer: str, max_iter: int, context: Context) -> Any:
    """Call `fit` and turn scikit-learn's warnings into the run's."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = fit()
    for message in dict.fromkeys(_say(w, trainer, max_iter) for w in caught):
        context.warn(message)
    return fitted


def _say(warning: warnings.WarningMessage, trainer: str, max_iter: int) -> str:
    if issubclass(warning.category, ConvergenceWarning):
        return f"{trainer} has not converged after max_iter {max_iter} iterations; raise max_iter or lower C"
    return f"{trainer}: {' '.join(str(warning.message).split())}"


TRAINERS: dict[str, Callable[[Any], Any]] = {"logistic": Logistic}
