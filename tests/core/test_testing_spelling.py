"""Layouts that are misspelt in traits are found where the plugin is examined, and words of its own are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.core.sample import BOTH, plugin
from tests.culprits.making import LINEAR, WORDS
from textclf import Traits
from textclf.plugin.discovery import discover
from textclf.testing.checks import examine_plugin


def examined(makes, reads=None, others=()):
    """Return the finding about an encoder of one layout, and a trainer of others where there is one."""
    encoder = replace(WORDS, name="mine", traits=Traits(makes=makes, tasks=BOTH))
    trainer = replace(LINEAR, name="reader", traits=Traits(reads=frozenset(reads or ()), tasks=BOTH))
    hooks = {"textclf_encoders": lambda: [encoder], **({"textclf_trainers": lambda: [trainer]} if reads else {})}
    return examine_plugin(plugin("textclf_mine", **hooks), others=others).finding("plugin.layouts")


@pytest.mark.parametrize(
    ("word", "meant"), [("count", "counts"), ("matrx", "matrix"), ("Matrix", "matrix"), ("token", "tokens")]
)
def test_a_slip_in_a_layout_is_told_with_the_one_meant(word, meant):
    found = examined(word)
    assert (found.state, found.detail) == (
        "failed",
        f"no trainer is known that reads '{word}'; in the traits of encoder 'mine', is '{word}' meant to be '{meant}'?",
    )


def test_a_trainer_that_reads_a_misspelt_layout_is_found_too():
    found = examined("graph", {"graph", "matrx"})
    assert found.detail == (
        "no encoder is known that makes 'matrx'; in the traits of trainer 'reader', is 'matrx' meant to be 'matrix'?"
    )


@pytest.mark.parametrize("word", ["matrix", "counts", "tokens", "graph", "token_ids", "sparse_matrix", "features"])
def test_a_known_layout_and_a_word_of_the_plugins_own_are_sound(word):
    assert examined(word).state == "passed"


def test_a_word_that_somebody_reads_is_sound_however_like_a_known_one_it_is():
    assert examined("count", {"count"}).state == "passed"
    reader = replace(LINEAR, traits=Traits(reads=frozenset({"count"}), tasks=BOTH))
    others = discover([plugin("textclf_other", textclf_trainers=lambda: [reader])], entry_points=False).offers
    assert examined("count", others=others).state == "passed"
    assert examined("cont", others=others).state == "failed"


def test_traits_that_hang_on_options_without_defaults_say_nothing():
    encoder = replace(WORDS, traits=lambda options: Traits(makes=options.no_such_option))
    found = examine_plugin(plugin("textclf_mine", textclf_encoders=lambda: [encoder])).finding("plugin.layouts")
    assert found.state == "passed"
