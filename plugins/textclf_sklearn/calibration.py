"""Owns how margins become probabilities: Platt scaling on decisions about texts that were held out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.model_selection import StratifiedKFold

from textclf import Context

from .linear import Floats
from .tasks import Fit


def calibrated(fit: Fit, folds: int, balanced: bool, context: Context) -> Fit:
    """Return a fit on all texts whose decisions are log-odds; it costs `folds` further fits on a part of them.

    Calibration weighs yes and no alike where the fit does (`balanced`), or it would take that back.
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
    """Return what a fit without it says of each text, float64[n]."""
    decisions = np.zeros(len(wanted))
    folds = StratifiedKFold(parts, shuffle=True, random_state=seed % 2**32)
    for rest, held in folds.split(np.zeros(len(wanted)), wanted):
        weights, intercept = fit(features[rest], wanted[rest])
        decisions[held] = features[held] @ weights + intercept
    return decisions
