"""Measures how long `textclf --help` takes, beside what only importing its libraries takes.

    python benchmarks/startup.py

Prints the median of 20 alternated runs of both, and their ratio, which is to stay at most 1.6.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

FLOOR = [sys.executable, "-c", "from pydantic import BaseModel; import typer, rich.console"]
HELP = [sys.executable, "-m", "textclf", "--help"]


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(rounds: int = 20) -> tuple[float, float]:
    """Return the median seconds of the floor and of `--help`, run in turn so that both meet the same machine."""
    times = [(seconds(FLOOR), seconds(HELP)) for _ in range(rounds)]
    floors, helps = zip(*times, strict=True)
    return statistics.median(floors), statistics.median(helps)


if __name__ == "__main__":
    seconds(FLOOR), seconds(HELP)
    floor, asked = measure()
    print(f"textclf --help: {asked:.3f} s; importing its libraries alone: {floor:.3f} s; ratio {asked / floor:.2f}")
