"""The features and labels that the tests train on, and the training of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from textclf_trees import TreesOptions
from textclf_trees.trainer import TreesTrainer

from textclf import Encoded, Labels, Stopped
from textclf.testing import FolderCheckpoints, LocalContext, judge_against

NAMES = ("a", "b", "c")


@dataclass(frozen=True)
class Lesson:
    """What is trained on (240 rows) and judged by (80 rows): each label is told by five columns of sixty."""

    train: Encoded
    validation: Encoded
    labels: Labels

    @classmethod
    def of(cls, form: str, dense: bool = False) -> Lesson:
        draw = np.random.default_rng(3)
        features = np.where(draw.random((320, 60)) < 0.5, draw.random((320, 60)), 0).astype(np.float32)
        told = features[:, :15].reshape(320, 3, 5).sum(axis=2) + 0.1 * draw.random((320, 3))
        if form == "multi-label":
            truth: Any = told > 1.2
        else:
            truth = told[:, : 2 if form == "binary" else 3].argmax(axis=1)
        matrix: Any = features if dense else sparse.csr_array(features)
        names = NAMES[:2] if form == "binary" else NAMES
        labels = Labels(names, "multi-label" if form == "multi-label" else "single-label")
        return cls(Encoded(matrix[:240], truth[:240]), Encoded(matrix[240:], truth[240:]), labels)

    @classmethod
    def useless(cls) -> Lesson:
        """Return a lesson of one feature that says nothing of the labels."""
        encoded = Encoded((np.arange(40) % 2).astype(np.float32)[:, None], np.arange(40) // 2 % 2)
        return cls(encoded, encoded, Labels(NAMES[:2]))

    def right(self, model: Any, folder: Path) -> float:
        scores = model.scores(self.validation.features, LocalContext(folder))
        truth = self.validation.labels
        return float(((scores > 0.5) == truth).mean() if truth.ndim == 2 else (scores.argmax(axis=1) == truth).mean())


def train(lesson: Lesson, folder: Path, context: LocalContext | None = None, **options: Any) -> Any:
    """Train with the options, in a context of its own unless one is given."""
    context = context or LocalContext(folder, seed=11)
    context.judging = judge_against(lesson.validation.labels, lesson.labels)
    validation = lesson.validation if options.get("patience") else None
    return TreesTrainer(TreesOptions(**options)).train(None, lesson.train, validation, lesson.labels, context)


def train_in_pieces(lesson: Lesson, folder: Path, stops: list[int], **options: Any) -> Any:
    """Train, stopped after so many rounds each time, and resumed."""
    store = FolderCheckpoints(folder / "checkpoints")
    for rounds in stops:
        try:
            return train(lesson, folder, LocalContext(folder, 11, checkpoints=store, stop_after=rounds - 1), **options)
        except Stopped:
            continue
    return train(lesson, folder, LocalContext(folder, 11, checkpoints=store), **options)
