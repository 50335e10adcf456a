"""The current folder and the signal handlers, restored after calls into plugins.

The environment is not among it: libraries set variables when they are first used, some need them from then on, and
nobody can tell those from a plugin's own. A clause of the kit, `work.world`, finds a plugin that does so by itself.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def put_back() -> Iterator[list[str]]:
    """Put back what the block changes, and say in the yielded list what that was.

    A run writes into a folder that was named from the current one, and is stopped by signals: both are lost otherwise.
    """
    changed: list[str] = []
    folder = _current()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield changed
    except KeyboardInterrupt:
        # Whoever received the second Ctrl-C has changed the handlers on purpose.
        handlers = {}
        raise
    finally:
        if folder and _current() != folder:
            changed.append("the current folder")
            with suppress(OSError):
                os.chdir(folder)
        for number, handler in handlers.items():
            main = threading.current_thread() is threading.main_thread()
            if main and handler is not None and signal.getsignal(number) is not handler:
                changed.append(f"the handler of {signal.Signals(number).name}")
                signal.signal(number, handler)


def _current() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None
