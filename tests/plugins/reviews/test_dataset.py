"""The reviews inside the package: how many there are, what they say of themselves, and their recipes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import textclf_reviews

from textclf import DataError, Dataset
from textclf.testing import LocalContext, check_plugin, require


def load(**options) -> Dataset:
    chosen = textclf_reviews.ReviewsOptions.model_validate_json(json.dumps(options))
    return textclf_reviews.build(chosen).load(LocalContext(Path()))


def test_the_movies_are_ten_thousand_sentences_of_two_labels():
    dataset = load()
    assert (len(dataset.train), dataset.labels.names, dataset.labels.positive) == (
        10_568, ("negative", "positive"), "positive",
    )  # fmt: skip
    assert Counter(dataset.train.labels.tolist()) == {0: 5_326, 1: 5_242}
    assert dataset.train.groups is None
    assert (dataset.train.ids[2], dataset.train.texts.first[2], dataset.train.labels[2]) == (
        "3", "Effective but too tepid biopic", 0,
    )  # fmt: skip


def test_the_sentences_of_one_product_review_are_a_group():
    train = load(domain="products").train
    assert len(train) == 3_610
    assert (train.ids[0], train.groups[0]) == ("1_1", "products/1")
    assert all(group == f"products/{id.split('_')[0]}" for id, group in zip(train.ids, train.groups, strict=True))
    assert len(set(train.groups)) == 299


def test_both_domains_keep_their_ids_and_groups_apart():
    train = load(domain="both").train
    assert len(set(train.ids)) == len(train) == 14_178
    assert (train.ids[0], train.groups[0]) == ("movies/1", "movies/1")
    assert (train.ids[-1], train.groups[-1]) == ("products/309_8", "products/309")
    assert max(Counter(group for group in train.groups if group.startswith("movies/")).values()) == 1


def test_a_least_strength_leaves_the_clearer_sentences():
    assert [len(load(min_strength=strength).train) for strength in (0, 1, 3)] == [10_568, 9_173, 498]
    with pytest.raises(DataError) as caught:
        load(min_strength=4)
    assert str(caught.value) == "no sentence is rated 4 or stronger; lower min_strength"


def test_licence_and_citation_are_told():
    dataset = load(domain="both")
    assert dataset.licence == "MIT, copyright 2016 C.J. Hutto"
    assert dataset.source == (
        "sentences of Rotten Tomatoes film reviews, first collected by Pang & Lee and sentences of Amazon product "
        "reviews, first collected by Hu & Liu, rated by people. Hutto, C.J. & Gilbert, E.E. (2014). VADER: A "
        "Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text. Eighth International Conference on "
        "Weblogs and Social Media (ICWSM-14)."
    )


def test_the_plugin_keeps_every_contract():
    require(check_plugin(textclf_reviews))


def test_the_recipes_open_with_how_to_run_and_change_them():
    folder = textclf_reviews.textclf_recipes()
    found = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    stems = ("reviews_frozen", "reviews_minilm", "reviews_minilm_adapted", "reviews_tfidf")
    assert sorted(found) == [f"{stem}.yaml" for stem in stems]
    for name, text in found.items():
        stem = name.removesuffix(".yaml")
        assert text.startswith("# ")
        assert f"#   textclf run {stem}\n" in text
        assert f"#   textclf copy {stem} " in text
        assert f"\nname: {stem}\n" in text
