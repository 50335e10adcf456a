"""The library's door: recipes and data in, results out, and only errors of textclf for what users do wrong."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.core.toys import Stopping, contents, engine, plugin, recipe
from textclf import DataError, Dataset, Engine, Labels, RecipeError, Report, Split, Stopped, TextclfError, Texts
from textclf.testing import toy
from textclf.testing.toy import LinearOptions, ToyLinear

TEXTS = [f"{'good' if i % 2 else 'bad'} film number {i}" for i in range(40)]
LABELS = ["pos" if i % 2 else "neg" for i in range(40)]


def test_the_same_data_in_any_form_gives_the_same_run() -> None:
    labels = Labels(("neg", "pos"))
    forms: list[Any] = [
        (TEXTS, LABELS),
        pd.DataFrame({"text": TEXTS, "label": LABELS}),
        Dataset(labels, Split(Texts(TEXTS), labels.encode(LABELS))),
    ]
    one, *others = [contents(engine().run(recipe(dataset=None), data)) for data in forms]
    assert all(other == one for other in others)
    assert contents(engine().run(recipe(), forms[0])) == one


def test_a_recipe_may_be_a_file_and_is_overridden() -> None:
    Path("mine.yaml").write_text("name: mine\ndataset: toy_texts\nencoder: toy_words\ntrainer: toy_linear\n")
    done = engine().run("mine.yaml", overrides=["trainer.epochs=2", "report.draws=100"], seed=5)
    assert done.folder.parent == Path("runs/mine")
    assert (done.folder / "recipe.yaml").read_text().count("epochs: 2") == 1
    again = engine().run(done.folder / "recipe.yaml")
    assert contents(again) == contents(done)


def test_a_run_on_given_data_is_resumed_with_the_same_data() -> None:
    whole = engine(runs="whole").run(recipe(dataset=None), (TEXTS, LABELS))
    with pytest.raises(Stopped):
        engine(stopping=Stopping(5)).run(recipe(dataset=None), (TEXTS, LABELS))
    with pytest.raises(DataError, match=r"ran on data that a program gave it; give the same again: engine\.resume"):
        engine().resume("toy")
    assert contents(engine().resume("toy", (TEXTS, LABELS))) == contents(whole)
    assert contents(engine().resume("toy")) == contents(whole)


def test_a_classifier_is_judged_on_other_data_by_the_names_of_its_labels() -> None:
    done = engine().run(recipe(dataset=None), (TEXTS, LABELS))
    right = engine().evaluate(done.classifier, (TEXTS, LABELS), draws=100)
    assert '<th scope="col">on these texts</th>' in right._repr_html_()
    assert '<th scope="col">on the test split</th>' in done.report._repr_html_()
    assert right.metrics["toy_accuracy"].value == 1
    turned = Labels(("pos", "neg"))
    data = Dataset(turned, Split(Texts(TEXTS), turned.encode(LABELS)))
    assert engine().evaluate(done.classifier, data, draws=100).metrics == right.metrics
    with pytest.raises(DataError, match=r"^unknown label 'poss'; did you mean 'pos'"):
        engine().evaluate(done.classifier, (["a"], ["poss"]))
    with pytest.raises(DataError, match=r"^there are no texts to evaluate on$"):
        engine().evaluate(done.classifier, ([], []))
    with pytest.raises(RecipeError, match=r"^draws is 0, too few for an interval; give at least 100$"):
        engine().evaluate(done.classifier, (TEXTS, LABELS), draws=0)


def test_a_classifier_of_pairs_is_judged_on_pairs_in_either_form() -> None:
    paired = engine().run(recipe(dataset={"use": "toy_texts", "size": 40, "pairs": True})).classifier
    texts, labels = ["baba", "dada"], list(paired.labels.names)
    apart = engine().evaluate(paired, (texts, texts, labels), draws=100)
    assert engine().evaluate(paired, (Texts(texts, texts), labels), draws=100).metrics == apart.metrics
    with pytest.raises(DataError) as raised:
        engine().evaluate(paired, (texts, labels))
    assert str(raised.value) == "this classifier was trained on pairs of texts; give (texts, pairs, labels)"


def test_macro_f1_stands_first_where_one_label_holds_over_four_fifths() -> None:
    labels = ["rare" if i % 10 == 0 else "often" for i in range(100)]
    texts = [f"{label} text {i}" for i, label in enumerate(labels)]
    done = engine().run(recipe(dataset=None, metrics=["accuracy", "f1_macro"]), (texts, labels))
    assert isinstance(done.report, Report)
    assert done.report.headline == "f1_macro"
    assert done.report.baseline["accuracy"] == 0.9
    assert Report.load(done.folder) == done.report


@pytest.mark.parametrize(
    "fault",
    [
        lambda: engine().run({"name": "x"}),
        lambda: engine().run("nowhere.yaml"),
        lambda: engine().run(recipe(), 5),
        lambda: engine().run(recipe(dataset={"use": "toy_texts", "size": 1})),
        lambda: engine().resume("nothing"),
        lambda: engine().load("nothing"),
        lambda: engine().compare(["a", "b"]),
        lambda: engine().run(recipe(dataset={"use": "toy_texts", "size": 40, "labels": 1})),
        lambda: engine().run(recipe(dataset={"use": "toy_texts", "test": 9}, split={"test": 0.2})),
    ],
)
def test_what_users_do_wrong_is_an_error_of_textclf_and_prints_nothing(
    fault: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TextclfError) as raised:
        fault()
    assert raised.value.exit_code in (2, 3, 6)
    assert str(raised.value)
    assert capsys.readouterr() == ("", "")


def test_an_engine_does_nothing_before_it_is_asked() -> None:
    Engine(plugins=[toy])
    assert list(Path.cwd().iterdir()) == []
    engine().plan(recipe())
    assert list(Path.cwd().iterdir()) == []


def test_an_engine_runs_in_another_thread() -> None:
    found: list[dict[str, bytes]] = []
    thread = threading.Thread(target=lambda: found.append(contents(engine().run(recipe()))))
    thread.start()
    thread.join()
    assert found == [contents(engine().run(recipe()))]


def test_a_trainer_learns_from_which_steps_a_run_is_made_and_can_restore_its_encoder() -> None:
    found: list[Any] = []

    class Restoring(ToyLinear):
        def train(self, encoder: Any, train: Any, validation: Any, labels: Any, context: Any) -> Any:
            encoder.save(context.work)
            again = engine().restore("encoder", context.steps["encoder"], context.work)
            found.extend([context.steps, encoder, again])
            return super().train(encoder, train, validation, labels, context)

    restoring = plugin("trainer", "restoring", lambda: Restoring(LinearOptions(epochs=1)))
    engine(restoring).run(recipe(trainer="restoring"))
    steps, encoder, again = found
    assert sorted(steps) == ["dataset", "encoder", "trainer"]
    assert steps["trainer"] == {"use": "restoring", "plugin": "textclf_restoring", "version": "", "options": {}}
    assert again is not encoder
    assert again.fingerprint() == encoder.fingerprint()


def test_several_labels_and_pairs_run_from_given_data() -> None:
    sets = [["x", "y"] if i % 3 == 0 else ["x"] if i % 3 == 1 else [] for i in range(40)]
    several = engine().run(recipe(dataset=None), (TEXTS, sets))
    assert several.report.confusion is None  # type: ignore[union-attr]
    assert [row.label for row in several.report.averages] == ["macro", "weighted", "micro"]  # type: ignore[union-attr]
    paired = engine().run(recipe(dataset=None), (TEXTS, TEXTS[::-1], LABELS))
    assert paired.classifier.pairs
    assert np.load(paired.folder / "scores.npy").shape == (8, 2)
