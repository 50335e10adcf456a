"""How a culprit is made: a part of the toy plugin, right in all but one thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from textclf import Component
from textclf.plugin.component import Kind
from textclf.testing import StandIns, toy


def offered(hook: Any) -> Component[Any, Any]:
    (component,) = hook()
    return component


TEXTS, WORDS = offered(toy.textclf_datasets), offered(toy.textclf_encoders)
LINEAR, ACCURACY = offered(toy.textclf_trainers), offered(toy.textclf_metrics)
SUMMARY = offered(toy.textclf_outputs)
_RIGHT: Mapping[Kind, Component[Any, Any]] = {
    "dataset": TEXTS, "encoder": WORDS, "trainer": LINEAR, "metric": ACCURACY, "output": SUMMARY,
}  # fmt: skip


@dataclass(frozen=True)
class Culprit:
    """A wrong component, the options to try it with, and what stands in for other steps."""

    kind: Kind
    component: Component[Any, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    stand_ins: StandIns | None = None


def wrong(kind: Kind, build: Any = None, *, given: Mapping[str, Any] | None = None, **changes: Any) -> Culprit:
    """Return the toy's component of a kind with something changed: its build, or any of its fields."""
    fields = {**changes, **({"build": build} if build is not None else {})}
    return Culprit(kind, replace(_RIGHT[kind], **fields), given or {})
