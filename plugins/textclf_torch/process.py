"""Owns one worker process as rank 0 sees it: how it begins, what it hears and says, how it ends."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import textclf
from textclf import ResourceError, TextclfError

LOST = 76  # the exit status of a worker whose end has its reason elsewhere
GRACE = 10.0
OBJECTIVE = "objective.safetensors"  # where workers find the weights of the network that an objective trains


class Worker:
    """One worker: a fresh interpreter that gets its orders on stdin and answers on stdout, a line of JSON each."""

    def __init__(self, folder: Path, rank: int, size: int) -> None:
        self._name = f"process {rank + 1} of {size}"
        self._log = folder / f"worker-{rank}.log"
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._error: dict[str, Any] | None = None
        self.at_end: Callable[[], None] = lambda: None
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C in a terminal is for rank 0, which tells the others. `-P`: no module is taken
            # from the current folder.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.worker", str(folder), str(rank)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True, env=_environment(),
            )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, name=self._name, daemon=True)
        self._listener.start()

    @property
    def ended(self) -> bool:
        """Tell whether it says nothing any more; whatever it said is then in the queue."""
        return not self._listener.is_alive()

    def tell(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        # Where it has ended, `watch` will say why.
        with suppress(OSError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def message(self, wait: float = 0.0) -> dict[str, Any] | None:
        """Return the next message, or None where there is none."""
        try:
            message = self._messages.get(timeout=wait) if wait else self._messages.get_nowait()
        except queue.Empty:
            return None
        if "error" in message:
            self._error = message
        return message

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def reason(self) -> TextclfError:
        """Return the worker's own error, the signal that killed it, or the last line that it wrote to stderr."""
        while self._error is None and self.message() is not None:
            pass
        if self._error is not None:
            kind = getattr(textclf, self._error["error"])
            found: TextclfError = kind(f"{self._name}: {self._error['message']}")
            return found
        status = self.wait(GRACE)
        if status is not None and status < 0:
            name = signal.Signals(-status).name
            memory = ", as the system does where memory runs out" if name == "SIGKILL" else ""
            return ResourceError(f"{self._name} was killed by {name}{memory}; go on with `textclf resume`")
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        last = f": {lines[-1].strip()}" if lines else ""
        return ResourceError(f"{self._name} ended with status {status}{last}; go on with `textclf resume`")

    def end(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        # It ends at once by itself, and has nothing to lose.
        if self.wait(GRACE / 5) is None:
            self._process.kill()
            self._process.wait()
        self._listener.join(GRACE)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.endswith(b"\n"):  # the last one of a process that is killed may be cut
                    self._messages.put(json.loads(line))
        self.at_end()


def _environment() -> dict[str, str]:
    """Return the worker's environment: it finds the modules that this process finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
