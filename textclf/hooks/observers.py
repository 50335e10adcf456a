"""Owns how observers of plugins are called: by place, by runs and by checks alike."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from .events import Event


def by_place(function: Callable[..., Any]) -> Callable[[Event], None]:
    """Return what takes an event by place, also of a function that takes it by name alone."""
    event = inspect.signature(function).parameters.get("event")
    if event is None or event.kind is not event.KEYWORD_ONLY:
        return function

    @wraps(function)
    def observe(event: Event) -> Any:
        return function(event=event)

    return observe
