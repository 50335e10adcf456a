"""Texts are cut into words by a plain rule, and each word gets the id that the vocabulary has for it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textclf_vectors import build, restore
from textclf_vectors.options import VectorsOptions
from textclf_vectors.vocabulary import BORDER, SPECIALS, UNKNOWN, Vocabulary, load, words_with_spans

from tests.plugins.word_vectors import MATRIX, TEXTS, WORDS, encoder, write_magnitude, write_text
from textclf import ArtefactError, Split, Texts
from textclf.testing import LocalContext

CUTS = {
    "The film doesn't work.": "The film does n't work .",
    "It's Jackson's; they're sure I'd go, we'll see": "It 's Jackson 's ; they 're sure I 'd go , we 'll see",
    "don’t and it’s": "do n't and it 's",
    "a well-known, 10-year-old story": "a well-known , 10-year-old story",
    "J.R.R. Tolkien's U.S. tour": "J.R.R. Tolkien 's U.S. tour",
    "1,000.50 dollars... or 9/11 -- at 3.5!": "1,000.50 dollars ... or 9 / 11 -- at 3.5 !",
    "new ''Conan'' and ``this''": "new '' Conan '' and `` this ''",
    "actors' best": "actors ' best",
    "n't 's": "n't ' s",
    "naïve café e\u0301te\u0301": "naïve café e\u0301te\u0301",
    "हिन्दी फ़िल्म।": "हिन्दी फ़िल्म ।",
    "": "",
    " \t\n": "",
}


@pytest.mark.parametrize("text", CUTS)
def test_a_text_is_cut_as_the_rule_says(text):
    assert " ".join(word.form for word in words_with_spans(text)) == CUTS[text]


@given(st.text(max_size=60))
def test_words_stand_where_they_say_in_order_and_nothing_but_space_is_left_out(text):
    place = 0
    for form, start, end in words_with_spans(text):
        assert text[place:start].strip() == ""
        assert text[start:end].replace("\u2019", "'") == form.replace("\u2019", "'")
        assert start < end
        place = end
    assert text[place:].strip() == ""


def _ids(vocabulary: Vocabulary, text: str) -> list[str]:
    names = ["PAD", "UNKNOWN", "BORDER", *vocabulary.added, *vocabulary.words]
    return [names[i] for i in vocabulary.ids(text)]


def test_words_are_read_in_lower_case_where_the_file_is_in_lower_case():
    known = Vocabulary(("the", "film", "usa"), (), True)
    assert _ids(known, "The FILM USA") == ["the", "film", "usa"]


def test_a_word_is_read_as_it_is_written_before_it_is_read_in_lower_case():
    known = Vocabulary(("us", "US", "film"), (), False)
    assert _ids(known, "US us Us Film FILM") == ["US", "us", "us", "film", "film"]


def test_a_word_with_hyphens_that_is_not_known_is_read_by_its_parts():
    known = Vocabulary(("well-known", "slow", "moving"), ("o'brien",), True)
    assert _ids(known, "well-known slow-moving o'brien") == ["well-known", "slow", "moving", "o'brien"]
    assert _ids(known, "slow-zzz zzz-qqq") == ["slow", "UNKNOWN", "UNKNOWN"]


def _fitted(tmp_path, texts=TEXTS, vectors=None, **options):
    vectors = vectors or write_text(tmp_path / "v.txt")
    made = build(VectorsOptions(vectors=str(vectors), **options))
    made.fit(Split(Texts(texts), np.zeros(len(texts), int)), LocalContext(tmp_path))
    return made, made._known()


def test_the_model_carries_the_first_words_of_the_file_and_those_of_the_training_texts(tmp_path):
    for vocabulary, words in ((0, ["film", "good", "it"]), (2, ["the", "film", "good", "it"]), (None, WORDS)):
        _, known = _fitted(tmp_path, ["Good film, it", "zzz"], vocabulary=vocabulary)
        assert [word for word in known.words if word != ","] == [word for word in words if word != ","]
        assert known.added == ()


def test_the_commonest_words_without_a_vector_are_given_one_of_their_own(tmp_path):
    made, known = _fitted(tmp_path, ["xx yy film", "Yy zz", "zz yy"], added=2)
    assert known.added == ("yy", "zz")
    network = made.build_network(_labels())
    assert network.vectors.own.weight.shape == (SPECIALS + 2, 6)
    assert network.vectors.own.weight.requires_grad
    assert not network.vectors.words.weight.requires_grad


def _labels():
    from textclf import Labels

    return Labels(("a", "b"))


def test_words_of_the_training_texts_that_the_file_does_not_have_get_vectors_from_their_parts(tmp_path):
    path = write_magnitude(tmp_path / "v.magnitude")
    made, known = _fitted(tmp_path, ["goood filmz", "a plot"], vectors=path)
    assert known.words[-2:] == ("filmz", "goood")
    lengths = np.linalg.norm(made._matrix, axis=1)
    assert lengths[-2:] == pytest.approx(np.linalg.norm(MATRIX, axis=1).mean(), rel=1e-4)
    _, without = _fitted(tmp_path, ["goood filmz", "a plot"], vectors=path, subwords=False)
    assert without.words == tuple(WORDS)


def test_fingerprints_differ_where_ids_may_differ_and_nowhere_else(tmp_path):
    prints = {
        name: _fitted(tmp_path, **options)[0].fingerprint()
        for name, options in {
            "one": {}, "again": {"network": "cnn", "max_length": 7, "dropout": 0.1}, "fewer": {"vocabulary": 0},
            "cased": {"lowercase": False}, "added": {"texts": [*TEXTS, "zzz"], "added": 1},
        }.items()
    }  # fmt: skip
    assert prints.pop("again") == prints["one"]
    assert len(set(prints.values())) == len(prints)


def test_a_saved_vocabulary_reads_the_same_ids(tmp_path):
    made = encoder(tmp_path, added=1)
    made.save(tmp_path)
    again = restore(made._options, tmp_path)
    texts, context = Texts([*TEXTS, "", "it isn't unknown-good"]), LocalContext(tmp_path)
    assert made.encode(texts, context).ids.tolist() == again.encode(texts, context).ids.tolist()
    assert again.fingerprint() == made.fingerprint()
    with pytest.raises(RuntimeError, match="fit the encoder before it builds a network"):
        again.build_network(_labels())


@pytest.mark.parametrize("change", ["{", "[]", {"words": [1]}, {"words": ["a", "a"]}, {"format": 9}, {"lowercase": 1}])
def test_a_broken_vocabulary_is_refused(change, tmp_path):
    Vocabulary(("a", "b"), (), True).save(tmp_path)
    file = tmp_path / "vocabulary.json"
    broken = change if isinstance(change, str) else json.dumps({**json.loads(file.read_text()), **change})
    file.write_text(broken)
    with pytest.raises(ArtefactError) as refused:
        load(tmp_path)
    assert str(refused.value) == f"'{file}' is missing or broken, so the model cannot read words"


def test_of_a_long_text_the_wished_end_is_kept(tmp_path):
    texts = Texts([" ".join(["the film was good bad"] * 40), "the film"])
    ends = {"head": [*range(6)], "tail": [*range(194, 200)], "head_tail": [0, 1, 2, 197, 198, 199]}
    for truncate, kept in ends.items():
        made = encoder(tmp_path, truncate=truncate, max_length=6)
        tokens = made.encode(texts, LocalContext(tmp_path))
        assert made.seen(tokens, np.array([0, 1])).tolist() == [kept, [0, 1, -1, -1, -1, -1]]
        assert made._collator.text(tokens, 0).tolist() == tokens.row(0)[kept].tolist()
        assert made.lengths(tokens).tolist() == [6, 2]
        assert made.cut(tokens).tolist() == [True, False]


def test_of_a_pair_both_texts_are_cut_alike_and_a_border_stands_between(tmp_path):
    made = encoder(tmp_path, max_length=6)
    pairs = Texts(["the film was good", "good", "", "it was bad , very very bad"], ["bad plot", "", "", "good"])
    tokens = made.encode(pairs, LocalContext(tmp_path))
    assert made.lengths(tokens).tolist() == [6, 2, 1, 6]
    borders = [(made._collator.text(tokens, row) == BORDER).nonzero()[0].tolist() for row in range(4)]
    assert borders == [[3], [1], [0], [4]]
    assert made.seen(tokens, np.arange(4)).tolist() == [
        [0, 1, 2, -1, 4, 5], [0, -1, -1, -1, -1, -1], [-1] * 6, [0, 1, 2, 3, -1, 7]
    ]  # fmt: skip


def test_each_token_tells_the_characters_that_it_came_from(tmp_path):
    made = encoder(tmp_path)
    text, long = "It wasn't a good-bad film", "film " * 100_000 + "was good"
    one, pair = made.spans(Texts([text, long], ["", "a plot"]), LocalContext(tmp_path))
    assert [text[start:end] for places in one.values() for _, start, end in places] == [
        "It", "was", "n't", "a", "good", "bad", "film"
    ]  # fmt: skip
    found = [(part, (long, "a plot")[part][start:end]) for places in pair.values() for part, start, end in places]
    assert found[-4:] == [(0, "was"), (0, "good"), (1, "a"), (1, "plot")]
    tokens = made.encode(Texts([text, long], ["", "a plot"]), LocalContext(tmp_path))
    # Where the long text is cut, half of a word is left, which has no vector.
    assert [len(one), len(pair) + 1] == tokens.lengths().tolist()
    assert made.blank == UNKNOWN


def test_a_word_without_a_vector_of_its_own_is_read_and_tells_nothing(tmp_path):
    made, context = encoder(tmp_path, max_length=4, truncate="tail", added=0), LocalContext(tmp_path)
    text = "so good a gripping film , gripping"
    (units,), (read,) = made.spans(Texts([text]), context), made.reads(Texts([text]), context)
    assert [text[start:end] for ((_, start, end),) in units.values()] == ["good", "a", "film", ","]
    assert list(units) == [1, 2, 4, 5]
    assert [text[start:end] for _, start, end in read] == ["gripping", "film", ",", "gripping"]


def test_an_empty_text_is_one_unknown_word(tmp_path):
    made = encoder(tmp_path)
    tokens = made.encode(Texts(["", "  "]), LocalContext(tmp_path))
    assert tokens.lengths().tolist() == [0, 0]
    assert made.lengths(tokens).tolist() == [1, 1]
    assert made._collator.text(tokens, 0).tolist() == [UNKNOWN]
