"""Saved linear models: the same bits after a restore, and nothing damaged or foreign goes through."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from textclf import ArtefactError, Labels
from textclf.testing.context import LocalContext

from .sentences import TAGS, THREE, TWO, build, encoded, sentences

TRAINERS = ["logistic", "linear_svm", "naive_bayes", "nbsvm"]


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path)


@pytest.fixture
def saved(context: LocalContext, tmp_path: Path) -> Path:
    """Return the folder of a logistic model of three labels and 30 features."""
    _, data = encoded(sentences(THREE, 120), context, max_features=30)
    build("trainer", "logistic").train(None, data, None, THREE, context).save(tmp_path / "model")
    return tmp_path / "model"


def restore(folder: Path, labels: Labels = THREE):
    return build("trainer", "logistic").restore(folder, None, labels)


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("labels", [TWO, THREE, TAGS], ids=["two", "three", "tags"])
def test_a_restored_model_gives_the_same_bits(
    name: str, labels: Labels, context: LocalContext, tmp_path: Path
) -> None:
    _, data = encoded(sentences(labels, 120), context)
    trainer = build("trainer", name)
    model = trainer.train(None, data, None, labels, context)
    model.save(tmp_path / "model")
    again = build("trainer", name).restore(tmp_path / "model", None, labels)
    assert again.scores(data.features, context).tobytes() == model.scores(data.features, context).tobytes()


def test_a_label_absent_from_training_survives_saving(context: LocalContext, tmp_path: Path) -> None:
    _, data = encoded(sentences(TWO, 120), context)
    wide = Labels(("negative", "positive", "zebra \ud83e\udd93 'q'"))
    model = build("trainer", "logistic").train(None, data, None, wide, context)
    model.save(tmp_path)
    assert np.array_equal(restore(tmp_path, wide).scores(data.features, context), model.scores(data.features, context))


def test_what_is_saved_is_json_and_arrays_without_pickle(saved: Path) -> None:
    assert sorted(path.name for path in (saved / "trainer").iterdir()) == [
        "intercepts.npy", "linear.json", "weights.npy",
    ]  # fmt: skip
    assert json.loads((saved / "trainer/linear.json").read_text()) == {
        "format": 1, "task": "single-label", "labels": ["bad", "fair", "good"], "classes": [0, 1, 2], "link": "softmax",
    }  # fmt: skip
    assert np.load(saved / "trainer/weights.npy", allow_pickle=False).shape == (3, 30)


@pytest.mark.parametrize("name", ["linear.json", "weights.npy", "intercepts.npy"])
def test_a_missing_file_is_named(name: str, saved: Path) -> None:
    """C06: a missing tensor or description is named, never silently initialised."""
    path = saved / "trainer" / name
    path.unlink()
    with pytest.raises(ArtefactError) as refused:
        restore(saved)
    assert str(refused.value) == f"{path}: cannot be read: No such file or directory; the model is incomplete"


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("weights", np.zeros((2, 30)), "has the shape [2, 30], not [3, any]"),
        ("weights", np.zeros((3, 30, 1)), "has the shape [3, 30, 1], not [3, any]"),
        ("weights", np.full((3, 30), np.nan), "holds 90 values that are NaN or infinite"),
        ("weights", np.zeros((3, 30), np.float16), "holds float16, not float64"),
        ("intercepts", np.zeros(4), "has the shape [4], not [3]"),
        ("intercepts", np.array([0, 1, np.inf]), "holds 1 values that are NaN or infinite"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(name: str, array: np.ndarray, message: str, saved: Path) -> None:
    """C06: misshapen, extra, NaN: the file and the tensor are named."""
    path = saved / "trainer" / f"{name}.npy"
    np.save(path, array)
    with pytest.raises(ArtefactError) as refused:
        restore(saved)
    assert str(refused.value) == f"{path}: tensor '{name}' {message}"


def test_a_torn_tensor_is_refused_wherever_it_is_cut(saved: Path) -> None:
    """C06: half a file is no tensor."""
    path = saved / "trainer/weights.npy"
    whole = path.read_bytes()
    for cut in (0, 5, 60, 128, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ArtefactError, match="is no array: "):
            restore(saved)


def test_a_tensor_that_claims_more_than_memory_holds_is_refused(saved: Path) -> None:
    """C06: a header is not believed."""
    path = saved / "trainer/weights.npy"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"(3, 30), }              ", b"(3, 9999999999999999), }"))
    assert path.read_bytes() != whole
    with pytest.raises(ArtefactError, match="is no array: "):
        restore(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"link": "relu"}, "the link 'relu' does not fit a single-label task; the model is damaged"),
        ({"link": ["softmax"]}, "the link '['softmax']' does not fit a single-label task; the model is damaged"),
        ({"link": "independent"}, "the link 'independent' does not fit a single-label task; the model is damaged"),
        ({"link": "binary"}, "'classes' is [0, 1, 2], which the link 'binary' cannot have"),
        ({"classes": [0, 1, 1]}, "'classes' is [0, 1, 1], which the link 'softmax' cannot have"),
        ({"classes": [0, 1, 3]}, "'classes' is no list of columns from 0 to 2"),
        ({"classes": [True, 1, 2]}, "'classes' is no list of columns from 0 to 2"),
        ({"classes": "abc"}, "'classes' is no list of columns from 0 to 2"),
    ],
)
def test_a_tampered_description_is_refused(changes: dict[str, object], message: str, saved: Path) -> None:
    """C06: what the arrays mean is checked before they are used."""
    path = saved / "trainer/linear.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ArtefactError) as refused:
        restore(saved)
    assert str(refused.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (TWO, "was trained for the labels bad, fair, good, which are not the classifier's negative, positive"),
        (Labels(("good", "fair", "bad")), "was trained for the labels bad, fair, good, which are not the "
                                          "classifier's good, fair, bad"),
        (TAGS, "was trained for a single-label task, but the labels are multi-label"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(labels: Labels, message: str, saved: Path) -> None:
    """C07: other labels, another order or another task."""
    with pytest.raises(ArtefactError) as refused:
        restore(saved, labels)
    assert str(refused.value) == f"{saved / 'trainer/linear.json'}: {message}"
