"""The linear trainers: tasks, layouts, determinism, probabilities and errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC
from textclf_sklearn.linear_model import LinearModel

from tests.plugins.sentences import TAGS, THREE, TWO, build, component, encoded, options, sentences
from textclf import ArtefactError, DataError, Encoded, Labels, Texts
from textclf.testing.context import LocalContext

TRAINERS = ["logistic", "linear_svm", "naive_bayes", "nbsvm"]
TASKS = {"two labels": TWO, "three labels": THREE, "tags": TAGS}


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path, seed=2**40 + 11)


def train(name: str, data: Encoded, labels: Labels, context: LocalContext, **values: object):
    return build("trainer", name, **values).train(None, data, None, labels, context)


def dense(rows: int, context: LocalContext) -> Encoded:
    _, data = encoded(sentences(TWO, rows), context, max_features=40)
    return Encoded(data.features.toarray(), data.labels)


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("task", TASKS)
def test_every_trainer_learns_every_task_from_single_texts_and_pairs(
    name: str, task: str, context: LocalContext
) -> None:
    labels = TASKS[task]
    for pairs in (False, True):
        _, data = encoded(sentences(labels, pairs=pairs), context)
        scores = train(name, data, labels, context).scores(data.features, context)
        assert scores.dtype == np.float32
        assert scores.shape == (400, 3 if labels is not TWO else 2)
        assert scores.min() >= 0
        assert scores.max() <= 1
        if labels is TAGS:
            assert ((scores >= 0.5) == data.labels).mean() > 0.8
        else:
            assert abs(scores.sum(axis=1) - 1).max() < 1e-6
            assert (scores.argmax(axis=1) == data.labels).mean() > 0.8


@pytest.mark.parametrize("name", TRAINERS)
def test_unseen_sentences_are_judged_better_than_by_guessing(name: str, context: LocalContext) -> None:
    encoder, data = encoded(sentences(TWO, 3000), context)
    new = sentences(TWO, 1000, start=5000)
    scores = train(name, data, TWO, context).scores(encoder.encode(new.texts, context), context)
    assert (scores.argmax(axis=1) == new.labels).mean() > 0.70
    assert -np.log(scores[np.arange(1000), new.labels]).mean() < 0.62


def test_logistic_is_scikit_learn_s_logistic_regression(context: LocalContext) -> None:
    for labels in (TWO, THREE):
        _, data = encoded(sentences(labels), context)
        theirs = LogisticRegression(C=2, max_iter=1000).fit(data.features.astype(np.float64), data.labels)
        mine = train("logistic", data, labels, context, C=2)
        assert abs(mine.scores(data.features, context) - theirs.predict_proba(data.features)).max() < 1e-5


def test_naive_bayes_is_scikit_learn_s(context: LocalContext) -> None:
    for labels in (TWO, THREE):
        _, data = encoded(sentences(labels), context)
        theirs = MultinomialNB(alpha=0.5).fit(data.features.astype(np.float64), data.labels)
        mine = train("naive_bayes", data, labels, context, alpha=0.5)
        assert abs(mine.scores(data.features, context) - theirs.predict_proba(data.features)).max() < 1e-5


def test_linear_svm_is_calibrated_as_scikit_learn_would(context: LocalContext) -> None:
    _, data = encoded(sentences(TWO), context)
    folds = StratifiedKFold(5, shuffle=True, random_state=context.seed % 2**32)
    machine = LinearSVC(C=0.5, random_state=context.seed % 2**32)
    theirs = CalibratedClassifierCV(machine, cv=folds, ensemble=False).fit(data.features, data.labels)
    mine = train("linear_svm", data, TWO, context, C=0.5)
    assert abs(mine.scores(data.features, context) - theirs.predict_proba(data.features)).max() < 1e-3


def test_nbsvm_without_interpolation_is_the_machine_on_scaled_features(context: LocalContext) -> None:
    """The formulas of Wang & Manning (2012), section 2.2 and 2.3, computed on a dense copy."""
    _, data = encoded(sentences(TWO, 120), context, min_df=2)
    counts = data.features.toarray().astype(np.float64)
    p, q = 1 + counts[data.labels == 1].sum(0), 1 + counts[data.labels == 0].sum(0)
    ratio = np.log((p / p.sum()) / (q / q.sum()))
    machine = LinearSVC(C=1, random_state=context.seed % 2**32).fit(counts * ratio, data.labels)
    for beta in (1.0, 0.25):
        weights = (1 - beta) * abs(machine.coef_[0]).mean() + beta * machine.coef_[0]
        margins = counts @ (weights * ratio) + machine.intercept_[0]
        scores = train("nbsvm", data, TWO, context, beta=beta, C=1).scores(data.features, context)[:, 1].astype(float)
        odds = np.log(scores / (1 - scores))
        assert np.corrcoef(odds, margins)[0, 1] > 0.99999


@pytest.mark.parametrize("name", TRAINERS)
def test_dense_features_give_what_sparse_ones_give(name: str, context: LocalContext) -> None:
    data = dense(200, context)
    thin = Encoded(sparse.csr_matrix(data.features), data.labels)
    one = train(name, data, TWO, context).scores(data.features, context)
    other = train(name, thin, TWO, context).scores(thin.features, context)
    assert abs(one - other).max() < 1e-3


@pytest.mark.parametrize("name", TRAINERS)
def test_a_label_absent_from_training_keeps_its_column_and_gets_nothing(name: str, context: LocalContext) -> None:
    _, data = encoded(sentences(TWO, 200), context)
    wide = Labels(("a", "bad", "c", "good"))
    moved = Encoded(data.features, np.where(data.labels == 1, 3, 1))
    scores = train(name, moved, wide, context).scores(data.features, context)
    assert not scores[:, [0, 2]].any()
    assert np.array_equal(scores[:, [1, 3]], train(name, data, TWO, context).scores(data.features, context))


@pytest.mark.parametrize("name", TRAINERS)
def test_a_tag_on_no_text_or_on_all_needs_no_fit(name: str, context: LocalContext) -> None:
    _, data = encoded(sentences(TAGS, 98), context)
    members = data.labels.copy()
    members[:, 1], members[:, 2] = False, True
    scores = train(name, Encoded(data.features, members), TAGS, context).scores(data.features, context)
    assert not scores[:, 1].any()
    assert scores[:, 2] == pytest.approx(0.99)


@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_bits(name: str, task: str, context: LocalContext) -> None:
    _, data = encoded(sentences(TASKS[task], 150), context)
    one, other = (train(name, data, TASKS[task], context) for _ in range(2))
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.intercepts.tobytes() == other.intercepts.tobytes()


@pytest.mark.parametrize("name", TRAINERS)
def test_scores_do_not_depend_on_neighbours_or_order(name: str, context: LocalContext) -> None:
    """T08: a text alone, among others and in another order has the same scores, to the last bit when sparse."""
    encoder, data = encoded(sentences(THREE, 150), context)
    model = train(name, data, THREE, context)
    together = model.scores(data.features, context)
    backwards = model.scores(data.features[::-1], context)[::-1]
    texts = sentences(THREE, 150).texts.first[:20]
    alone = [model.scores(encoder.encode(Texts([text]), context), context)[0] for text in texts]
    assert np.array_equal(together, backwards)
    assert np.array_equal(together[:20], np.array(alone))


@pytest.mark.parametrize("name", TRAINERS)
def test_renaming_labels_changes_nothing(name: str, context: LocalContext) -> None:
    """T09: names are not seen by training; the order of columns is all that counts."""
    _, data = encoded(sentences(THREE, 150), context)
    one = train(name, data, THREE, context).scores(data.features, context)
    other = train(name, data, Labels(("z", "y", "x")), context).scores(data.features, context)
    assert one.tobytes() == other.tobytes()


def test_balanced_weights_raise_a_rare_label(context: LocalContext) -> None:
    _, data = encoded(sentences(TWO, 600), context)
    keep = np.flatnonzero((data.labels == 0) | (np.arange(600) % 6 == 0))
    rare = Encoded(data.features[keep], data.labels[keep])
    for name in ("logistic", "linear_svm", "nbsvm"):
        plain = train(name, rare, TWO, context).scores(rare.features, context)[:, 1]
        balanced = train(name, rare, TWO, context, class_weight="balanced").scores(rare.features, context)[:, 1]
        assert balanced.mean() > plain.mean() + 0.05, name


@pytest.mark.parametrize("name", ["linear_svm", "nbsvm"])
def test_too_few_texts_to_calibrate_is_a_warning(name: str, context: LocalContext) -> None:
    features = sparse.csr_matrix(np.eye(4, dtype=np.float32))
    model = train(name, Encoded(features, np.array([0, 1, 0, 0])), TWO, context)
    assert model.scores(features, context)[:, 1].argmax() == 1
    assert context.warnings == [
        "too few texts, or too much alike, to calibrate probabilities; they are rough"
    ]


@pytest.mark.parametrize(("name", "limit"), [("logistic", 1), ("linear_svm", 1), ("nbsvm", 1)])
def test_training_that_does_not_converge_is_one_warning(name: str, limit: int, context: LocalContext) -> None:
    _, data = encoded(sentences(THREE, 200), context)
    train(name, data, THREE, context, max_iter=limit, C=1000)
    assert context.warnings == [
        f"{name}: training stopped at max_iter before it converged; raise max_iter or lower C"
    ]


@pytest.mark.parametrize("name", TRAINERS)
def test_one_label_is_nothing_to_learn(name: str, context: LocalContext) -> None:
    data = Encoded(sparse.csr_matrix(np.eye(3)), np.ones(3, np.int64))
    with pytest.raises(DataError) as refused:
        train(name, data, TWO, context)
    assert str(refused.value) == (
        "all training texts have one label, 'positive'; a classifier needs texts of at least two"
    )
    with pytest.raises(DataError, match=r"^no training text has any label; a classifier needs texts with labels$"):
        train(name, Encoded(data.features, np.zeros((3, 3), bool)), TAGS, context)


def test_features_of_another_width_are_refused(context: LocalContext) -> None:
    """C06: an encoder that does not belong to the model is refused before anything is computed."""
    _, data = encoded(sentences(TWO, 100), context, max_features=20)
    model = train("logistic", data, TWO, context)
    with pytest.raises(ArtefactError) as refused:
        model.scores(data.features[:, :19], context)
    assert str(refused.value) == (
        "the model was trained on 20 features a text, but the encoder makes 19: it is another one, or is not restored "
        "as it was saved"
    )


def test_what_trainers_read_is_declared() -> None:
    reads = {name: component("trainer", name).traits_of(options("trainer", name)).reads for name in TRAINERS}
    assert reads == {
        "logistic": {"matrix", "counts"}, "linear_svm": {"matrix", "counts"},
        "naive_bayes": {"counts"}, "nbsvm": {"counts"},
    }  # fmt: skip


def test_a_uniform_prior_forgets_how_often_labels_were_seen(context: LocalContext) -> None:
    _, data = encoded(sentences(TWO, 600), context)
    keep = np.flatnonzero((data.labels == 0) | (np.arange(600) % 6 == 0))
    rare = Encoded(data.features[keep], data.labels[keep])
    nothing = sparse.csr_matrix((1, rare.features.shape[1]))
    seen = train("naive_bayes", rare, TWO, context).scores(nothing, context)
    assert seen[0, 1] == pytest.approx((rare.labels == 1).mean(), abs=1e-6)
    even = train("naive_bayes", rare, TWO, context, prior="uniform").scores(nothing, context)
    assert even[0].tolist() == [0.5, 0.5]


def test_a_text_far_from_every_label_is_undecided(context: LocalContext) -> None:
    far = LinearModel(THREE, np.arange(3), "one-vs-rest", np.full((3, 1), -1.0), np.zeros(3))
    assert far.scores(np.array([[1e6]]), context)[0] == pytest.approx(1 / 3)
