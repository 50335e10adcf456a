"""One training: round after round, evaluated, reported, saved in checkpoints, and stopped on request."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import lightgbm

from textclf import ArtefactError, Context, Encoded, EpochFinished, Progress, Stopped

from . import TreesOptions
from .forest import Forest, cut, grown_answers, plant, read_trees
from .questions import Floats, Questions, as_matrix

STATE = "state.json"


class Training:
    """What is given, and where it stands: the best round, its boosters' sizes, and the answers to validation texts."""

    def __init__(
        self, options: TreesOptions, questions: Questions, train: Encoded, validation: Encoded | None, context: Context
    ) -> None:
        self.options, self.questions, self.context = options, questions, context
        self.matrix, self.truth = as_matrix(train.features), train.labels
        self.validation = None if validation is None else as_matrix(validation.features)
        self.growing = True
        self.best_round, self.best_value, self.best_sizes = 0, float("-inf"), [0] * questions.number()
        self.answers: list[Floats] = []
        self.answered = [0] * questions.number()
        self.told = time.monotonic()

    def run(self) -> list[str]:
        """Return the text of each booster, cut after the best round where one was chosen."""
        forest = self._begin()
        while not self._over(forest.rounds):
            self.growing = forest.grow()
            self._finish_round(forest)
        sizes = forest.sizes() if self.validation is None else self.best_sizes
        return [cut(text, size) for text, size in zip(forest.texts(), sizes, strict=True)]

    def _begin(self) -> Forest:
        """Grow the first round, or read the newest checkpoint and grow the round after it."""
        checkpoints = self.context.checkpoints
        latest = checkpoints.latest() if checkpoints else None
        if latest is None:
            forest = plant(self.matrix, self.truth, self.questions, self.options, self.context.seed)
        else:
            before = self._read(latest)
            if self._over(before.rounds):
                return before
            forest = plant(self.matrix, self.truth, self.questions, self.options, self.context.seed, before)
            self.growing = forest.sizes() != before.sizes()
        self._finish_round(forest)
        return forest

    def _over(self, rounds: int) -> bool:
        patience = self.options.patience
        waited = self.validation is not None and patience is not None and rounds - self.best_round >= patience
        return waited or not self.growing or rounds >= self.options.rounds

    def _finish_round(self, forest: Forest) -> None:
        metrics = self._judge(forest)
        self._tell(forest, metrics)
        stopping, checkpoints = self.context.stopping(), self.context.checkpoints
        if checkpoints and (stopping or forest.rounds % self.options.checkpoint_every == 0):
            checkpoints.save(forest.rounds, lambda folder: self._write(forest, folder))
        if stopping:
            raise Stopped(f"stopped after round {forest.rounds} of {self.options.rounds}")

    def _judge(self, forest: Forest) -> Mapping[str, float] | None:
        """Judge the validation texts by the recipe's metrics, and remember the best round."""
        if self.validation is None:
            return None
        self._answer(forest)
        judged = self.context.judge(self.questions.probabilities(self.answers, self.validation.shape[0]))
        if judged.value > self.best_value:
            self.best_round, self.best_value, self.best_sizes = forest.rounds, judged.value, forest.sizes()
        return judged.metrics

    def _answer(self, forest: Forest) -> None:
        """Add what the newest trees say of the validation texts."""
        new = grown_answers(forest.boosters, self.answered, self.validation, self.options.threads)
        self.answers = [old + more for old, more in zip(self.answers, new, strict=True)] if self.answers else new
        self.answered = forest.sizes()

    def _tell(self, forest: Forest, metrics: Mapping[str, float] | None) -> None:
        loss, total, now = forest.loss(), self.options.rounds, time.monotonic()
        if now - self.told > 0.3:
            self.context.emit(Progress(stage="train", done=forest.rounds, total=total, unit="rounds", loss=loss))
            self.told = now
        validation = None if metrics is None else dict(metrics)
        best = metrics is not None and self.best_round == forest.rounds
        self.context.emit(
            EpochFinished(
                epoch=forest.rounds, epochs=total, step=forest.rounds, loss=loss, validation=validation, best=best
            )
        )

    def _write(self, forest: Forest, folder: Path) -> None:
        for question, text in enumerate(forest.texts()):
            (folder / f"{question}.txt").write_text(text, "utf-8")
        value = None if self.validation is None else self.best_value
        best = {"round": self.best_round, "value": value, "sizes": self.best_sizes}
        state = {"rounds": forest.rounds, "growing": self.growing, "best": best}
        (folder / STATE).write_text(json.dumps(state), "utf-8")

    def _read(self, folder: Path) -> Forest:
        """Stand where a checkpoint stood, and return its forest, which can answer and not grow."""
        try:
            state = json.loads((folder / STATE).read_text("utf-8"))
            rounds, self.growing, best = state["rounds"], state["growing"], state["best"]
            self.best_round, self.best_sizes = best["round"], best["sizes"]
            self.best_value = self.best_value if best["value"] is None else best["value"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtefactError(f"{folder / STATE}: cannot be read: {error}; start the run again") from None
        texts = [read_trees(folder / f"{question}.txt") for question in range(self.questions.number())]
        forest = Forest([lightgbm.Booster(model_str=text) for text in texts], rounds, self.context.seed)
        if self.validation is not None:
            self._answer(forest)
        return forest
