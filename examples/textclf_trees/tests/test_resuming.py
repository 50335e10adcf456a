"""What is stopped or killed and resumed ends with the same bits; so it does with any number of threads."""

import itertools
import shutil

import numpy as np
import pytest
from lessons import Lesson, train, train_in_pieces

from textclf import ArtefactError, Stopped
from textclf.testing import FolderCheckpoints, LocalContext

FORMS = ("binary", "multiclass", "multi-label")
OPTIONS = {"as it comes": {}, "all columns": {"share": 1.0}, "patience": {"patience": 8}}


def trees_of(text):
    """Return a booster's text without the options that LightGBM writes behind the trees."""
    return text.split("\nparameters:")[0]


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
@pytest.mark.parametrize(("form", "choice"), list(itertools.product(FORMS, OPTIONS)))
def test_what_is_stopped_and_resumed_ends_with_the_same_bits(tmp_path, form, choice, dense):
    lesson, options = Lesson.of(form, dense), {"rounds": 40, "leaves": 8, **OPTIONS[choice]}
    whole = train(lesson, tmp_path, **options)
    pieces = train_in_pieces(lesson, tmp_path, [1, 1, 5, 12], **options)
    assert pieces.texts == whole.texts
    scores = [model.scores(lesson.validation.features, LocalContext(tmp_path)) for model in (whole, pieces)]
    assert np.array_equal(*scores)


def test_what_is_killed_goes_on_from_its_last_checkpoint_to_the_same_bits(tmp_path):
    lesson, options = Lesson.of("multiclass"), {"rounds": 30, "patience": 20, "checkpoint_every": 4}
    whole = train(lesson, tmp_path, **options)
    store = FolderCheckpoints(tmp_path / "checkpoints")
    with pytest.raises(Stopped):
        train(lesson, tmp_path, LocalContext(tmp_path, 11, checkpoints=store, stop_after=10), **options)
    shutil.rmtree(store.latest())  # what was saved because it was asked to stop; a kill saves nothing
    assert store.latest().name == "ck-000008"
    assert train(lesson, tmp_path, LocalContext(tmp_path, 11, checkpoints=store), **options).texts == whole.texts


@pytest.mark.parametrize(
    ("lesson", "options"),
    [
        (Lesson.of("binary"), {"rounds": 6}),
        (Lesson.of("binary"), {"rounds": 90, "patience": 2}),
        (Lesson.useless(), {"rounds": 50}),
    ],
    ids=["rounds", "patience", "nothing to split"],
)
def test_what_was_stopped_in_its_last_round_grows_no_more(tmp_path, lesson, options):
    context = LocalContext(tmp_path, 11)
    whole = train(lesson, tmp_path, context, **options)
    rounds = context.events[-1].epoch
    store = FolderCheckpoints(tmp_path / "checkpoints")
    last = LocalContext(tmp_path, 11, checkpoints=store, stop_after=rounds - 1)
    with pytest.raises(Stopped, match=rf"^stopped after round {rounds} of {options['rounds']}$"):
        train(lesson, tmp_path, last, **options)
    resumed = LocalContext(tmp_path, 11, checkpoints=store)
    assert train(lesson, tmp_path, resumed, **options).texts == whole.texts
    assert resumed.events == []


@pytest.mark.parametrize("form", FORMS)
def test_the_trees_are_the_same_with_any_number_of_threads(tmp_path, form):
    one, two = (train(Lesson.of(form), tmp_path, threads=threads, rounds=3) for threads in (1, 2))
    assert list(map(trees_of, one.texts)) == list(map(trees_of, two.texts))


def test_another_seed_draws_other_columns_and_the_same_seed_the_same(tmp_path):
    def grown(seed):
        return train(Lesson.of("binary"), tmp_path, LocalContext(tmp_path, seed), rounds=5).texts

    assert grown(1) == grown(1)
    assert grown(1) != grown(2)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    store = FolderCheckpoints(tmp_path)
    with pytest.raises(Stopped):
        train(Lesson.of("binary"), tmp_path, LocalContext(tmp_path, checkpoints=store, stop_after=2))
    (store.latest() / "state.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"state.json: cannot be read: 'rounds'; start the run again$"):
        train(Lesson.of("binary"), tmp_path, LocalContext(tmp_path, checkpoints=store))
