"""Owns TEXTCLF_TRACE: one line on stderr for each hook that is called, who answered and what."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

from .events import Event
from .registry import Plugin

Say = Callable[[str], None]


def asked_for() -> Say | None:
    """Return what writes a line to stderr where TEXTCLF_TRACE is set, and None where it is not."""
    return _write if os.environ.get("TEXTCLF_TRACE", "0") not in ("", "0") else None


def _write(line: str) -> None:
    sys.stderr.write(f"textclf: trace: {' '.join(line.split())}\n")


def named(plugin: Plugin) -> str:
    """Return who answers: "plugin textclf_shout (textclf-shout 1.0.0)"."""
    return f"plugin {plugin.module} ({plugin.origin or 'given by a program'})"


@contextmanager
def timed(say: Say | None) -> Iterator[Say]:
    """Yield what says a line with the milliseconds since the block began; nothing where nobody listens."""
    if say is None:
        yield lambda line: None
        return
    began, listener = time.perf_counter(), say
    yield lambda line: listener(f"{line} ({(time.perf_counter() - began) * 1000:.1f} ms)")


def observing(plugin: Plugin, observer: Callable[[Event], None], say: Say | None) -> Callable[[Event], None]:
    """Return the observer, with a line for each event that it takes where somebody listens."""
    if say is None:
        return observer

    @wraps(observer)
    def traced(event: Event) -> None:
        with timed(say) as told:
            what = f"textclf_event({type(event).__name__}) of {named(plugin)}"
            try:
                observer(event)
            except BaseException as error:
                told(f"{what} fails: {type(error).__name__}")
                raise
            told(f"{what} takes it")

    return traced
