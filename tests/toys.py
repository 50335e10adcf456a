"""What tests of runs share: an engine with the toy plugin, a small recipe, and plugins that misbehave."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from textclf import Component, Engine, Result, Traits
from textclf.testing import toy

BOTH = frozenset({"single-label", "multi-label"})
KINDS = {"dataset": "textclf_datasets", "encoder": "textclf_encoders", "trainer": "textclf_trainers",
         "metric": "textclf_metrics", "output": "textclf_outputs"}  # fmt: skip
TRAITS = {
    "encoder": Traits(makes="matrix", tasks=BOTH, pairs=True),
    "trainer": Traits(reads=frozenset({"matrix"}), tasks=BOTH, pairs=True),
}
FILES = ("predictions.csv", "scores.npy")


def recipe(**changes: Any) -> dict[str, Any]:
    values = {
        "name": "toy", "dataset": {"use": "toy_texts", "size": 40}, "encoder": "toy_words",
        "trainer": {"use": "toy_linear", "epochs": 25}, "metrics": ["toy_accuracy"], "report": {"draws": 100},
    }  # fmt: skip
    return {key: value for key, value in {**values, **changes}.items() if value is not None}


def engine(*plugins: object, **settings: Any) -> Engine:
    return Engine(plugins=[toy, *plugins], **{"runs": "runs", **settings})


def plugin(kind: str, name: str, make: Callable[[], Any], **fields: Any) -> types.ModuleType:
    """Return a plugin module `textclf_NAME` that offers one component, built by `make`."""
    module = types.ModuleType(f"textclf_{name}")
    fields.setdefault("traits", TRAITS.get(kind, Traits(tasks=BOTH, pairs=True)))
    component: Component[Any, Any] = Component(name=name, build=lambda options: make(), **fields)
    def offer() -> list[Component[Any, Any]]:
        return [component]

    setattr(module, KINDS[kind], offer)
    return module


class Stopping:
    """Says that the run must stop at its n-th question, and at every later one."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def contents(result: Result | Path) -> dict[str, bytes]:
    """Return the bytes by which two runs are compared."""
    folder = result if isinstance(result, Path) else result.folder
    return {name: (folder / name).read_bytes() for name in FILES}


def weights(folder: Path) -> Mapping[str, bytes]:
    files = sorted(p for p in (folder / "model").rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}
