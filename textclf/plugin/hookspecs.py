"""Every extension point of textclf, on one page.

A plugin is a module named by an entry point of the group `textclf`. It defines those of the functions below that it
needs; no decorator is required, any function called `textclf_*` counts. They are called once for each Engine, when
something is first looked up, and must be pure and cheap: no machine-learning import, no file, no network. They return
descriptions; textclf decides when to act on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources.abc import Traversable
from typing import Any

import pluggy

from .component import Component
from .events import Event

PROJECT = "textclf"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# Hooks that have another name now: {"textclf_old": ("textclf_new", "0.3")} is taken for the new one until
# textclf-engine 0.3, and noted on the plugin.
DEPRECATED: dict[str, tuple[str, str]] = {}


@hookspec
def textclf_datasets() -> Iterable[Component[Any, Any]]:  # type: ignore[empty-body]
    """Offer components whose `build` gives a DatasetProvider, for a recipe's `dataset` step."""


@hookspec
def textclf_encoders() -> Iterable[Component[Any, Any]]:  # type: ignore[empty-body]
    """Offer components whose `build` gives an Encoder, for a recipe's `encoder` step."""


@hookspec
def textclf_trainers() -> Iterable[Component[Any, Any]]:  # type: ignore[empty-body]
    """Offer components whose `build` gives a Trainer, for a recipe's `trainer` step."""


@hookspec
def textclf_metrics() -> Iterable[Component[Any, Any]]:  # type: ignore[empty-body]
    """Offer components whose `build` gives a Metric, for a recipe's `metrics`, `select` and `gates`."""


@hookspec
def textclf_outputs() -> Iterable[Component[Any, Any]]:  # type: ignore[empty-body]
    """Offer components whose `build` gives an Output, for a recipe's `outputs`; run before a run is finished."""


@hookspec
def textclf_recipes() -> Traversable:  # type: ignore[empty-body]
    """Offer a folder of recipes, `*.yaml`, that a command can name by their stem."""


@hookspec
def textclf_event(event: Event) -> None:
    """Observe a run. An exception becomes one warning and the run goes on; Progress at most four times a second."""
