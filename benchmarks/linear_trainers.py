"""Compares TF-IDF options and linear trainers on the film sentences, and so chooses those of `reviews_tfidf`.

    python benchmarks/linear_trainers.py              # a minute: the trainers as shipped
    python benchmarks/linear_trainers.py --search     # many minutes: the search behind their defaults

Chosen on the split seeds 1 to 5 of what `reviews_tfidf` trains on (see choosing.py); every line is their mean.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from typing import Any

from choosing import Step, compare

SHIPPED: dict[str, Sequence[Step]] = {
    "encoder": [{"use": "tfidf"}],
    "trainer": [{"use": name} for name in ("logistic", "linear_svm", "naive_bayes", "nbsvm")],
}


def grid(use: str, **values: Sequence[Any]) -> list[Step]:
    """Return a step for every combination of the values."""
    return [{"use": use, **dict(zip(values, chosen, strict=True))} for chosen in itertools.product(*values.values())]


SEARCH: dict[str, Sequence[Step]] = {
    "encoder": [
        *grid("tfidf", min_df=[1, 2, 3], ngram_range=[[1, 1], [1, 2], [1, 3]]),
        *grid("tfidf", min_df=[2], marks=[True]),
        *grid("tfidf", min_df=[2], binary=[True], sublinear_tf=[False]),
        *grid("tfidf", analyzer=["char_wb"], ngram_range=[[2, 5]], min_df=[2]),
    ],
    "trainer": [
        *grid("logistic", C=[1, 3, 10]),
        *grid("linear_svm", C=[0.1, 0.3, 1]),
        *grid("naive_bayes", alpha=[0.3, 1, 2]),
        *grid("nbsvm", C=[0.3, 1, 3], beta=[0.25, 0.5]),
    ],
}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--search", action="store_true", help="try the whole grid")
    parser.add_argument("--seeds", type=int, default=5, help="how many split seeds, from 1 on")
    chosen = parser.parse_args(arguments)
    steps = SEARCH if chosen.search else SHIPPED
    compare(steps["encoder"], steps["trainer"], range(1, chosen.seeds + 1))


if __name__ == "__main__":
    main(sys.argv[1:])
