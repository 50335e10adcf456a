"""Measures how long `textclf --help` takes, beside what only importing its libraries takes.

    python benchmarks/startup.py

Prints the median of 20 alternated runs of both, and their ratio, which is to stay at most 1.6.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from functools import partial

from measuring import alternate

FLOOR = [sys.executable, "-c", "from pydantic import BaseModel; import typer, rich.console"]
HELP = [sys.executable, "-m", "textclf", "--help"]


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(rounds: int = 20) -> tuple[float, float]:
    """Return the median seconds of the floor and of `--help`, run in turn so that both meet the same machine."""
    times = list(alternate({"floor": partial(seconds, FLOOR), "help": partial(seconds, HELP)}, rounds))
    return statistics.median(pair["floor"] for pair in times), statistics.median(pair["help"] for pair in times)


if __name__ == "__main__":
    seconds(FLOOR), seconds(HELP)
    floor, asked = measure()
    print(f"textclf --help: {asked:.3f} s; importing its libraries alone: {floor:.3f} s; ratio {asked / floor:.2f}")
