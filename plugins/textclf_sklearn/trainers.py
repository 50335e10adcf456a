"""The linear trainers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

from textclf import Context, Encoded, Encoder, Labels, Options

from .linear_model import (
    Fit,
    Floats,
    LinearModel,
    Link,
    as_float64,
    calibrated,
    classes_in,
    fit_each,
    restore,
    with_warnings,
)
from .options import LinearSvmOptions, LogisticOptions, NaiveBayesOptions, NbsvmOptions

O = TypeVar("O", bound=Options)  # noqa: E741 - as in textclf.Component


class LinearTrainer(Generic[O]):
    """A trainer whose model is a LinearModel. `fit` gets everything in float64."""

    name: str

    def __init__(self, options: O) -> None:
        self.options = options

    def train(
        self, encoder: Encoder, train: Encoded, validation: Encoded | None, labels: Labels, context: Context
    ) -> LinearModel:
        features = as_float64(train.features)
        return with_warnings(lambda: self.fit(features, train.labels, labels, context), self.name, context)

    def restore(self, folder: Path, encoder: Encoder, labels: Labels) -> LinearModel:
        return restore(folder, labels)

    def fit(self, features: Any, targets: NDArray[Any], labels: Labels, context: Context) -> LinearModel:
        raise NotImplementedError


class Logistic(LinearTrainer[LogisticOptions]):
    """Logistic regression, multinomial for single labels.

    L-BFGS, because it needs no random numbers, leaves the intercept unpenalised and solves the multinomial problem
    itself; liblinear does none of these.
    """

    name = "logistic"

    def fit(self, features: Any, targets: NDArray[Any], labels: Labels, context: Context) -> LinearModel:
        if labels.task == "multi-label":
            return fit_each(self._fit_binary, features, targets, labels)
        classes = classes_in(targets, labels)
        fitted = self._regression().fit(features, targets)
        link: Link = "binary" if len(classes) == 2 else "softmax"
        return LinearModel(labels, classes, link, fitted.coef_, fitted.intercept_)

    def _fit_binary(self, features: Any, wanted: NDArray[np.bool_]) -> tuple[Floats, float]:
        fitted = self._regression().fit(features, wanted)
        return fitted.coef_[0], float(fitted.intercept_[0])

    def _regression(self) -> LogisticRegression:
        o = self.options
        return LogisticRegression(C=o.C, class_weight=_weight(o.class_weight), max_iter=o.max_iter, solver="lbfgs")


class LinearSvm(LinearTrainer[LinearSvmOptions]):
    """A linear support vector machine; its margins become probabilities by Platt scaling."""

    name = "linear_svm"

    def fit(self, features: Any, targets: NDArray[Any], labels: Labels, context: Context) -> LinearModel:
        o = self.options
        fit = _svm(o.C, o.class_weight, o.max_iter, context.seed)
        return fit_each(calibrated(fit, o.folds, o.class_weight == "balanced", context), features, targets, labels)


class NaiveBayes(LinearTrainer[NaiveBayesOptions]):
    """Multinomial naive Bayes: linear in the features, once logarithms are taken."""

    name = "naive_bayes"

    def fit(self, features: Any, targets: NDArray[Any], labels: Labels, context: Context) -> LinearModel:
        if labels.task == "multi-label":
            return fit_each(self._fit_binary, features, targets, labels)
        classes = classes_in(targets, labels)
        if len(classes) == 2:
            return fit_each(self._fit_binary, features, targets, labels)
        fitted = self._bayes().fit(features, targets)
        return LinearModel(labels, classes, "softmax", fitted.feature_log_prob_, fitted.class_log_prior_)

    def _fit_binary(self, features: Any, wanted: NDArray[np.bool_]) -> tuple[Floats, float]:
        fitted = self._bayes().fit(features, wanted)
        no, yes = fitted.feature_log_prob_
        return yes - no, float(fitted.class_log_prior_[1] - fitted.class_log_prior_[0])

    def _bayes(self) -> MultinomialNB:
        return MultinomialNB(alpha=self.options.alpha, fit_prior=self.options.prior == "training")


class Nbsvm(LinearTrainer[NbsvmOptions]):
    """A support vector machine on features times naive Bayes log-count ratios (Wang & Manning 2012).

    The paper's squared-hinge machine, not logistic regression: interpolating its weights rescales every decision, so
    that probabilities have to be calibrated either way.
    """

    name = "nbsvm"

    def fit(self, features: Any, targets: NDArray[Any], labels: Labels, context: Context) -> LinearModel:
        o = self.options
        svm = _svm(o.C, o.class_weight, o.max_iter, context.seed)

        def fit(features: Any, wanted: NDArray[np.bool_]) -> tuple[Floats, float]:
            ratios = log_count_ratios(features, wanted, o.alpha)
            scaled = features.multiply(ratios).tocsr() if sparse.issparse(features) else features * ratios
            weights, intercept = svm(scaled, wanted)
            mixed = (1 - o.beta) * np.abs(weights).mean() + o.beta * weights
            return mixed * ratios, intercept

        return fit_each(calibrated(fit, o.folds, o.class_weight == "balanced", context), features, targets, labels)


def log_count_ratios(features: Any, wanted: NDArray[np.bool_], alpha: float) -> Floats:
    """Return log(p / |p|) - log(q / |q|), p and q the smoothed counts of yes and no, float64[features]."""
    yes = alpha + np.asarray(features[wanted].sum(axis=0)).ravel()
    no = alpha + np.asarray(features[~wanted].sum(axis=0)).ravel()
    return np.asarray(np.log(yes / yes.sum()) - np.log(no / no.sum()))


def _svm(C: float, balance: str, max_iter: int, seed: int) -> Fit:  # noqa: N803 - C is what the field calls it
    def fit(features: Any, wanted: NDArray[np.bool_]) -> tuple[Floats, float]:
        machine = LinearSVC(
            C=C, class_weight=_weight(balance), max_iter=max_iter, dual="auto", random_state=seed % 2**32
        ).fit(features, wanted)
        return machine.coef_[0], float(machine.intercept_[0])

    return fit


def _weight(balance: str) -> str | None:
    return None if balance == "none" else balance


TRAINERS: dict[str, Callable[[Any], LinearTrainer[Any]]] = {
    trainer.name: trainer for trainer in (Logistic, LinearSvm, NaiveBayes, Nbsvm)
}
