"""Owns how single-label and multi-label tasks become yes-or-no questions, each answered by one linear fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from textclf import Context, DataError, Labels

from .linear import Floats, LinearModel, Link

# A yes-or-no question answered: features and bool[n] to weights [features] and an intercept.
Fit = Callable[[Any, NDArray[np.bool_]], tuple[Floats, float]]


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


def ask(fit: Fit, features: Any, targets: NDArray[Any], labels: Labels) -> LinearModel:
    """Fit one question for two classes, one a class for more, one a label for a multi-label task."""
    if labels.task == "multi-label":
        return _ask_each_label(fit, features, targets, labels)
    classes = classes_in(targets, labels)
    asked = classes[1:] if len(classes) == 2 else classes
    answers = [fit(features, targets == label) for label in asked]
    link: Link = "binary" if len(classes) == 2 else "one-vs-rest"
    return LinearModel(labels, classes, link, np.array([w for w, _ in answers]), np.array([b for _, b in answers]))


def _ask_each_label(fit: Fit, features: Any, members: NDArray[Any], labels: Labels) -> LinearModel:
    positives = members.sum(axis=0)
    classes = np.flatnonzero(positives).astype(np.int64)
    if len(classes) == 0:
        raise DataError("no training text has any label; a classifier needs texts with labels")
    weights = np.zeros((len(classes), features.shape[1]))
    intercepts = np.zeros(len(classes))
    for row, label in enumerate(classes):
        if positives[label] == len(members):
            # Nothing to tell apart: Laplace's estimate of what was always so.
            intercepts[row] = np.log(len(members) + 1)
        else:
            weights[row], intercepts[row] = fit(features, members[:, label])
    return LinearModel(labels, classes, "independent", weights, intercepts)


def warned(fit: Callable[[], LinearModel], trainer: str, context: Context) -> LinearModel:
    """Call `fit` and turn scikit-learn's warnings into the run's, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fit()
    for message in dict.fromkeys(_say(warning) for warning in caught):
        context.warn(f"{trainer}: {message}")
    return model


def _say(warning: warnings.WarningMessage) -> str:
    if issubclass(warning.category, ConvergenceWarning):
        return "training stopped at max_iter before it converged; raise max_iter or lower C"
    return " ".join(str(warning.message).split())
