"""What a person sees who types the name of a thing: one line, however many texts and labels are in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.core.toys import engine, recipe
from textclf import Dataset, Labels, Predictions, Split, Texts


def test_data_is_shown_by_its_sizes() -> None:
    labels = Labels(("negative", "positive"))
    texts = Texts([f"text {i}" for i in range(1200)])
    split = Split(texts, np.zeros(1200, np.int64))
    shown: list[tuple[Any, str]] = [
        (texts, "<Texts: 1,200 texts>"),
        (Texts(["a"], ["b"]), "<Texts: 1 pair>"),
        (split, "<Split: 1,200 texts>"),
        (
            Dataset(labels, split, test=split.take(np.array([3]))),
            "<Dataset: 2 labels (negative, positive); texts: 1,200 train, 1 test>",
        ),
        (
            Dataset(Labels.of(map(str, range(30))), split),
            "<Dataset: 30 labels (0, 1, 2, 3, 4 and 25 more); texts: 1,200 train>",
        ),
        (Dataset(["a"], None), "<Dataset: a list; texts: >"),  # type: ignore[arg-type]
        (
            Predictions(labels, split.labels, split.labels, np.zeros((1200, 2), np.float32), texts, split.ids),
            "<Predictions of 1,200 texts>",
        ),
    ]
    assert [repr(thing) for thing, _ in shown] == [line for _, line in shown]


def test_what_a_run_leaves_is_shown_by_its_headline_and_its_folder() -> None:
    done = engine().run(recipe())
    value = done.report.metrics["toy_accuracy"]
    assert repr(done) == f"<Result toy: toy_accuracy {value} in {done.folder}>"
    assert repr(done.report) == f"<Report toy: toy_accuracy {value} on the test split>"
    assert repr(done.classifier) == "<Classifier 'toy_words' + 'toy_linear': 2 labels (label0, label1)>"


def test_a_study_is_shown_by_its_mean() -> None:
    done = engine().run(recipe(), seeds=[1, 2])
    value = done.report.metrics["toy_accuracy"]
    assert repr(done) == f"<Result toy: 2 runs, toy_accuracy {value} in {done.folder}>"
    assert repr(done.report) == f"<Summary toy: 2 runs, toy_accuracy {value}>"
