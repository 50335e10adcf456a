"""TF-IDF, linear trainers and the usual metrics: the baseline of seconds, built on scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textclf import Component, NoOptions, Options, Task, Traits

from .options import METRICS, TRAINERS, AverageOptions, TfidfOptions

TASKS: frozenset[Task] = frozenset({"single-label", "multi-label"})
SKLEARN: dict[str, Any] = {"needs": ("sklearn", "scipy", "numpy"), "install": "scikit-learn>=1.5"}


def textclf_encoders() -> list[Component[Any, Any]]:
    def build(options: TfidfOptions) -> Any:
        from .tfidf import TfidfEncoder

        return TfidfEncoder(options)

    def restore(options: TfidfOptions, folder: Path) -> Any:
        from .tfidf import restore

        return restore(options, folder)

    says: dict[str, Any] = {"name": "tfidf", "summary": "weighted counts of word or character n-grams"}
    traits = Traits(makes="counts", tasks=TASKS, pairs=True)
    return [Component(options=TfidfOptions, build=build, restore=restore, traits=traits, **says, **SKLEARN)]


def textclf_trainers() -> list[Component[Any, Any]]:
    return [_trainer(name, *described) for name, described in TRAINERS.items()]


def textclf_metrics() -> list[Component[Any, Any]]:
    return [_metric(name, summary) for name, summary in METRICS.items()]


def _trainer(name: str, options: type[Options], reads: set[str], summary: str) -> Component[Any, Any]:
    def build(options: Any) -> Any:
        from .trainers import TRAINERS

        return TRAINERS[name](options)

    traits = Traits(reads=frozenset(reads), tasks=TASKS, pairs=True)
    return Component(name=name, options=options, build=build, summary=summary, traits=traits, **SKLEARN)


def _metric(name: str, summary: str) -> Component[Any, Any]:
    def build(options: Any) -> Any:
        from .metrics import METRICS

        return METRICS[name](options)

    options = AverageOptions if name in ("f1", "precision", "recall") else NoOptions
    return Component(name=name, options=options, build=build, summary=summary, traits=Traits(tasks=TASKS, pairs=True))
