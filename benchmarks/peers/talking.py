"""How a benchmark drives its sides: each is a process of its own that works in blocks, on command, in turn.

A side that waits for its next command uses no core, and no setting of one (precision, threads) reaches another.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

HERE = Path(__file__).parent


class TooSlow(Exception):  # noqa: N818 - an outcome of a measurement, not a fault
    """A side did not answer in the time it was given; its process has been ended."""


class Side:
    """One side of a comparison, as its driver sees it."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._told = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the side
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._told, text=True,
        )  # fmt: skip

    def ask(self, do: str, *, within: float | None = None, **given: Any) -> dict[str, Any]:
        """Give a command and return the answer; TooSlow where there is none within so many seconds."""
        commands, answers = _pipes(self._process)
        commands.write(json.dumps({"do": do, **given}) + "\n")
        commands.flush()
        with selectors.DefaultSelector() as waiting:
            waiting.register(answers, selectors.EVENT_READ)
            if not waiting.select(within):
                self.close()
                raise TooSlow(do)
        line = answers.readline()
        if not line:
            self._told.seek(0)
            raise RuntimeError(f"{self._process.args} ended while asked to {do}:\n{self._told.read()[-4000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def peak_memory(self) -> float:
        """Return the most memory that the process has held at once, in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text("utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (*_pipes(self._process), self._told):
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Driver:
    """The driver, as a side sees it: commands come in a line each, and each is answered by a line."""

    def __init__(self) -> None:
        # Libraries may print: what they print goes to stderr, and answers keep a pipe of their own.
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def hear(self) -> dict[str, Any]:
        line = sys.stdin.readline()
        if not line:
            raise SystemExit(0)
        heard: dict[str, Any] = json.loads(line)
        return heard

    def tell(self, answer: Mapping[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
