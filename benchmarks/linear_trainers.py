"""Compares TF-IDF options and linear trainers on the film sentences, and so chooses those of `reviews_tfidf`.

    python benchmarks/linear_trainers.py              # a minute: encoder and trainers as shipped
    python benchmarks/linear_trainers.py --search     # some minutes: the search behind their defaults

The test split that `reviews_tfidf` reports (split.seed 0) is set aside before anything else. What is left is split anew
by the seeds 1 to 5 into texts to train on and texts to choose by; every line is the mean over these seeds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textclf import Engine
from textclf.data.dataset import Dataset
from textclf.hooks.context import RunContext
from textclf.runs import pipeline
from textclf.runs.splitting import Parts, part

RECIPE: dict[str, Any] = {
    "version": 1, "name": "linear_trainers", "dataset": {"use": "reviews", "domain": "movies"}, "split": {"seed": 0},
    "encoder": "tfidf", "trainer": "logistic", "metrics": ["accuracy", "log_loss"],
}  # fmt: skip
Step = Mapping[str, Any]
SHIPPED: dict[str, Sequence[Step]] = {
    "encoder": [{"use": "tfidf"}],
    "trainer": [{"use": name} for name in ("logistic", "linear_svm", "naive_bayes", "nbsvm")],
}


def grid(use: str, **values: Sequence[Any]) -> list[Step]:
    """Return a step for every combination of the values."""
    return [{"use": use, **dict(zip(values, chosen, strict=True))} for chosen in itertools.product(*values.values())]


SEARCH: dict[str, Sequence[Step]] = {
    "encoder": [
        *grid("tfidf", min_df=[1, 2, 3], ngrams=[[1, 1], [1, 2], [1, 3]]),
        *grid("tfidf", min_df=[2], marks=[True]),
        *grid("tfidf", min_df=[2], binary=[True], sublinear=[False]),
        *grid("tfidf", analyzer=["char_wb"], ngrams=[[2, 5]], min_df=[2]),
    ],
    "trainer": [
        *grid("logistic", C=[1, 3, 10]),
        *grid("linear_svm", C=[0.1, 0.3, 1]),
        *grid("naive_bayes", alpha=[0.3, 1, 2]),
        *grid("nbsvm", C=[0.3, 1, 3], beta=[0.25, 0.5]),
    ],
}


class Bench:
    """The film sentences without the reported test split, and one split of them for each seed."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine(cache=folder / "cache", offline=True)
        self.context = RunContext(0, folder, lambda event: None, offline=True)
        plan = self.engine.plan(RECIPE)
        self.settings = plan.settings.split
        whole = pipeline.load(plan, None, self.context)
        kept = part(whole, self.settings, validate=False, warn=print)
        self.dataset = Dataset(kept.labels, kept.train)

    def split(self, seed: int) -> Parts:
        """Return texts to train on, and, as `test`, an eighth to choose by: a tenth of all sentences."""
        settings = self.settings.model_copy(update={"seed": seed, "test": 0.125})
        return part(self.dataset, settings, validate=False, warn=print)

    def judge(self, encoder: Step, trainers: Sequence[Step], seed: int) -> Iterator[dict[str, float]]:
        """Yield accuracy, log loss and seconds of each trainer on the features of one encoder."""
        plan = self.engine.plan({**RECIPE, "encoder": encoder})
        parts = self.split(seed)
        encoded = pipeline.encode(plan, parts, self.context)
        for trainer in trainers:
            chosen = self.engine.plan({**RECIPE, "encoder": encoder, "trainer": trainer})
            began = time.perf_counter()
            model = pipeline.train(chosen, parts, encoded, replace(self.context, seed=seed))
            seconds = time.perf_counter() - began
            scores = pipeline.score(chosen, parts, encoded, "test", model, self.context)
            judged = pipeline.predictions(parts, parts.test, scores, pipeline.fixed_decision(chosen))
            found = {name: metric(judged) for name, metric in pipeline.build_metrics(chosen).items()}
            yield {**found, "seconds": seconds}


def compare(encoders: Sequence[Step], trainers: Sequence[Step], seeds: Sequence[int]) -> None:
    """Print a line for each pair as it is known, and the best of each trainer at the end."""
    best: dict[str, tuple[float, str]] = {}
    print(f"{'accuracy':>8} {'± error':>7} {'log loss':>8} {'seconds':>7}  encoder and trainer")
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for encoder in encoders:
            rounds = [list(bench.judge(encoder, trainers, seed)) for seed in seeds]
            for trainer, *found in zip(trainers, *rounds, strict=True):
                accuracies = [one["accuracy"] for one in found]
                accuracy = statistics.mean(accuracies)
                error = statistics.stdev(accuracies) / len(seeds) ** 0.5 if len(seeds) > 1 else 0.0
                loss, seconds = (statistics.mean(one[key] for one in found) for key in ("log_loss", "seconds"))
                line = f"{accuracy:8.4f} {error:7.4f} {loss:8.4f} {seconds:7.2f}  {say(encoder)} + {say(trainer)}"
                print(line, flush=True)
                best[trainer["use"]] = max(best.get(trainer["use"], (0.0, "")), (accuracy, line))
    print("\nbest of each trainer:", *(line for _, line in sorted(best.values(), reverse=True)), sep="\n")


def say(step: Step) -> str:
    options = {key: value for key, value in step.items() if key != "use"}
    return step["use"] + (f" {json.dumps(options)}" if options else "")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--search", action="store_true", help="try the whole grid")
    parser.add_argument("--seeds", type=int, default=5, help="how many split seeds, from 1 on")
    chosen = parser.parse_args(arguments)
    steps = SEARCH if chosen.search else SHIPPED
    compare(steps["encoder"], steps["trainer"], range(1, chosen.seeds + 1))


if __name__ == "__main__":
    main(sys.argv[1:])
