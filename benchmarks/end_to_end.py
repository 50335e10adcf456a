"""Compares `textclf run reviews_minilm` with scripts around Hugging Face's Trainer, from the command to the result.

    python benchmarks/end_to_end.py                # five hours on two AVX2 cores; --pairs 3 takes a third of it
    python benchmarks/end_to_end.py --settings '{"matmul": "medium"}'     # the expert's, where they are known

Imports included; the same texts, split and epochs; each starts with empty caches. The expert's settings are searched
before, in the same run, and that search is not counted.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import texts
from choosing import reported
from expert import search
from measuring import Peak, Shape, alternate, estimate, ratios, say
from sides import Case, launch_ours, ours

TRAINER = Path(__file__).parent / "peers" / "hf_trainer.py"


@dataclass(slots=True)
class Runs:
    """The commands of each side, and what accuracies they came to."""

    folder: Path
    epochs: float
    checkpoint: Path
    limit: int | None
    accuracies: dict[str, list[float]] = field(default_factory=dict)

    def ours(self) -> float:
        with TemporaryDirectory(dir=self.folder) as where:
            changes = [f"trainer.epochs={self.epochs:g}", f"encoder.checkpoint={self.checkpoint}"]
            changes += [f"split.limit={self.limit}"] if self.limit else []
            command = [sys.executable, "-m", "textclf", "run", "reviews_minilm", "--json", "--runs", where]
            command += [word for change in changes for word in ("--set", change)]
            seconds, said = _timed(command, where)
        self._note("ours", json.loads(said)["report"]["metrics"]["accuracy"]["value"])
        return seconds

    def theirs(self, name: str, *arguments: str) -> Callable[[], float]:
        def run() -> float:
            given = ["--data", str(self.folder), "--checkpoint", str(self.checkpoint), "--epochs", f"{self.epochs:g}"]
            seconds, said = _timed([sys.executable, str(TRAINER), *arguments, *given], str(self.folder))
            self._note(name, json.loads(said.splitlines()[-1])["accuracy"])
            return seconds

        return run

    def _note(self, name: str, accuracy: float) -> None:
        self.accuracies.setdefault(name, []).append(accuracy)


def _timed(command: list[str], where: str) -> tuple[float, str]:
    """Run a command with empty caches and return its seconds and what it printed."""
    with TemporaryDirectory() as cache:
        around = {**os.environ, "TEXTCLF_CACHE": cache, "HF_HOME": cache}
        began = time.perf_counter()
        done = subprocess.run(command, cwd=where, env=around, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{command} fails:\n{done.stderr[-3000:]}")
    return seconds, done.stdout


def write_rows(folder: Path, limit: int | None) -> None:
    """Write the recipe's own split for the scripts."""
    for name, split in zip(("train", "test"), split_of(folder, limit), strict=True):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "label"))
            writer.writerows(
                (text, texts.NAMES[label]) for text, label in zip(split.texts.first, split.labels, strict=True)
            )


def split_of(folder: Path, limit: int | None) -> Any:
    return reported(folder, () if limit is None else (f"split.limit={limit}",))


def settings_of(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the expert's settings: as given, or the fastest of a search on the very texts."""
    if chosen.settings is not None:
        return dict(chosen.settings)
    train, test = texts.short(folder)
    into = texts.write(folder / "search", train, test)
    case = Case(into, str(chosen.checkpoint), "cpu", 32, 512, 128, 0.0)
    with launch_ours() as mine:
        ours(mine, case).end()
    modes = Peak(Shape(6, 384, 1536), 1024).burst()
    return dict(search(case, modes, chosen.trial_seconds, say)[0])


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--limit", type=int, help="sentences in all, for a first look")
    parser.add_argument("--settings", type=json.loads, help="the expert's settings, as JSON: no search")
    parser.add_argument("--trial-seconds", type=float, default=120, help="most for one trial of the expert")
    parser.add_argument("--checkpoint", type=Path, default=texts.minilm(), help="another network than MiniLM")
    chosen = parser.parse_args(arguments)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder, chosen.limit)
        settings = settings_of(chosen, folder)
        runs = Runs(folder, chosen.epochs, chosen.checkpoint, chosen.limit)
        sides = {
            "ours": runs.ours, "plain": runs.theirs("plain", "--plain"),
            "expert": runs.theirs("expert", "--expert", json.dumps(settings), "--dropout", "0"),
        }  # fmt: skip
        found = []
        for pair in alternate(sides, chosen.pairs):
            found.append(pair)
            say(f"pair {len(found):2}: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in pair.items()))
    for name in sides:
        seconds, accuracy = estimate([pair[name] for pair in found]), estimate(runs.accuracies[name])
        say(f"{name}: {seconds.median:.1f} s, accuracy {accuracy.median:.4f}")
    for name in ("plain", "expert"):
        times = ratios(*([pair[side] for pair in found] for side in ("ours", name)))
        say(f"our time over the {name} script's: {times}")


if __name__ == "__main__":
    main(sys.argv[1:])
