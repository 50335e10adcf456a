"""What `pytest` runs in this package: the contract of textclf, and what is this encoder's own."""

from importlib.metadata import entry_points

import textclf_shout
from textclf_shout.shout import ShoutEncoder

from textclf import Texts
from textclf.testing import LocalContext, check_plugin, require


def test_the_plugin_keeps_every_contract():
    require(check_plugin(textclf_shout))


def test_the_plugin_keeps_every_contract_with_other_options():
    require(check_plugin(textclf_shout, options={"shout": {"loudness": 9, "columns": 64}}))


def test_textclf_finds_the_plugin_by_its_entry_point():
    assert [entry.value for entry in entry_points(group="textclf", name="shout")] == ["textclf_shout"]


def test_a_word_in_capitals_counts_as_often_as_loudness_says(tmp_path):
    texts = Texts(["GOOD film", "good good good film"])
    one, other = ShoutEncoder(3, 64).encode(texts, LocalContext(tmp_path)).toarray()
    assert (one == other).all()


def test_a_loudness_of_one_hears_no_shouting(tmp_path):
    one, other = ShoutEncoder(1, 64).encode(Texts(["GOOD film", "good film"]), LocalContext(tmp_path)).toarray()
    assert (one == other).all()
