"""What is this trainer's own: what it learns in each task, what it tells, what it leaves alone, and what it refuses."""

from importlib.metadata import entry_points

import lightgbm
import numpy as np
import pytest
import threadpoolctl
from lessons import Lesson, train
from scipy import sparse
from textclf_trees import TreesOptions
from textclf_trees.trainer import TreesTrainer

from textclf import ArtefactError, DataError, Encoded, EpochFinished, Labels
from textclf.testing import LocalContext


def restored(folder, labels, **options):
    return TreesTrainer(TreesOptions(**options)).restore(folder, None, labels)


def test_textclf_finds_the_plugin_by_its_entry_point():
    assert [entry.value for entry in entry_points(group="textclf", name="trees")] == ["textclf_trees"]


@pytest.mark.parametrize("form", ["binary", "multiclass", "multi-label"])
def test_it_learns_each_task_and_comes_back_with_the_same_bits(tmp_path, form):
    lesson = Lesson.of(form)
    model = train(lesson, tmp_path)
    assert lesson.right(model, tmp_path) > 0.75
    model.save(tmp_path)
    again = restored(tmp_path, lesson.labels).scores(lesson.validation.features, LocalContext(tmp_path))
    assert np.array_equal(again, model.scores(lesson.validation.features, LocalContext(tmp_path)))


def test_lightgbm_reads_the_saved_trees_and_gives_the_same_probabilities(tmp_path):
    lesson = Lesson.of("multiclass")
    model = train(lesson, tmp_path, rounds=20)
    model.save(tmp_path)
    booster = lightgbm.Booster(model_file=str(tmp_path / "trainer" / "trees-0000.txt"))
    alone = booster.predict(sparse.csr_matrix(lesson.validation.features))
    assert model.scores(lesson.validation.features, LocalContext(tmp_path)) == pytest.approx(alone, abs=1e-6)


def test_patience_ends_early_and_keeps_the_best_round(tmp_path):
    context = LocalContext(tmp_path, 11)
    model = train(Lesson.of("multiclass"), tmp_path, context, rounds=300, patience=15)
    told = [event for event in context.events if isinstance(event, EpochFinished)]
    best = max(told, key=lambda event: (event.validation["accuracy"], -event.epoch))
    assert [event.epoch for event in told] == list(range(1, best.epoch + 16))
    assert [event.epoch for event in told if event.best][-1] == best.epoch
    assert model.boosters[0].current_iteration() == best.epoch
    assert Lesson.of("multiclass").right(model, tmp_path) == best.validation["accuracy"]


def test_every_round_is_told_with_its_loss_which_falls(tmp_path):
    context = LocalContext(tmp_path)
    train(Lesson.of("binary"), tmp_path, context, rounds=12)
    losses = [event.loss for event in context.events if isinstance(event, EpochFinished)]
    assert len(losses) == 12
    assert losses == sorted(losses, reverse=True)


def test_trees_that_find_nothing_to_split_end_the_training(tmp_path):
    context = LocalContext(tmp_path)
    model = train(Lesson.useless(), tmp_path, context, rounds=50)
    assert len(context.events) == 2
    assert (model.scores(Lesson.useless().train.features, context) == 0.5).all()


def test_a_label_that_no_training_text_has_gets_nothing(tmp_path):
    lesson = Lesson.of("binary")
    model = train(Lesson(lesson.train, lesson.validation, Labels(("a", "b", "new"))), tmp_path, rounds=5)
    scores = model.scores(lesson.validation.features, LocalContext(tmp_path))
    assert (scores[:, 2] == 0).all()
    assert scores.sum(axis=1) == pytest.approx(1)


def test_a_label_that_all_training_texts_have_is_nearly_certain_and_one_that_none_has_gets_nothing(tmp_path):
    features, truth = Lesson.of("binary").train.features, np.zeros((240, 3), bool)
    truth[:, 1] = True
    labels = Labels(("none", "all", "some"), "multi-label")
    for some in (False, True):
        truth[:120, 2] = some
        model = train(Lesson(Encoded(features, truth), Encoded(features, truth), labels), tmp_path, rounds=5)
        model.save(tmp_path)
        scores = restored(tmp_path, labels).scores(features, LocalContext(tmp_path))
        assert np.array_equal(scores[:, :2], np.tile(np.float32([0, 241 / 242]), (240, 1)))


