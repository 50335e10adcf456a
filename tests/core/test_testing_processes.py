"""Encoders in another process: a file is found there by its path, and what cannot be found there is not judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.culprits.making import WORDS
from textclf.plugin import single_file
from textclf.testing import check_component, check_plugin
from textclf.testing.toy import ToyWords

FILE = '''
"""An encoder of words, numbered as {order} gives them."""

from textclf import Component, Traits


class Counted:
    def __init__(self, options):
        self.columns = {{}}

    def fit(self, train, context):
        words = {{word for text in train.texts.first for word in text.split()}}
        self.columns = {{word: column for column, word in enumerate({order}(words))}}

    def encode(self, texts, context):
        import numpy as np

        features = np.zeros((len(texts), len(self.columns)), np.float32)
        for row, text in enumerate(texts.first):
            for word in text.split():
                if word in self.columns:
                    features[row, self.columns[word]] += 1
        return features

    def fingerprint(self):
        return f"counted {{list(self.columns)}}"

    def save(self, folder):
        (folder / "words.txt").write_text("\\n".join(self.columns), "utf-8")


def restore(options, folder):
    counted = Counted(options)
    words = (folder / "words.txt").read_text("utf-8").split("\\n")
    counted.columns = {{word: column for column, word in enumerate(words)}}
    return counted


def textclf_encoders():
    about = {{"summary": "counted words", "traits": Traits(makes="counts")}}
    return [Component(name="counted", build=Counted, restore=restore, **about)]
'''


def of_process(findings):
    (finding,) = [finding for finding in findings if finding.clause.id == "encoder.process"]
    return finding


@pytest.mark.parametrize(("order", "state"), [("sorted", "passed"), ("list", "failed")])
def test_a_file_that_numbers_words_by_a_set_is_caught_and_one_that_sorts_them_is_not(order, state, tmp_path):
    (tmp_path / "counted.py").write_text(FILE.format(order=order), "utf-8")
    module = single_file.load(str(tmp_path / "counted.py"))
    findings = check_plugin(module)
    assert [one.clause.id for one in findings if one.state == "failed"] == ["encoder.process"] * (state == "failed")
    finding = of_process(findings)
    assert finding.state == state
    said = "fitted in another process, where a set of str has another order: they differ by up to"
    assert finding.detail.startswith(said if state == "failed" else "")


class Hashing(ToyWords):
    """Its fingerprint is Python's hash of a str, which another process does not share."""

    def fingerprint(self):
        return f"{hash('words')} {super().fingerprint()}"


def textclf_encoders():
    return [replace(WORDS, name="hashing", build=Hashing, restore=None)]


def test_a_fingerprint_that_another_process_would_not_find_again_is_caught():
    class Bare(Hashing):
        pass

    (component,) = textclf_encoders()
    assert of_process(check_component(component, "encoder")).detail == (
        "fitted in another process, where a set of str has another order, it has another fingerprint: "
        "nothing would be found in the cache"
    )
    unknown = of_process(check_component(replace(component, build=Bare), "encoder"))
    assert unknown.state == "not applicable"
    assert unknown.detail == "no module offers it by which another process could find it"


def test_what_learns_no_vocabulary_of_its_own_is_not_loaded_once_more():
    pretrained = replace(WORDS, needs=("transformers",), install="transformers")
    finding = of_process(check_component(pretrained, "encoder"))
    assert finding.state == "not applicable"
    assert finding.detail == "its vocabulary is that of a pretrained model (transformers)"
