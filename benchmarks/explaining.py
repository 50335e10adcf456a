"""Tells whether explanations of film sentences add up, and whether the words that they name are those that matter.

    python benchmarks/explaining.py              # trains reviews_minilm first: about ten minutes on two cores
    python benchmarks/explaining.py RUN          # a run that is there: a folder, or a name in ./runs
    python benchmarks/explaining.py RUN --texts 20

Texts are drawn from the run's own test split, sentences of at least ten words. An explanation is complete where its
contributions miss the difference of the logit from the baseline's by at most a hundredth of it, or of 1. Then the five
words that speak most for the predicted label are deleted, and, ten times, five random ones: how far does the label's
logit move?
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measuring import say

from textclf import Classifier, Engine, Explanation, Word
from textclf.model.explain import without, words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORDS, DELETED, RANDOM = 10, 5, 10
BAR = 0.01


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("run", nargs="?", help="a finished run on film sentences; none: reviews_minilm is trained")
    parser.add_argument("--texts", type=int, default=200, help="how many sentences are explained")
    parser.add_argument("--method", default="auto", help="auto, exact, gradients or occlusion")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="explaining-") as folder:
        run = Path(chosen.run) if chosen.run and Path(chosen.run).is_dir() else None
        if chosen.run is None:
            say("training reviews_minilm")
            run = Engine(runs=folder).run("reviews_minilm").folder
        run = run or Engine().find(chosen.run)
        judge(Engine().load(run), drawn(run, chosen.texts), chosen.method)


def drawn(run: Path, count: int) -> list[str]:
    """Return that many texts of a run's test split, drawn from those with enough words."""
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    long = [text for text in texts if sum(text[start].isalnum() for start, _ in words_of(text)) >= WORDS]
    chosen = np.random.default_rng(0).permutation(len(long))[:count]
    say(f"{len(chosen)} of the {len(long)} test texts with at least {WORDS} words")
    return [long[row] for row in sorted(chosen)]


def judge(classifier: Classifier, texts: list[str], method: str) -> None:
    explanations = []
    for row, text in enumerate(texts, 1):
        explanations += classifier.explain([text], method=method)
        if row % 50 == 0:
            say(f"{row} texts explained")
    completeness(explanations)
    faithfulness(classifier, explanations)


def completeness(explanations: Sequence[Explanation]) -> None:
    """Print how far contributions miss what they should add up to."""
    difference = np.array([abs(each.logit - each.baseline) for each in explanations])
    error = np.array([abs(each.error) for each in explanations])
    share = error / np.maximum(difference, 1.0)
    met = int((share <= BAR).sum())
    first = explanations[0]
    say(f"method: {first.method}; {first.of.partition(' of ')[0]} against {first.against}")
    say(
        f"completeness error over max(|difference|, 1): median {np.median(share):.2g}, largest {share.max():.2g}; "
        f"at most {BAR} in {met} of {len(share)}: {'met' if met == len(share) else 'not met'}"
    )


def faithfulness(classifier: Classifier, explanations: Sequence[Explanation]) -> None:
    """Print how far the logit moves when the words that speak most for a label are deleted, or random ones."""
    generator = np.random.default_rng(1)
    variants: list[list[str]] = []
    for each in explanations:
        words = [word for word in each.words if any(map(str.isalnum, word.text))]
        top = sorted(words, key=lambda word: -word.contribution)[:DELETED]
        some = [generator.permutation(len(words))[:DELETED] for _ in range(RANDOM)]
        chances = [deleted(each, [words[place] for place in places]) for places in some]
        variants.append([each.text, deleted(each, top), *chances])
    columns = [classifier.labels.index(each.label) for each in explanations]
    logits = np.array(logits_of(classifier, variants, columns))
    moved = np.abs(logits[:, 1:] - logits[:, :1])
    top, chance = moved[:, 0], moved[:, 1:].mean(axis=1)
    low, high = interval(top - chance)
    say(f"logit moves by {top.mean():.3f} without the top {DELETED} words, by {chance.mean():.3f} without random ones")
    say(
        f"difference {np.mean(top - chance):+.3f} (95 % interval {low:+.3f} to {high:+.3f}; "
        f"more in {np.mean(top > chance):.0%} of the texts): {'met' if low > 0 else 'not met'}"
    )


def deleted(explanation: Explanation, words: Iterable[Word]) -> str:
    return without(explanation.text, [(word.start, word.end) for word in words])


def logits_of(classifier: Classifier, variants: list[list[str]], columns: list[int]) -> NDArray[np.float64]:
    """Return how far the label's log probability lies above the mean of the others', float64[texts, variants]."""
    scores = classifier.scores([text for each in variants for text in each]).astype(np.float64)
    logs = np.log(np.clip(scores, 1e-12, 1.0)).reshape(len(variants), -1, scores.shape[1])
    own = np.array([row[:, column] for row, column in zip(logs, columns, strict=True)])
    others: NDArray[np.float64] = (logs.sum(axis=2) - own) / (scores.shape[1] - 1)
    return own - others


def interval(differences: NDArray[np.float64], draws: int = 10_000) -> tuple[float, float]:
    """Return the bootstrap's 95 % interval of the mean, over texts drawn anew."""
    drawn = np.random.default_rng(2).choice(differences, (draws, len(differences))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main(sys.argv[1:])
