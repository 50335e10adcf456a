"""Measures how long `textclf --help` takes, beside what only importing its libraries takes; and what plugins cost.

    python benchmarks/startup.py
    python benchmarks/startup.py --plugins 30

Prints the median of 20 alternated runs of both, and their ratio, which is to be at most 1.6. With `--plugins` it makes
so many packages as `textclf plugins new` does, with more options, installs them, and prints the CPU seconds of `check`
and `--help` without them, and how many more with them: for 30, check is to take at most 0.2 s more.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import alternate

FLOOR = [sys.executable, "-c", "from pydantic import BaseModel; import typer, rich.console"]
HELP = [sys.executable, "-m", "textclf", "--help"]
CHECK = [sys.executable, "-m", "textclf", "check", "reviews_tfidf"]
OPTIONS = '''\
    depth: int = Field(3, ge=1, le=99, description="how many levels are looked at")
    rate: float | None = Field(None, gt=0, le=1, description="the step; found on the data unless said")
    way: Literal["mean", "first", "last"] = Field("mean", description="how levels are put together")
    left_out: tuple[str, ...] = Field((), max_length=20, description="what is not looked at")
    exact: bool = Field(False, description="whether every text is looked at")
'''


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(rounds: int = 20) -> tuple[float, float]:
    """Return the median seconds of the floor and of `--help`, run in turn so that both meet the same machine."""
    times = list(alternate({"floor": partial(seconds, FLOOR), "help": partial(seconds, HELP)}, rounds))
    return statistics.median(pair["floor"] for pair in times), statistics.median(pair["help"] for pair in times)


def write_plugins(folder: Path, number: int) -> Iterator[Path]:
    """Write packages by `textclf plugins new`, of each kind in turn, with five more options each."""
    from textclf.scaffold import KINDS, package

    for place in range(number):
        made = package(f"made_{place}", KINDS[place % len(KINDS)])
        written = made.write(folder)
        module = written / f"{made.module}.py"
        module.write_text(_with_options(module.read_text("utf-8")), "utf-8")
        yield written


def _with_options(source: str) -> str:
    """Return the module with more options; an observer has none."""
    above, begins, below = source.partition("Options(Options):\n")
    return above.replace("import Any\n", "import Any, Literal\n").replace(
        "TYPE_CHECKING, Any\n", "TYPE_CHECKING, Any, Literal\n"
    ) + (begins + OPTIONS + below if begins else "")


def install(target: Path, packages: Sequence[Path]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(target), *map(str, packages)], check=True)


def work(command: list[str], site: Path | None = None) -> float:
    """Return the CPU seconds of a command, which other work on the machine changes little; `site` is installed."""
    paths = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(site) if site else ""]
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=there)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cost(command: list[str], site: Path, rounds: int = 15) -> tuple[float, float]:
    """Return the median CPU seconds of a command without what is installed in `site`, and how many more with it."""
    work(command), work(command, site)
    pairs = list(alternate({"none": partial(work, command), "all": partial(work, command, site)}, rounds))
    more = statistics.median(pair["all"] - pair["none"] for pair in pairs)
    return statistics.median(pair["none"] for pair in pairs), more


def say_cost(number: int) -> None:
    with TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        install(site, list(write_plugins(Path(folder), number)))
        for name, command in (("check", CHECK), ("--help", HELP)):
            alone, more = cost(command, site)
            print(f"textclf {name}: {alone:.3f} s of CPU; with {number} plugins {more:+.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--plugins", type=int, default=0, metavar="N", help="also measure with N plugins installed")
    asked_for = parser.parse_args()
    seconds(FLOOR), seconds(HELP)
    floor, asked = measure()
    print(f"textclf --help: {asked:.3f} s; importing its libraries alone: {floor:.3f} s; ratio {asked / floor:.2f}")
    if asked_for.plugins:
        say_cost(asked_for.plugins)
