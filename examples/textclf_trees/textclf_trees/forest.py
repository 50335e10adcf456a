"""The trees: grown a round at a time, so that a forest read back from text grows the very trees it would have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from textclf import ArtefactError, DataError

from . import TreesOptions
from .questions import Floats, Questions


@dataclass(slots=True)
class Forest:
    """A booster for each question, all of them `rounds` rounds old.

    LightGBM going on from a saved model is not by itself what going on without a break is: its generators begin anew.
    So every draw of a round comes from a seed of that round alone. Scores are no obstacle: they are sums of leaves, in
    the order of the trees, of values that the text keeps to the last bit.
    """

    boosters: list[lightgbm.Booster]
    rounds: int
    seed: int

    def grow(self) -> bool:
        """Add a round of trees; return whether any booster found something to split."""
        before, draws = self.sizes(), _draws(self.seed, self.rounds)
        for booster in self.boosters:
            booster.reset_parameter(draws)
            booster.update()
        self.rounds += 1
        return self.sizes() != before

    def texts(self) -> list[str]:
        """Return each booster in LightGBM's own text format."""
        return [booster.model_to_string(num_iteration=-1) for booster in self.boosters]

    def sizes(self) -> list[int]:
        """Return how many rounds of trees each booster has; fewer than rounds where one had nothing to split."""
        return [booster.current_iteration() for booster in self.boosters]

    def loss(self) -> float:
        """Return the mean log loss of the training texts, over questions."""
        return float(np.mean([booster.eval_train()[0][2] for booster in self.boosters]))


def plant(
    matrix: Any, truth: NDArray[Any], questions: Questions, options: TreesOptions, seed: int,
    before: Forest | None = None,
) -> Forest:  # fmt: skip
    """Grow the first round of a forest, or the round after those of one that was read back."""
    boosters, rounds = [], before.rounds if before else 0
    settings = _settings(options, seed) | questions.objective() | _draws(seed, rounds)
    for question, targets in enumerate(questions.targets(truth)):
        data = lightgbm.Dataset(matrix, targets, params=settings, free_raw_data=False)
        grown = before.boosters[question] if before else None
        try:
            if not _splittable(data):
                raise DataError(
                    f"no feature parts the {len(truth):,} training texts so that {options.least} are on either side; "
                    "lower `least`, or give more texts"
                )
            boosters.append(lightgbm.train(settings, data, 1, init_model=grown, keep_training_booster=True))
        except lightgbm.basic.LightGBMError as error:
            raise DataError(f"LightGBM cannot learn from these {len(truth):,} training texts: {error}") from None
    return Forest(boosters, rounds + 1, seed)


def _splittable(data: lightgbm.Dataset) -> bool:
    """Tell whether any column is left: LightGBM drops those that no tree could ask about, and fails without any."""
    data.construct()
    return any(data.feature_num_bin(column) for column in range(data.num_feature()))


def answers(boosters: Sequence[lightgbm.Booster], matrix: Any, threads: int) -> list[Floats]:
    """Return the raw answer of each booster, float64[texts] or float64[texts, classes]."""
    return grown_answers(boosters, [0] * len(boosters), matrix, threads)


def grown_answers(
    boosters: Sequence[lightgbm.Booster], since: Sequence[int], matrix: Any, threads: int
) -> list[Floats]:
    """Return what the trees of each booster say that came after its first `since` rounds."""
    return [
        np.asarray(booster.predict(matrix, start, size - start, raw_score=True, num_threads=threads))
        if (size := booster.current_iteration()) > start
        else np.zeros(())  # it found nothing to split: all that it says is said
        for booster, start in zip(boosters, since, strict=True)
    ]


def read_trees(path: Path) -> str:
    """Return a booster's text; an ArtefactError where LightGBM cannot read it."""
    try:
        text = path.read_text("utf-8")
        lightgbm.Booster(model_str=text)
    except (OSError, ValueError, lightgbm.basic.LightGBMError) as error:
        raise ArtefactError(f"{path}: cannot be read as trees: {error}; the model is damaged") from None
    return text


def cut(text: str, size: int) -> str:
    """Return a booster's text with its first `size` rounds alone."""
    cut: str = lightgbm.Booster(model_str=text).model_to_string(num_iteration=size)
    return cut


def _settings(options: TreesOptions, seed: int) -> dict[str, Any]:
    return {
        "learning_rate": options.rate, "num_leaves": options.leaves, "min_data_in_leaf": options.least,
        "feature_fraction": options.share, "lambda_l2": options.shrink, "num_threads": options.threads,
        "seed": Random(seed).getrandbits(31), "verbosity": -1,
        # The same trees whatever the number of threads, and no trial of which of two ways is faster today.
        "deterministic": True, "force_col_wise": True,
    }  # fmt: skip


def _draws(seed: int, rounds: int) -> dict[str, int]:
    """Return what the columns of a round are drawn by. Rows are not drawn: no option sets that generator anew."""
    return {"feature_fraction_seed": Random(f"{seed}:{rounds}").getrandbits(31)}