def test_texts_of_one_label_alone_are_refused(tmp_path):
    lesson = Lesson.of("binary")
    one = Lesson(Encoded(lesson.train.features, lesson.train.labels * 0), lesson.validation, lesson.labels)
    with pytest.raises(DataError) as error:
        train(one, tmp_path)
    assert str(error.value) == "all training texts have one label, 'a'; a classifier needs texts of at least two"


def test_features_that_tell_nothing_are_refused(tmp_path):
    truth = np.arange(40) % 2
    flat = Encoded(np.ones((40, 3), np.float32), truth)
    said = " training texts so that 5 are on either side; lower `least`, or give more texts"
    with pytest.raises(DataError) as error:
        train(Lesson(flat, flat, Labels(("a", "b"))), tmp_path)
    assert str(error.value) == f"no feature parts the 40{said}"
    with pytest.raises(DataError, match=r"^no feature parts the 240 training texts so that 121 are on either side; "):
        train(Lesson.of("binary"), tmp_path, least=121)


def test_sparse_dense_whole_numbers_and_entries_in_parts_are_the_same_features(tmp_path):
    lesson = Lesson.of("binary")
    counts = (lesson.train.features.toarray() * 4).astype(np.int64)
    rows, columns = counts.nonzero()
    values = counts[rows, columns] / 2
    parts = np.concatenate([values, values]).astype(np.float32)
    order = np.argsort(np.concatenate([rows, rows]), kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(np.concatenate([rows, rows]), minlength=240))])
    halves = sparse.csr_array((parts[order], np.concatenate([columns, columns])[order], indptr), shape=(240, 60))
    before = halves.data.copy()
    forms = (counts, counts.astype(np.float32), sparse.csr_matrix(counts), sparse.csc_array(counts), halves)
    encoded = [Encoded(features, lesson.train.labels) for features in forms]
    found = [train(Lesson(each, lesson.validation, lesson.labels), tmp_path, rounds=9).texts for each in encoded]
    assert found == [found[0]] * 5
    assert np.array_equal(halves.data, before)


def test_no_text_is_no_row(tmp_path):
    model = train(Lesson.of("multi-label"), tmp_path, rounds=2)
    assert model.scores(sparse.csr_matrix((0, 60), dtype=np.float32), LocalContext(tmp_path)).shape == (0, 3)


def test_it_prints_nothing_and_leaves_the_threads_of_other_libraries_alone(tmp_path, capfd):
    before = threadpoolctl.threadpool_info()
    model = train(Lesson.of("multiclass"), tmp_path, threads=2, rounds=3, patience=2)
    model.scores(Lesson.of("multiclass").validation.features, LocalContext(tmp_path))
    assert threadpoolctl.threadpool_info() == before
    assert capfd.readouterr() == ("", "")


def test_a_model_is_refused_for_other_labels_and_other_features(tmp_path):
    model = train(Lesson.of("binary"), tmp_path, rounds=2)
    model.save(tmp_path)
    place = tmp_path / "trainer" / "questions.json"
    with pytest.raises(ArtefactError) as error:
        restored(tmp_path, Labels(("x", "b")))
    assert str(error.value) == f"{place}: was trained for other labels than x, b"
    with pytest.raises(ArtefactError, match=r"^the model was trained on 60 features a text, but the encoder makes 61"):
        model.scores(np.zeros((1, 61), np.float32), LocalContext(tmp_path))


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("questions.json", "", "cannot be read: Expecting value: line 1 column 1 (char 0); the model is damaged"),
        ("questions.json", '{"format": 2}', "is of a format that this version of textclf_trees does not read"),
        ("trees-0000.txt", "", "cannot be read as trees: "),
        ("trees-0000.txt", None, "cannot be read as trees: "),
    ],
)
def test_a_damaged_model_is_refused(tmp_path, file, content, said):
    lesson = Lesson.of("binary")
    train(lesson, tmp_path, rounds=2).save(tmp_path)
    path = tmp_path / "trainer" / file
    path.write_text(path.read_text("utf-8")[:300] if content is None else content, "utf-8")
    with pytest.raises(ArtefactError) as error:
        restored(tmp_path, lesson.labels)
    assert str(error.value).startswith(f"{path}: {said}")
