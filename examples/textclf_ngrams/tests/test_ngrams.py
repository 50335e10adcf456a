"""What is this encoder's own: what it counts, what it learns, pairs, and what it refuses."""

from importlib.metadata import entry_points

import numpy as np
import pytest
from pydantic import ValidationError
from textclf_ngrams import NgramsOptions, restore
from textclf_ngrams.encoder import FILE, NgramsEncoder

from textclf import ArtefactError, DataError, PluginError, Split, Texts
from textclf.testing import LocalContext

PLAIN = {"columns": 4096, "use_idf": False, "sublinear_tf": False}


def fitted(texts, **options):
    encoder = NgramsEncoder(NgramsOptions(**options))
    encoder.fit(Split(texts, np.zeros(len(texts), np.int64)), LocalContext(None))
    return encoder


def encode(encoder, *first, second=None):
    return encoder.encode(Texts(list(first), second), LocalContext(None)).toarray()


def test_textclf_finds_the_plugin_by_its_entry_point():
    assert [entry.value for entry in entry_points(group="textclf", name="ngrams")] == ["textclf_ngrams"]


def test_words_are_read_with_a_space_on_either_side_and_never_across():
    encoder = fitted(Texts(["x"]), **PLAIN, shortest=3, longest=3)
    one, other, apart = encode(encoder, "ab cd", "cd  ab", "abcd")
    assert (one == other).all()
    assert np.count_nonzero(one) == 4  # " ab", "ab ", " cd", "cd "
    assert np.count_nonzero((one > 0) & (apart > 0)) == 2  # " ab", "cd "


def test_a_misspelt_word_shares_most_of_its_ngrams_with_the_right_one():
    right, wrong, other = encode(fitted(Texts(["x"]), **PLAIN), "definitely", "definately", "unlikely")
    assert right @ wrong > 0.5 > right @ other


def test_rows_have_length_one_and_a_text_without_characters_is_of_zeros():
    rows = encode(fitted(Texts(["some text", "more"])), "some text", "", " \t\n", "a")
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 0, 0, 1])
    assert rows.dtype == np.float32


def test_capitals_are_small_letters_unless_asked_for():
    one, other = encode(fitted(Texts(["x"]), **PLAIN), "GOOD", "good")
    assert (one == other).all()
    one, other = encode(fitted(Texts(["x"]), **PLAIN, lowercase=False), "GOOD", "good")
    assert (one != other).any()


def test_what_is_rare_in_the_training_texts_counts_more():
    learnt = fitted(Texts(["common", "common", "common rare"]), shortest=6, longest=6)
    row = encode(learnt, "common zzrare")[0]
    plain = encode(fitted(Texts(["x"]), shortest=6, longest=6, use_idf=False), "common zzrare")[0]
    common = encode(learnt, "common")[0] > 0
    assert (row[common] < plain[common]).all()
    assert (row[plain > 0][~common[plain > 0]] > plain[plain > 0][~common[plain > 0]]).all()


def test_sublinear_counts_grow_by_the_logarithm():
    texts = "aa aa aa aa aa aa aa aa b"
    options = {"use_idf": False, "shortest": 3, "longest": 3}
    plain, flat = (encode(fitted(Texts(["x"]), **options, sublinear_tf=on), texts)[0] for on in (False, True))
    assert plain.max() / plain[plain > 0].min() == pytest.approx(8)
    assert flat.max() / flat[flat > 0].min() == pytest.approx(1 + np.log(8))


def test_the_texts_of_a_pair_have_columns_of_their_own():
    encoder = fitted(Texts(["a b", "c d"], ["e f", "g h"]), columns=64)
    one, turned = encode(encoder, "left", second=["right"])[0], encode(encoder, "right", second=["left"])[0]
    assert len(one) == 128
    assert one[:64] == pytest.approx(encode(encoder, "left", second=[""])[0, :64])
    assert (one[:64] > 0).tolist() == (turned[64:] > 0).tolist()


def test_pairs_after_single_texts_are_refused_and_the_other_way_round():
    with pytest.raises(DataError) as error:
        encode(fitted(Texts(["a"])), "a", second=["b"])
    assert str(error.value) == "the encoder 'ngrams' was fitted on single texts, and these are pairs"
    with pytest.raises(DataError) as error:
        encode(fitted(Texts(["a"], ["b"])), "a")
    assert str(error.value) == "the encoder 'ngrams' was fitted on pairs, and these are single texts"


def test_nothing_is_encoded_or_saved_before_it_is_fitted(tmp_path):
    with pytest.raises(PluginError, match=r"^the encoder 'ngrams' was asked to encode before it was fitted$"):
        encode(NgramsEncoder(NgramsOptions()), "a")
    with pytest.raises(PluginError, match=r"^the encoder 'ngrams' was asked to save itself before it was fitted$"):
        NgramsEncoder(NgramsOptions()).save(tmp_path)


def test_no_text_is_no_row():
    assert encode(fitted(Texts(["a"]), columns=64)).shape == (0, 64)


def test_a_longest_that_is_less_than_the_shortest_is_refused_by_name():
    with pytest.raises(ValidationError, match="is less than shortest, which is 4") as error:
        NgramsOptions(shortest=4, longest=3)
    assert [problem["loc"] for problem in error.value.errors()] == [("longest",)]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.ones((1, 63), np.float32), "holds float32[1, 63], not a float32 weight for each of 64 columns"),
        (np.ones((1, 64)), "holds float64[1, 64], not a float32 weight for each of 64 columns"),
        (np.full((1, 64), np.nan, np.float32), "holds weights that are no positive numbers; the model is damaged"),
        (np.array([[{}]]), "cannot be read: Object arrays cannot be loaded when allow_pickle=False"),
    ],
)
def test_a_damaged_model_is_refused(tmp_path, weights, said):
    np.save(tmp_path / FILE, weights, allow_pickle=True)
    with pytest.raises(ArtefactError) as error:
        restore(NgramsOptions(columns=64), tmp_path)
    assert str(error.value).startswith(f"{tmp_path / FILE}: {said}")


def test_a_model_without_its_weights_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="No such file or directory"):
        restore(NgramsOptions(), tmp_path)
