"""Measures what adaptation to texts without labels is worth where few labels are known, on the film sentences.

    python benchmarks/few_labels.py                    # 200 labels, five seeds: twenty minutes on two cores
    python benchmarks/few_labels.py --labelled 50 --seeds 3 --runs kept

Both sides fine-tune MiniLM on the same labelled sentences (`split.labelled`, drawn evenly) and are tested on the same
texts; one has learned the language of all training sentences by masked words before. SETTINGS were chosen without
adaptation, and the recipe's adaptation with them, on other splits of the training texts (`--choose`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from choosing import compare
from minilm import ENCODER
from systems import kept_runs, of_recipe

from textclf import Engine

RECIPE = "reviews_minilm_adapted"
SETTINGS = ["trainer.epochs=10", "trainer.batch_size=16", "trainer.learning_rate=5e-5"]
SIDES = {"plain": ["encoder.adapt=null"], "adapted": []}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--labelled", type=int, default=200, help="sentences that keep their label")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each side")
    parser.add_argument("--runs", type=Path, help="where runs are kept, and found again")
    parser.add_argument("--choose", action="store_true", help="the search behind the settings of both sides")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="as textclf run has it")
    chosen = parser.parse_args(arguments)
    if chosen.choose:
        choose(chosen.labelled)
        return
    with kept_runs(chosen.runs) as runs:
        fixed = [*SETTINGS, f"split.labelled={chosen.labelled}", *chosen.changes]
        for side, changes in SIDES.items():
            of_recipe(runs, RECIPE, chosen.seeds, [*fixed, *changes], label=side)
        found = Engine(runs=runs).compare(
            [[f"{side}-{seed}" for seed in range(1, chosen.seeds + 1)] for side in SIDES], metrics=["accuracy"]
        )
        for side, of in zip(SIDES, found.metrics["accuracy"], strict=True):
            print(f"{side}: mean accuracy {of.value:.4f} over {chosen.seeds} seeds")
        gap = found.metrics["accuracy"][1]
        print(f"difference {gap.difference:+.4f} (95 % interval {gap.low:+.4f} to {gap.high:+.4f}), p {gap.p:.2g}")
        print(*found.sentences(), found.scope(), sep="\n")


def choose(labelled: int) -> None:
    """Print accuracies of settings on other splits of the training texts: of plain training, then of adaptation."""
    trainers = [
        {"use": "torch", "epochs": epochs, "learning_rate": rate, "batch_size": 16}
        for epochs, rate in product((5, 10), (5e-5, 1e-4))
    ]
    compare([ENCODER], trainers, (1, 2), labelled)
    adapting = [{"epochs": epochs, "learning_rate": rate} for epochs, rate in ((1, 5e-5), (1, 3e-4), (3, 3e-4))]
    best = {"use": "torch", "epochs": 10, "learning_rate": 5e-5, "batch_size": 16}
    compare([{**ENCODER, "adapt": adapt} for adapt in adapting], [best], (1, 2), labelled)


if __name__ == "__main__":
    main(sys.argv[1:])
