"""The Engine: recipes and data in, results out, and errors of textclf for wrong arguments."""

from __future__ import annotations

import inspect
import re
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.toys import Stopping, contents, engine, plugin, recipe
from textclf import (
    DataError,
    Dataset,
    Engine,
    Labels,
    Predictions,
    RecipeError,
    Report,
    Split,
    Stopped,
    TextclfError,
    Texts,
)
from textclf.plugin.hookspecs import hookimpl
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
    with pytest.raises(DataError, match=r"ran on data that a program passed; pass the same again: engine\.resume"):
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


class Door:
    """A class whose hook is static, as an entry point may name one."""

    textclf_encoders = staticmethod(toy.textclf_encoders)


class Own:
    """A plugin whose hook hangs on an object, by another name."""

    @hookimpl(specname="textclf_encoders")
    def offered(self) -> Any:
        return toy.textclf_encoders()


def test_a_text_for_plugins_is_refused_with_the_list_that_was_meant() -> None:
    with pytest.raises(RecipeError, match=r"^plugins is 'mine.py', not a list; give plugins=\['mine.py'\]$"):
        Engine(plugins="mine.py")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nope.py", "plugin 'nope.py': no such file; did you mean 'note.py'?"),
        (Path("nope.py"), "plugin 'nope.py': no such file; did you mean 'note.py'?"),
        ("some", "plugin 'some' is a folder; name one Python file, or install the package with pip"),
        ("textclf_sklearn", "plugin 'textclf_sklearn' is no Python file: its name must end in .py"),
    ],
)
def test_a_file_that_is_not_there_is_refused_when_plugins_are_looked_up(file: str | Path, message: str) -> None:
    Path("note.py").write_text("")
    Path("some").mkdir()
    with pytest.raises(RecipeError) as raised:
        Engine(plugins=[toy, file]).plan(recipe())
    assert str(raised.value) == message


def test_a_broken_file_is_taken_and_listed_as_broken() -> None:
    Path("broken.py").write_text("1 / 0\n")
    made = Engine(plugins=["broken.py"], entry_points=False)
    assert [plugin.error for plugin in made.registry.plugins] == [
        "fails at import (line 1): ZeroDivisionError: division by zero"
    ]


def test_help_on_the_engine_tells_each_of_its_arguments() -> None:
    told = set(re.findall(r"(\w+):\s", str(Engine.__doc__)))
    assert told == {*inspect.signature(Engine).parameters}


@pytest.mark.parametrize("given", [Door, Door(), Own(), toy])
def test_whatever_has_a_hook_is_a_plugin(given: Any) -> None:
    for plugins in ([given], (given,), iter([given])):
        assert Engine(plugins=plugins, entry_points=False).registry.names("encoder") == ["toy_words"]


@pytest.mark.parametrize("about", [{}, {"textclf_version": "1.2"}])
def test_a_module_without_a_hook_is_listed_and_said_where_it_is_missed(about: dict[str, str]) -> None:
    hollow = types.ModuleType("hollow")
    vars(hollow).update(about)
    made = Engine(plugins=[toy, hollow], entry_points=False)
    with pytest.raises(RecipeError) as raised:
        made.plan({"dataset": "toy_texts", "encoder": "chars", "trainer": "toy_linear", "metrics": ["toy_accuracy"]})
    assert str(raised.value.problems[0]) == (
        "encoder: no encoder is called 'chars' (installed: toy_words); broken plugins: hollow (has no hook; define "
        "one, such as textclf_encoders())"
    )


def test_an_object_that_cannot_be_looked_at_is_listed() -> None:
    class Shy:
        def __dir__(self) -> Any:
            raise RuntimeError("look away")

    [listed] = Engine(plugins=[Shy()], entry_points=False).registry.plugins
    assert listed.error == "cannot be inspected: RuntimeError: look away"


@pytest.mark.parametrize(
    "changes", [{"seeds": range(1, 4)}, {"seeds": np.array([1, 2, 3])}, {"overrides": ("seeds=[1, 2, 3]",)}]
)
def test_seeds_and_overrides_may_be_any_sequence(changes: dict[str, Any]) -> None:
    assert engine().plan(recipe(), **changes).settings.seeds == (1, 2, 3)


def test_a_result_is_taken_wherever_a_run_is() -> None:
    ready = engine()
    done = ready.run(recipe())
    assert ready.find(done) == ready.resume(done).folder == done.folder
    assert ready.model(done) == done.folder / "model"
    texts = ["some text"] * 3
    assert ready.load(done).predict(texts) == done.classifier.predict(texts)
    given = (texts, [done.classifier.labels.names[0]] * 3)
    assert isinstance(ready.evaluate(done.classifier, given, draws=100, run=done), Report)


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
