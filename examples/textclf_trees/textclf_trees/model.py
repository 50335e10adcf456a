"""The trained model: questions and trees, saved as JSON and LightGBM's own text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from textclf import ArtefactError, Context, Labels

from .forest import answers, read_trees
from .questions import Questions, as_matrix

QUESTIONS = "questions.json"


def file_of(question: int) -> str:
    return f"trees-{question:04d}.txt"


class TreesModel:
    """Trees as their text, from which the boosters are made: what is scored is what is saved."""

    def __init__(self, questions: Questions, labels: Labels, texts: Sequence[str], threads: int) -> None:
        self.questions = questions
        self.labels = labels
        self.texts = list(texts)
        self.threads = threads
        self.boosters = [lightgbm.Booster(model_str=text) for text in self.texts]

    def scores(self, features: Any, context: Context) -> NDArray[np.float32]:
        """Return probabilities, float32[texts, labels]; rows sum to one for single-label tasks."""
        rows, columns = features.shape
        for booster in self.boosters:
            if booster.num_feature() != columns:
                raise ArtefactError(
                    f"the model was trained on {booster.num_feature()} features a text, but the encoder makes "
                    f"{columns}: it is another one, or is not restored as it was saved"
                )
        if rows == 0:
            return np.zeros((0, len(self.labels)), np.float32)
        return self.questions.probabilities(answers(self.boosters, as_matrix(features), self.threads), rows)

    def save(self, folder: Path) -> None:
        place = folder / "trainer"
        place.mkdir(parents=True, exist_ok=True)
        self.questions.save(place / QUESTIONS, self.labels)
        for question, text in enumerate(self.texts):
            (place / file_of(question)).write_text(text, "utf-8")


def restore_model(folder: Path, labels: Labels, threads: int) -> TreesModel:
    """Read what `TreesModel.save` wrote; an ArtefactError where it is damaged or made for other labels."""
    place = folder / "trainer"
    questions = Questions.restore(place / QUESTIONS, labels)
    paths = [place / file_of(question) for question in range(questions.number())]
    texts = [read_trees(path) for path in paths]
    model = TreesModel(questions, labels, texts, threads)
    answered = len(questions.columns) if questions.form == "multiclass" else 1
    for path, booster in zip(paths, model.boosters, strict=True):
        if booster.num_model_per_iteration() != answered:
            raise ArtefactError(f"{path}: has trees for {booster.num_model_per_iteration()} answers, not {answered}")
    return model
