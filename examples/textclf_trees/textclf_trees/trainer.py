"""The trainer: its options become LightGBM parameters, and the trees a model."""

from __future__ import annotations

from pathlib import Path

from textclf import Context, Encoded, Encoder, Labels

from . import TreesOptions
from .model import TreesModel, restore_model
from .questions import Questions
from .training import Training


class TreesTrainer:
    def __init__(self, options: TreesOptions) -> None:
        self.options = options

    def train(
        self, encoder: Encoder, train: Encoded, validation: Encoded | None, labels: Labels, context: Context
    ) -> TreesModel:
        """Grow trees until the rounds, the patience or what there is to split are at an end."""
        questions = Questions.of(train.labels, labels)
        # Without patience nothing is chosen on validation texts, even where they are drawn for something else.
        judged = validation if self.options.patience is not None else None
        grown = Training(self.options, questions, train, judged, context).run() if questions.columns else []
        return TreesModel(questions, labels, grown, self.options.threads)

    def restore(self, folder: Path, encoder: Encoder, labels: Labels) -> TreesModel:
        return restore_model(folder, labels, self.options.threads)
