"""The encoder `tfidf`: counts, weights, and the same bits after a restore."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from tests.plugins.sentences import TWO, build, component, encoded, options, sentences
from textclf import ArtefactError, DataError, Split, Texts
from textclf.testing.context import LocalContext
from textclf.testing.samples import HOSTILE


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path)


def fitted(texts: list[str], context: LocalContext, **values: object):
    encoder = build("encoder", "tfidf", **values)
    encoder.fit(Split(Texts(texts), np.zeros(len(texts), np.int64)), context)
    return encoder


def terms(texts: list[str], context: LocalContext, **values: object) -> list[str]:
    return fitted(texts, context, **values).vocabularies[0].terms


def same(one: sparse.csr_matrix, other: sparse.csr_matrix) -> bool:
    return (
        one.shape == other.shape
        and np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
        and one.data.tobytes() == other.data.tobytes()
    )


def test_features_are_those_of_scikit_learn(context: LocalContext) -> None:
    train = sentences(TWO)
    _, mine = encoded(train, context, min_df=2)
    theirs = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\w+(?:['’]\w+)*"
    ).fit_transform(train.texts.first)
    assert mine.features.shape == theirs.shape
    assert mine.features.dtype == np.float32
    assert abs(mine.features - theirs).max() < 1e-6


def test_counts_are_never_negative_even_for_words_in_every_text(context: LocalContext) -> None:
    matrix = fitted(["all the same"] * 5, context).encode(Texts(["all the same the the"]), context)
    assert matrix.min() >= 0
    assert matrix.nnz == 5


def test_negations_stay_whole_words(context: LocalContext) -> None:
    assert terms(["I don't, won’t 'like' it!"], context, ngram_range=[1, 1]) == ["don't", "i", "it", "like", "won’t"]


def test_words_of_one_letter_and_marks_are_the_recipe_s_choice(context: LocalContext) -> None:
    text = ["A b'c is ok?!"]
    assert terms(text, context, ngram_range=[1, 1]) == ["a", "b'c", "is", "ok"]
    assert terms(text, context, ngram_range=[1, 1], one_letter=False) == ["b'c", "is", "ok"]
    assert terms(text, context, ngram_range=[1, 1], marks=True) == ["!", "?", "a", "b'c", "is", "ok"]
    assert terms(text, context, ngram_range=[1, 1], lowercase=False) == ["A", "b'c", "is", "ok"]


def test_rare_frequent_and_surplus_n_grams_are_left_out(context: LocalContext) -> None:
    texts = ["the cat", "the dog", "the dog barks"]
    assert terms(texts, context, ngram_range=[1, 1], min_df=2) == ["dog", "the"]
    assert terms(texts, context, ngram_range=[1, 1], max_df=0.7) == ["barks", "cat", "dog"]
    assert terms(texts, context, ngram_range=[1, 1], max_features=1) == ["the"]


def test_what_only_one_text_says_counts_in_few_texts_alone(context: LocalContext) -> None:
    texts = [f"film number{i}" for i in range(999)]
    assert len(terms(texts, context, ngram_range=[1, 1])) == 1000
    assert terms([*texts, "last"], context, ngram_range=[1, 1]) == ["film"]
    assert len(terms([*texts, "last"], context, ngram_range=[1, 1], min_df=1)) == 1001


def test_weights_and_norm_can_be_switched_off(context: LocalContext) -> None:
    plain = {"ngram_range": [1, 1], "use_idf": False, "norm": "none", "sublinear_tf": False}
    assert fitted(["a b b"], context, **plain).encode(Texts(["b b b a"]), context).toarray().tolist() == [[1, 3]]
    once = fitted(["a b b"], context, **plain, binary=True)
    assert once.encode(Texts(["b b b a"]), context).toarray().tolist() == [[1, 1]]


def test_pairs_have_a_vocabulary_and_columns_for_each_side(context: LocalContext) -> None:
    train = Split(Texts(["good film", "bad film"], ["great", "great dull"]), np.array([0, 1]))
    encoder, features = encoded(train, context, ngram_range=[1, 1])
    assert [vocabulary.terms for vocabulary in encoder.vocabularies] == [["bad", "film", "good"], ["dull", "great"]]
    assert features.features.shape == (2, 5)
    swapped = encoder.encode(Texts(["great"], ["good"]), context)
    assert swapped.nnz == 0


def test_a_side_without_any_word_is_no_fault(context: LocalContext) -> None:
    _, features = encoded(Split(Texts(["good", "bad"], ["", "?"]), np.array([0, 1])), context)
    assert features.features.shape == (2, 2)


def test_single_texts_are_refused_by_an_encoder_of_pairs(context: LocalContext) -> None:
    encoder, _ = encoded(Split(Texts(["good"], ["bad"]), np.array([0])), context)
    with pytest.raises(DataError, match=r"^the tfidf encoder was fitted on text pairs, these are not$"):
        encoder.encode(Texts(["good"]), context)


def test_texts_without_words_are_refused_with_the_way_out(context: LocalContext) -> None:
    with pytest.raises(DataError) as refused:
        fitted(["?", "!!"], context)
    assert str(refused.value) == (
        "tfidf: no n-gram of the 2 training texts is left with min_df 1 and max_df 1; "
        "give longer texts, a lower min_df or the analyzer 'char'"
    )


def test_a_text_s_features_do_not_depend_on_its_neighbours(context: LocalContext) -> None:
    """T08: neighbours and order change nothing, not even the last bit."""
    train = sentences(TWO, 60)
    encoder, together = encoded(train, context)
    alone = sparse.vstack([encoder.encode(Texts([text]), context) for text in train.texts.first], format="csr")
    assert same(alone, together.features)


@pytest.mark.parametrize("analyzer", ["word", "char", "char_wb"])
@pytest.mark.parametrize("pairs", [False, True])
def test_a_restored_encoder_makes_the_same_bits(
    analyzer: str, pairs: bool, context: LocalContext, tmp_path: Path
) -> None:
    texts = [text[:3000] for text in HOSTILE] + ["\ud83d\ude00 two surrogates", "😀 one face", "line\u2028break\x85"]
    train = Split(Texts(texts, texts[::-1] if pairs else None), np.zeros(len(texts), np.int64))
    encoder, before = encoded(train, context, analyzer=analyzer, ngram_range=[1, 3])
    encoder.save(tmp_path)
    again = component("encoder", "tfidf").restore(encoder.options, tmp_path)
    assert [v.terms for v in again.vocabularies] == [v.terms for v in encoder.vocabularies]
    assert same(again.encode(train.texts, context), before.features)
    assert same(encoder.encode(train.texts, context), before.features)


def test_what_is_saved_is_json_and_an_array_without_pickle(context: LocalContext, tmp_path: Path) -> None:
    fitted(["a film", "b"], context, ngram_range=[1, 1]).save(tmp_path)
    assert json.loads((tmp_path / "tfidf.json").read_text()) == {"format": 1, "first": ["a", "b", "film"]}
    assert np.load(tmp_path / "idf.npy", allow_pickle=False).shape == (3,)


TAMPERED = {
    "missing idf": ("idf.npy", None, "cannot be read: No such file or directory; the model is incomplete"),
    "missing vocabulary": ("tfidf.json", None, "cannot be read: No such file or directory; the model is incomplete"),
    "torn json": ("tfidf.json", b'{"format": 1, "first": ["a"', "is no JSON: Expecting ',' delimiter: line 1 column"),
    "bomb": ("tfidf.json", b"[" * 100_000, "is no JSON: "),
    "other format": ("tfidf.json", b'{"format": 9}', "is of format '9', this version of textclf_sklearn reads 1"),
    "no vocabulary": ("tfidf.json", b'{"format": 1}', "has no vocabulary 'first'; the model is damaged"),
    "numbers": ("tfidf.json", b'{"format":1,"first":["a",2]}', "the vocabulary 'first' is no list of strings"),
    "twice": ("tfidf.json", b'{"format":1,"first":["a","a"]}', "the vocabulary 'first' has an n-gram twice"),
    "short": ("tfidf.json", b'{"format":1,"first":["a"]}', "tensor 'idf' has the shape [3], not [1]"),
    "empty": ("idf.npy", b"", "is no array: "),
    "cut": ("idf.npy", b"\x93NUMPY\x01\x00", "is no array: "),
    "zip": ("idf.npy", b"PK\x03\x04 no array at all", "is no array: "),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_tampered_encoder_is_refused(case: str, context: LocalContext, tmp_path: Path) -> None:
    """C06: what is missing, misshapen or unreadable is named, never silently made anew."""
    name, content, message = TAMPERED[case]
    fitted(["a film", "b"], context, ngram_range=[1, 1]).save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtefactError) as refused:
        component("encoder", "tfidf").restore(options("encoder", "tfidf"), tmp_path)
    assert message in str(refused.value)
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1, np.nan, np.inf]), "tensor 'idf' holds 2 values that are NaN or infinite"),
        (np.ones((3, 1)), "tensor 'idf' has the shape [3, 1], not [3]"),
        (np.ones(3, np.float32), "tensor 'idf' holds float32, not float64"),
    ],
)
def test_weights_of_another_kind_are_refused(
    array: np.ndarray, message: str, context: LocalContext, tmp_path: Path
) -> None:
    """C06: NaN, another shape or another type are refused with the tensor's name."""
    fitted(["a film", "b"], context, ngram_range=[1, 1]).save(tmp_path)
    np.save(tmp_path / "idf.npy", array)
    with pytest.raises(ArtefactError) as refused:
        component("encoder", "tfidf").restore(options("encoder", "tfidf"), tmp_path)
    assert str(refused.value) == f"{tmp_path / 'idf.npy'}: {message}"


def test_a_pickled_array_is_refused_unread(context: LocalContext, tmp_path: Path) -> None:
    """C03: a pickle where an array is expected is refused and not loaded."""

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    fitted(["a film", "b"], context, ngram_range=[1, 1]).save(tmp_path)
    np.save(tmp_path / "idf.npy", np.array([Trap()], object), allow_pickle=True)
    with pytest.raises(ArtefactError, match="is no array: Object arrays cannot be loaded"):
        component("encoder", "tfidf").restore(options("encoder", "tfidf"), tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ngram_range": [2, 1]}, "the shortest n-gram, 2, is longer than the longest, 1"),
        ({"ngram_range": [0, 1]}, "Input should be greater than or equal to 1"),
        ({"ngram_range": [1]}, "Field required"),
        ({"min_df": 0}, "Input should be greater than or equal to 1"),
        ({"max_df": 1.5}, "Input should be less than or equal to 1"),
        ({"lowercase": 1}, "Input should be a valid boolean"),
        ({"analyser": "word"}, "Extra inputs are not permitted"),
    ],
)
def test_options_out_of_bounds_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        options("encoder", "tfidf", **values)
    assert message in str(refused.value)
