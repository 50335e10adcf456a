"""Compares the systems that recipes name on the film sentences: one table of accuracy, time, size and what differs.

    python benchmarks/systems.py                       # three seeds each: an hour on two cores
    python benchmarks/systems.py --runs kept           # keeps the runs there, and goes on where it was stopped
    python benchmarks/systems.py --seeds 1 --only majority reviews_tfidf reviews_glove_mean

All are trained and tested on the same texts (`split.seed: 0`). Settings are those of the recipes, which were chosen on
other splits of the training texts (see choosing.py); nothing is chosen here. Seconds are those of the first seed's run,
with nothing in the cache. Two systems differ where their recipes do over all seeds (`textclf compare`), Holm-corrected
for all pairs of the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from textclf import Engine, Metric, Predictions, Report
from textclf.compare.compare import compare_predictions
from textclf.compare.comparison import ComparedSystem
from textclf.compare.statistics import LEVEL, holm
from textclf.evaluation import metrics
from textclf.run.folder import open_run
from textclf.run.predictions_file import read_predictions, usual_metrics
from textclf.run.study import spread

MAJORITY = "majority"
SYSTEMS = {
    MAJORITY: "always the commonest label",
    "reviews_tfidf": "TF-IDF, NBSVM",
    "reviews_glove_mean": "GloVe, mean of vectors",
    "reviews_glove_bilstm": "GloVe, BiLSTM",
    "reviews_glove_cnn": "GloVe, CNN",
    "reviews_frozen": "MiniLM frozen, logistic regression",
    "reviews_minilm": "MiniLM fine-tuned",
    "reviews_minilm_adapted": "MiniLM adapted and fine-tuned",
}
CHANGES = {"reviews_tfidf": ["trainer=nbsvm"]}  # the best linear trainer on validation (linear_trainers.py)
DRAWS = 2000


@dataclass(frozen=True, slots=True)
class System:
    """A system's runs on the same test texts. seconds: of the first of them. parameters: in the saved model."""

    name: str
    predictions: tuple[Predictions, ...]
    seconds: float
    parameters: int


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each system")
    parser.add_argument("--only", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), help="these systems")
    parser.add_argument("--runs", type=Path, help="where runs are kept, and found again")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="as textclf run has it")
    chosen = parser.parse_args(arguments)
    with kept_runs(chosen.runs) as runs:
        names = [name for name in chosen.only if name != MAJORITY]
        found = [of_recipe(runs, name, chosen.seeds, [*CHANGES.get(name, ()), *chosen.changes]) for name in names]
        if MAJORITY in chosen.only:
            found.insert(0, majority(runs, found))
        print("\n".join(table(found)))


@contextmanager
def kept_runs(named: Path | None) -> Iterator[Path]:
    if named is not None:
        yield named
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def of_recipe(runs: Path, name: str, seeds: int, changes: Sequence[str], *, label: str = "") -> System:
    """Run a recipe with so many seeds, or find what was run before, and read it; label: what its runs are called."""
    engine = Engine(runs=runs, cache=runs / "cache" / name, offline=True)
    members = []
    for seed in range(1, seeds + 1):
        called = f"{label or name}-{seed}"
        begun = next((run for run in engine.runs_list() if run.name == called), None)
        if begun is None:
            engine.run(name, overrides=[*changes, f"name={called}"], seed=seed)
        elif begun.state != "finished":
            engine.resume(begun.folder)
        members.append(engine.find(called))
        print(f"{called}: accuracy {Report.load(members[-1]).metrics['accuracy']}", flush=True)
    read = tuple(read_predictions(open_run(member)) for member in members)
    return System(name, read, float(open_run(members[0]).record["seconds"]), parameters(members[0] / "model"))


def majority(runs: Path, others: Sequence[System]) -> System:
    """Return what always answers with the commonest training label, over the same texts as the others."""
    engine = Engine(runs=runs)
    share = Report.load(engine.find(f"{others[0].name}-1")).baseline["accuracy"]
    truth = others[0].predictions[0]
    # Which label that is follows from what it reached; of equally common ones it is the first.
    rates = [float((truth.truth == label).mean()) for label in range(len(truth.labels))]
    label = int(np.argmin(np.abs(np.array(rates) - share)))
    scores = np.eye(len(rates), dtype=np.float32)[[label] * len(truth)]
    constant = replace(truth, predicted=np.full(len(truth), label), scores=scores)
    return System(MAJORITY, (constant,) * len(others[0].predictions), 0.0, 0)


def parameters(model: Path) -> int:
    """Count the numbers that a saved model holds as weights."""
    from safetensors import safe_open

    count = 0
    for file in model.rglob("*.safetensors"):
        with safe_open(file, "numpy") as tensors:
            count += sum(int(np.prod(tensors.get_slice(name).get_shape())) for name in tensors.keys())  # noqa: SIM118
    return count + sum(np.load(file, mmap_mode="r").size for file in (model / "trainer").glob("*.npy"))


def table(systems: Sequence[System]) -> Iterator[str]:
    """Return the lines of the table, in Markdown."""
    accuracy = {"accuracy": usual_metrics(Engine().registry)["accuracy"]}
    flat = [one for system in systems for one in system.predictions]
    drawn = iter(metrics.bootstrap(accuracy, flat, DRAWS))
    of = {system.name: [next(drawn) for _ in system.predictions] for system in systems}
    like = alike(systems, accuracy)
    yield "| | system | accuracy (95 % interval) | seconds | parameters | no evidence of a difference from |"
    yield "|---|---|---|---|---|---|"
    for number, system in enumerate(systems, 1):
        found = spread([draws["accuracy"] for draws in of[system.name]], DRAWS)
        others = ", ".join(str(other) for other in sorted(like[number])) or "none"
        seconds = f"{system.seconds:.0f}" if system.parameters else ""
        yield (
            f"| {number} | {SYSTEMS[system.name]} | {found.mean:.4f} ({found.low:.4f} to {found.high:.4f}) | {seconds} "
            f"| {system.parameters:,} | {others} |"
        )


def alike(systems: Sequence[System], accuracy: dict[str, Metric]) -> dict[int, set[int]]:
    """Return for each row, counted from 1, those that it does not differ from, all pairs taken together."""
    pairs = list(combinations(range(len(systems)), 2))
    sides = [
        ComparedSystem(system.name, (Path(system.name),), tuple(range(len(system.predictions)))) for system in systems
    ]
    p_values = []
    for pair in pairs:
        read = [systems[row].predictions for row in pair]
        compared = compare_predictions([sides[row] for row in pair], read, accuracy, DRAWS)
        p_values.append(compared.metrics["accuracy"][1].p)
    found: dict[int, set[int]] = {row: set() for row in range(1, len(systems) + 1)}
    for (one, other), p in zip(pairs, holm(p_values), strict=True):
        if not p < LEVEL:
            found[one + 1].add(other + 1)
            found[other + 1].add(one + 1)
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
