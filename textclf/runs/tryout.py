"""Owns what is tried of a run's components before its data are loaded, so that their faults do not come hours late."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from ..data.dataset import Labels, Task, Texts
from ..data.predictions import Predictions
from ..errors import PluginError, TextclfError
from ..evaluation.metrics import CheckedMetric, bootstrap, measure
from ..plugin.protocols import Metric
from ..plugin.step import Step
from ..recipe.plan import Plan

_NOTE = "; seen with texts that were made up, before the run"


def try_out(plan: Plan, task: Task | None = None) -> None:
    """Build every component of a plan, and ask its metrics about predictions that are made up.

    task: that of the data, where they are given; else the dataset's, where its options tell it.
    """
    steps: tuple[Step[Any], ...] = (*plan.metrics, *plan.outputs, plan.trainer, plan.encoder)
    for step in steps if plan.dataset is None else (plan.dataset, *steps):
        step.build()
    tasks = plan.dataset.traits.tasks if plan.dataset is not None else frozenset()
    known = task or (next(iter(tasks)) if len(tasks) == 1 else None)
    if known is not None:
        for step in plan.metrics:
            if known in step.traits.tasks:
                _try_metric(step, known)


def _try_metric(step: Step[Metric], task: Task) -> None:
    """Refuse a metric for what it takes and returns, but not for what it raises: it may know the labels of its data."""
    metric = CheckedMetric(step)
    metric.step = replace(step, note=step.note + _NOTE)
    try:
        # Without weights first: there nothing of the predictions can be written into.
        measure(metric, made_up(task))
        bootstrap({step.name: metric}, made_up(task), 2)
    except PluginError as fault:
        if fault.__cause__ is None or not _takes_weights(metric.inner):
            raise
    except TextclfError:
        return


def _takes_weights(metric: Metric) -> bool:
    try:
        inspect.signature(metric).bind(None, None)
    except TypeError:
        return False
    except ValueError:
        return True  # it is not of Python's making and cannot be asked
    return True


def made_up(task: Task) -> Predictions:
    """Return predictions of six texts with two labels, two of them wrong, that nobody can write into."""
    import numpy as np

    truth: Any = np.array([0, 0, 0, 1, 1, 1])
    predicted: Any = np.array([0, 0, 1, 1, 1, 0])
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6], [0.2, 0.8], [0.4, 0.6], [0.6, 0.4]], np.float32)
    if task == "multi-label":
        truth, predicted = (np.eye(2, dtype=np.bool_)[column] for column in (truth, predicted))
    for array in (truth, predicted, scores):
        array.flags.writeable = False
    words = [f"text {number}" for number in range(len(truth))]
    return Predictions(Labels(("a", "b"), task), truth, predicted, scores, Texts(words), words)
