"""A tiny task that a tiny network learns in a second, and the parts that tests of training need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from textclf_torch.options import TorchOptions
from textclf_torch.trainer import TorchTrainer
from textclf_transformers import TransformerOptions, build

from tests.tiny import tiny_bert
from textclf import Encoded, Labels, Split, Texts
from textclf.testing import FolderCheckpoints, LocalContext, judge_against

NOUNS = ("film", "plot", "story")
STARTS = ("the", "a", "not a very")
TEXTS = [f"{start} {noun} was {word}" for word in ("good", "bad") for noun in NOUNS for start in STARTS]
LABELS = Labels(("negative", "positive"))
TRUTH = np.array([int("good" in text) for text in TEXTS])


@dataclass
class Task:
    folder: Path
    encoder: Any
    encoded: Encoded
    labels: Labels

    def context(self, **given: Any) -> LocalContext:
        return LocalContext(self.folder, seed=7, judging=judge_against(self.encoded.labels, self.labels), **given)

    def store(self, name: str = "checkpoints") -> FolderCheckpoints:
        return FolderCheckpoints(self.folder / name)

    def train(
        self, context: LocalContext | None = None, *, validate: bool = False, encoder: Any = None, **options: Any
    ) -> Any:
        options = {"epochs": 2, "batch_size": 6, "learning_rate": 3e-3, "device": "cpu"} | options
        return TorchTrainer(TorchOptions(**options)).train(
            encoder or self.encoder,
            self.encoded,
            self.encoded if validate else None,
            self.labels,
            context or self.context(),
        )


def sentiment(
    folder: Path, labels: Labels = LABELS, truth: Any = TRUTH, *, pairs: bool = False, **options: Any
) -> Task:
    """Return the task with a tiny BERT below `folder`."""
    checkpoint = tiny_bert(folder / "tiny", TEXTS)
    encoder = build(TransformerOptions(checkpoint=str(checkpoint), **options))
    context = LocalContext(folder)
    texts = Texts(TEXTS, TEXTS[::-1] if pairs else None)
    encoder.fit(Split(texts, truth), context)
    return Task(folder, encoder, Encoded(encoder.encode(texts, context), truth), labels)
