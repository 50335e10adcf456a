"""The choice of hyper-parameters without a look at the reported test split.

The test split that the reviews recipes report (split.seed 0) is set aside before anything else. What is left is split
anew by other seeds into texts to train on and texts to choose by.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textclf import Engine
from textclf.data.dataset import Dataset, Split
from textclf.plugin.context import RunContext
from textclf.run import pipeline
from textclf.run.splitting import DataSplits, split

Step = Mapping[str, Any]


class Bench:
    """The film sentences without the reported test split, and one split of them for each seed."""

    def __init__(self, folder: Path, encoder: Step, trainer: Step, labelled: int | None = None) -> None:
        self.recipe: dict[str, Any] = {
            "name": "choosing", "dataset": {"use": "reviews", "domain": "movies"}, "split": {"seed": 0},
            "encoder": encoder, "trainer": trainer, "metrics": ["accuracy", "log_loss"],
        }  # fmt: skip
        self.engine = Engine(cache=folder / "cache", offline=True)
        self.context = RunContext(0, folder, lambda event: None, offline=True)
        plan = self.engine.plan(self.recipe)
        self.settings, self.labelled = plan.settings.split, labelled
        whole = pipeline.load(plan, pipeline.build(plan), None, self.context)
        kept = split(whole, self.settings, validate=False, warn=print)
        self.dataset = Dataset(kept.labels, kept.train)

    def split(self, seed: int) -> DataSplits:
        """Return texts to train on, and, as `test`, an eighth to choose by: a tenth of all sentences."""
        settings = self.settings.model_copy(update={"seed": seed, "test": 0.125, "labelled": self.labelled})
        return split(self.dataset, settings, validate=False, unlabelled=self.labelled is not None, warn=print)

    def judge(self, encoder: Step, trainers: Sequence[Step], seed: int) -> Iterator[dict[str, float]]:
        """Yield accuracy, log loss and seconds of each trainer on the features of one encoder."""
        plans = [self.engine.plan({**self.recipe, "encoder": encoder, "trainer": trainer}) for trainer in trainers]
        parts = self.split(seed)
        encoded = pipeline.encode(plans[0], pipeline.build(plans[0]), parts, self.context)
        for plan in plans:
            began = time.perf_counter()
            components = pipeline.build(plan)
            model = pipeline.train(plan, components, parts, encoded, replace(self.context, seed=seed))
            seconds = time.perf_counter() - began
            scores = pipeline.score(plan, parts, encoded, "test", model, self.context)
            judged = pipeline.predictions(parts, parts.test, scores, pipeline.fixed_decision(plan))
            found = {name: metric(judged) for name, metric in components.metrics.items()}
            yield {**found, "seconds": seconds}


def reported(folder: Path, changes: Sequence[str] = ()) -> tuple[Split, Split]:
    """Return the film sentences as `reviews_minilm` splits them: the training texts and the reported test texts."""
    engine = Engine(cache=folder / "cache", offline=True)
    plan = engine.plan("reviews_minilm", overrides=changes)
    context = RunContext(0, folder, lambda event: None, offline=True)
    whole = pipeline.load(plan, pipeline.build(plan), None, context)
    parts = split(whole, plan.settings.split, validate=False, warn=print)
    return parts.train, parts.test


def compare(
    encoders: Sequence[Step], trainers: Sequence[Step], seeds: Sequence[int], labelled: int | None = None
) -> None:
    """Print a line for each pair as it is known, and the best of each trainer at the end.

    labelled: train on the labels of so many sentences alone; an encoder that adapts learns from the others as well.
    """
    best: dict[str, tuple[float, str]] = {}
    print(f"{'accuracy':>8} {'± error':>7} {'log loss':>8} {'seconds':>7}  encoder and trainer")
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), encoders[0], trainers[0], labelled)
        for encoder in encoders:
            for trainer in trainers:
                found = [next(bench.judge(encoder, [trainer], seed)) for seed in seeds]
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
