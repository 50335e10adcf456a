"""Dataset providers that break one clause each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np

from textclf import Dataset, Field, Labels, Options, Split, Texts, Traits
from textclf.testing.toy import ToyTexts

from .making import Culprit, wrong


def altered(change: Callable[[Any, Any], Any], **options: Any) -> Culprit:
    class Altered(ToyTexts):
        def load(self, context: Any) -> Any:
            return change(super().load(context), context)

    return wrong("dataset", Altered, given=options)


def _train(dataset: Any, **changes: Any) -> Any:
    return replace(dataset, train=replace(dataset.train, **changes))


class NotesOptions(Options):
    path: Path = Field(description="a file of lines: label, tab, text")


class Notes:
    """Reads a file of the user's, and trusts it blindly."""

    def __init__(self, options: NotesOptions) -> None:
        self.path = options.path

    def load(self, context: Any) -> Dataset:
        rows = [line.split("\t") for line in self.path.read_text("utf-8").splitlines()]
        labels = Labels.of(row[0] for row in rows)
        return Dataset(labels, Split(Texts([row[1] for row in rows]), labels.encode([row[0] for row in rows])))


def notes() -> Culprit:
    path = Path(gettempdir()) / "textclf_culprit_notes.tsv"
    path.write_text("good\tfine weather\nbad\train again\n", "utf-8")
    return wrong("dataset", Notes, options=NotesOptions, traits=Traits(), given={"path": str(path)})


DATASETS: dict[str, Culprit] = {
    "dataset.texts": altered(lambda data, _: _train(data, texts=Texts([1] * len(data.train)))),
    "dataset.labels": altered(lambda data, _: _train(data, labels=data.train.labels + 1)),
    "dataset.ids": altered(lambda data, _: _train(data, ids=range(len(data.train)))),
    "dataset.traits": wrong("dataset", traits=Traits(), given={"multi_label": True}),
    "dataset.stable": altered(lambda data, context: replace(data, train=data.train.take(np.arange(20) + context.seed))),
    "dataset.apart": altered(lambda data, _: replace(data, test=data.train.take(np.arange(9)))),
    "dataset.files": notes(),
}
