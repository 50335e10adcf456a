"""What is read back of a finished run is what it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.toys import engine, plugin, recipe
from textclf import ArtefactError
from textclf.recipe.settings import DEFAULT_METRICS
from textclf.run.folder import open_run
from textclf.run.predictions_file import read_predictions
from textclf.testing.toy import ToyAccuracy

ODD = ["=cmd|' /C calc'!A0", "'quoted", "-dash", "a,b\n\"c\"", " ", "NA", "[x]"]


@pytest.mark.parametrize("changes", [{}, {"multi_label": True}, {"groups": 3}, {"pairs": True}])
def test_predictions_are_read_back_as_they_were(changes: dict[str, Any]) -> None:
    """X03: labels that a spreadsheet would run are harmless in the file and themselves again when read."""
    data = {"use": "toy_texts", "size": 84, "names": ODD, **changes}
    done = engine().run(recipe(dataset=data, split={"test": 0.4}))
    back = read_predictions(open_run(done.folder))
    assert back.labels.names == tuple(ODD)
    assert back.scores.dtype == np.float32
    again = engine().evaluate(done.classifier, _test_data(done.folder, changes), draws=100)
    assert again.metrics["toy_accuracy"].value == done.report.metrics["toy_accuracy"].value  # type: ignore[union-attr]
    right = back.truth == back.predicted
    assert (right if right.ndim == 1 else right.all(axis=1)).mean() == again.metrics["toy_accuracy"].value
    assert (back.groups is not None) == ("groups" in changes)


def _test_data(folder: Path, changes: dict[str, Any]) -> Any:
    from textclf import read_table
    from textclf.data.predictions import named

    back = read_predictions(open_run(folder))
    with read_table(folder / "predictions.csv") as table:
        rows = list(table)
    labels = named(back.truth, back.labels)
    texts = [row.text("text") for row in rows]
    return (texts, [row.text("pair") for row in rows], labels) if "pairs" in changes else (texts, labels)


def test_a_classifier_is_judged_by_the_metrics_of_its_recipe_as_far_as_they_are_there() -> None:
    odd = plugin("metric", "odd", ToyAccuracy)
    done = engine(odd).run(recipe(metrics=["f1_macro", {"use": "f1", "average": "micro"}, "odd"]))
    data = _test_data(done.folder, {})
    with_all = engine(odd).evaluate(engine(odd).load(done.folder), data, draws=100)
    told, expected = with_all.to_json()["metrics"], done.report.to_json()["metrics"]
    assert {name: about["value"] for name, about in told.items()} == {n: a["value"] for n, a in expected.items()}
    assert with_all.warnings == ()
    without = engine().evaluate(engine().load(done.folder), data, draws=100)
    assert list(without.metrics) == ["f1_macro", "f1"]
    [warning] = without.warnings
    assert warning.startswith("metric 'odd' is left out: no metric is called 'odd' (installed: ")
    assert warning.endswith(
        "; it was saved by plugin textclf_odd, which a program passed: Engine(plugins=[textclf_odd])"
    )


def test_a_model_that_tells_of_no_metrics_is_judged_by_the_usual_ones() -> None:
    """Models of earlier versions, and those of which none of the metrics is there."""
    done = engine().run(recipe())
    about = done.folder / "model" / "textclf.json"
    about.write_text(json.dumps({k: v for k, v in json.loads(about.read_text()).items() if k != "metrics"}))
    judged = engine().evaluate(engine().load(done.folder), _test_data(done.folder, {}), draws=100)
    assert (set(judged.metrics), judged.warnings) == (set(DEFAULT_METRICS), ())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")

    return edit


def short(path: Path) -> None:
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8")


def holding(value: Any, dtype: Any = np.float32, rows: int = 8) -> Callable[[Path], None]:
    return lambda path: np.save(path, np.full((rows, 2), value, dtype))


def nowhere(path: Path) -> None:
    scores = np.load(path)
    scores[3] = np.nan
    np.save(path, scores)


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("scores.npy", Path.unlink, "scores.npy cannot be read: No such file or directory"),
        ("scores.npy", cut, "scores.npy is cut off, or no file of textclf's"),
        ("scores.npy", lambda path: path.write_bytes(b""), "scores.npy is cut off, or no file of textclf's"),
        ("scores.npy", holding(np.nan), "scores.npy has NaN or infinite scores for 8 texts (the first is text 0)"),
        ("scores.npy", nowhere, "scores.npy has NaN or infinite scores for 1 text (the first is text 3)"),
        ("scores.npy", holding(7), "scores.npy has scores from 7 to 7, which are no probabilities"),
        ("scores.npy", holding(0.4), "scores.npy has rows that do not sum to 1"),
        ("scores.npy", holding(1, np.int64), "scores.npy has int64, not float32"),
        ("scores.npy", holding(0.5, rows=7), "scores.npy has shape (7, 2) for 8 texts and 2 labels"),
        ("predictions.csv", Path.unlink, "predictions.csv: no such file"),
        ("predictions.csv", short, "predictions.csv has 7 rows, but the run was tested on 8"),
        (
            "predictions.csv", edited(",label1,", ",label9,"),
            "predictions.csv has the label 'label9', which is none of the run's labels",
        ),
        (
            "predictions.csv", edited("id,label,", "id,labels,"),
            "predictions.csv:2: has no 'label'; did you mean 'labels'? (it has: id, labels, predicted, score, "
            "score_label0, score_label1, text)",
        ),
    ],
)  # fmt: skip
def test_a_run_with_damaged_predictions_is_named_with_the_way_out(
    name: str, damage: Callable[[Path], None], said: str
) -> None:
    folder = engine().run(recipe()).folder
    damage(folder / name)
    with pytest.raises(ArtefactError) as raised:
        read_predictions(open_run(folder))
    assert str(raised.value) == f"{folder} is damaged, run the recipe again: {said}"


def test_a_run_of_several_labels_whose_cells_are_no_lists_is_named() -> None:
    folder = engine().run(recipe(dataset={"use": "toy_texts", "size": 40, "multi_label": True})).folder
    table = folder / "predictions.csv"
    rows = table.read_text("utf-8").splitlines()
    table.write_text("\n".join([rows[0], *(f'{number},"{{}}",[],' for number in range(8))]) + "\n", "utf-8")
    edited("[],", "[],0.5,0.5,0.5,x")(table)
    with pytest.raises(ArtefactError) as raised:
        read_predictions(open_run(folder))
    said = "predictions.csv has the label '{}', which is no list of labels"
    assert str(raised.value) == f"{folder} is damaged, run the recipe again: {said}"


def test_a_run_without_its_report_is_named_with_the_way_out() -> None:
    folder = engine().run(recipe()).folder
    (folder / "metrics.json").unlink()
    with pytest.raises(ArtefactError) as raised:
        read_predictions(open_run(folder))
    assert str(raised.value) == f"{folder} is damaged, run the recipe again: {folder}/metrics.json is missing"
