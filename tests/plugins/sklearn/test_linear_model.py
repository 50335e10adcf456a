"""Linear models: saved to the same bits, damaged files are refused, and contributions of words are exact."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textclf_sklearn import tfidf
from textclf_sklearn.tfidf import _token_pattern, _vectorizer

from tests.hostile import HOSTILE
from tests.plugins.sentences import TAGS, THREE, TWO, build, encoded, options, rated, sentences
from textclf import ArtefactError, Classifier, DataError, Engine, Labels, Texts
from textclf.data.cleaning import whole
from textclf.testing import LocalContext

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


STRANGE = ["İstanbul  ΣΑΣ ﬁne\t\n x", "  a ", "don't O’Neill's 'tis", "ẞ ß", *(whole(text[:500]) for text in HOSTILE)]


@pytest.mark.parametrize("analyzer", ["word", "char", "char_wb"])
@pytest.mark.parametrize("ngrams", [[1, 1], [1, 3], [2, 4]])
@pytest.mark.parametrize("more", [{}, {"marks": True, "one_letter": False}, {"lowercase": False}])
def test_the_n_grams_that_are_found_in_a_text_are_those_that_scikit_learn_counts(analyzer, ngrams, more):
    chosen = options("encoder", "tfidf", analyzer=analyzer, ngram_range=ngrams, **more)
    analyse = _vectorizer(chosen).build_analyzer()
    for text in [*rated(5)[0], *STRANGE]:
        found = list(tfidf.ngrams(text, chosen, _token_pattern(chosen)))
        assert Counter(term for term, _ in found) == Counter(analyse(text))


@pytest.mark.parametrize(
    ("analyzer", "text", "expected"),
    [
        ("word", "So İ, NOT", {"so": ["So"], "i": ["İ"], "not": ["NOT"], "so i": ["So", "İ"], "i not": ["İ", "NOT"]}),
        ("char", "a  b", {"a": ["a"], " ": [" "], "b": ["b"], "a ": ["a "], " b": ["  b"]}),
        ("char_wb", "ab", {" ": [], "a": ["a"], "b": ["b"], " a": ["a"], "ab": ["ab"], "b ": ["b"]}),
    ],
)
def test_an_n_gram_came_from_the_characters_it_was_made_of(analyzer: str, text: str, expected: dict[str, list[str]]):
    chosen = options("encoder", "tfidf", analyzer=analyzer, ngram_range=[1, 2])
    for term, ranges in tfidf.ngrams(text, chosen, _token_pattern(chosen)):
        assert [text[start:end] for start, end in ranges] == expected[term], term


def trained(trainer: str, labels: Labels, folder: Path, pairs: bool = False, **more: Any) -> Classifier:
    """Return a classifier whose scikit-learn parts were trained, here and now, on film sentences."""
    split = sentences(labels, 200, pairs=pairs)
    data = (list(split.texts.first), *([list(split.texts.second or [])] if pairs else []), named(split.labels, labels))
    recipe = {"name": "linear", "encoder": {"use": "tfidf", **more}, "trainer": trainer, "metrics": ["accuracy"]}
    return Engine(runs=folder / "runs", cache=folder / "cache").run(recipe, data).classifier


def named(values: np.ndarray, labels: Labels) -> list[Any]:
    if values.ndim == 2:
        return [[name for name, on in zip(labels.names, row, strict=True) if on] for row in values]
    return [labels.names[value] for value in values]


@pytest.mark.parametrize(
    ("trainer", "labels"),
    [("logistic", TWO), ("naive_bayes", THREE), ("linear_svm", THREE), ("nbsvm", TWO), ("logistic", TAGS)],
)
def test_contributions_and_intercept_add_up_to_the_logit(trainer: str, labels: Labels):
    context = LocalContext(Path())
    encoder, train = encoded(sentences(labels, 150), context)
    model = build("trainer", trainer).train(encoder, train, None, labels, context)
    texts = Texts([*rated(5, 500)[0], "", "xyzzy"])
    features = encoder.encode(texts, context)
    spans = encoder.spans(texts, context)
    for column in range(len(labels)):
        found = model.attributions(features, np.full(len(texts), column), context)
        scores = model.scores(features, context).astype(np.float64)
        for row, told in enumerate(found):
            assert told.logit - told.baseline == pytest.approx(told.values.sum(), abs=1e-12)
            # Each unit is a column that is not zero, and the encoder knows where it came from.
            assert told.units.tolist() == features[row].indices.tolist() == sorted(spans[row])
            if labels is TWO or labels is TAGS:
                odds = np.log(scores[row, column] / (1 - scores[row, column]))
            elif trainer in ("logistic", "naive_bayes"):
                logs = np.log(scores[row])
                odds = logs[column] - np.delete(logs, column).mean()
            else:
                continue
            assert told.logit == pytest.approx(odds, abs=1e-3)


def test_each_word_gets_its_share_of_every_n_gram_that_it_is_in(tmp_path: Path):
    classifier = trained("logistic", TWO, tmp_path, ngram_range=[1, 2], norm="none", sublinear_tf=False)
    (vocabulary,), model = classifier.encoder.vocabularies, classifier.model  # type: ignore[attr-defined]

    def worth(term: str) -> float:
        column = vocabulary.vectorizer.vocabulary.get(term)
        return 0.0 if column is None else float(model.weights[0, column] * np.float32(vocabulary.idf[column]))

    words = ["the", "film", "is", "good", ",", "the", "film"]
    (told,) = classifier.explain([" ".join(words)], "positive")
    bare = [word for word in words if word != ","]
    expected = [worth(word) for word in bare]
    for place, term in enumerate(map(" ".join, pairwise(bare))):
        expected[place] += worth(term) / 2
        expected[place + 1] += worth(term) / 2
    assert [word.contribution for word in told.words if word.seen] == pytest.approx(expected, abs=1e-6)
    assert [word.text for word in told.words if not word.seen] == [","]
    assert abs(told.error) < 1e-12


def test_both_texts_of_a_pair_have_columns_and_words_of_their_own(tmp_path: Path):
    classifier = trained("logistic", TWO, tmp_path, pairs=True)
    (told,) = classifier.explain(["a good film"], "positive", ["a bad film"])
    assert [word.part for word in told.words] == [0, 0, 0, 1, 1, 1]
    assert {word.contribution for word in told.words if word.text == "film"} != {0.0}
    assert abs(told.error) < 1e-12


def test_characters_between_words_are_the_remainder(tmp_path: Path):
    classifier = trained("logistic", TWO, tmp_path, analyzer="char", ngram_range=[1, 2])
    (told,) = classifier.explain(["a good  film, not bad"])
    assert told.remainder != 0
    assert abs(told.error) < 1e-12


def test_nothing_can_speak_for_a_label_that_no_training_text_had():
    context = LocalContext(Path())
    encoder, train = encoded(sentences(TWO, 100), context)
    labels = Labels(("absent", "negative", "positive"))
    model = build("trainer", "logistic").train(
        encoder, dataclasses.replace(train, labels=train.labels + 1), None, labels, context
    )
    with pytest.raises(DataError) as error:
        model.attributions(train.features[:1], np.array([0]), context)
    assert str(error.value) == (
        "no training text had the label 'absent', so nothing can speak for it; choose another"
    )
