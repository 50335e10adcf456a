"""Encoders in another process."""

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


HASHED = '''
"""Words hashed into columns, in one way too many."""

import json
import zlib

from textclf import Component, Field, Options, Traits

KEPT = {{}}


class HashedOptions(Options):
    divided: bool = Field(True, description="divide by the number of words")


def hashed(texts):
    import numpy as np

    features = np.zeros((len(texts), 32), np.float32)
    for row, text in enumerate(texts):
        for word in text.split():
            features[row, zlib.crc32(word.encode()) % 32] += 1
    return features


class Hashed:
    def __init__(self, options):
        self.options, self.weights, self.own = options, [1.0] * 32, {{}}

    def fit(self, train, context):
        import numpy as np

        texts = list(train.texts.first)
        {fit}

    def encode(self, texts, context):
        import numpy as np

        texts = list(texts.first)
        return {encode}

    def plain(self, texts):
        import numpy as np

        features = hashed(texts) * np.array(self.weights, np.float32)
        return features / np.maximum(1, features.sum(1, keepdims=True)) if self.options.divided else features

    def kept(self, key, text):
        if key not in KEPT:
            KEPT[key] = self.plain([text])[0]
        return KEPT[key]

    def by_length(self, texts):
        import numpy as np

        rows = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        batches = [sorted(rows[start:start + 64]) for start in range(0, len(rows), 64)]
        return np.concatenate([self.plain([texts[row] for row in batch]) for batch in batches])

    def fingerprint(self):
        return {fingerprint}

    def save(self, folder):
        (folder / "weights.json").write_text(json.dumps(self.weights))


def restore(options, folder):
    encoder = Hashed({restored})
    encoder.weights = json.loads((folder / "weights.json").read_text())
    return encoder


def textclf_encoders():
    return [Component(name="hashed", summary="hashed words", options=HashedOptions, build=Hashed, restore=restore,
                      traits=Traits(makes="matrix"))]
'''
RIGHT = {
    "fit": "self.weights = (1 + hashed(texts).mean(0)).tolist()", "encode": "self.plain(texts)",
    "fingerprint": 'f"{self.options.divided} {self.weights}"', "restored": "options",
}  # fmt: skip
ANOTHER = "gives other features under the same fingerprint"


def failed(folder, **wrong):
    path = folder / "hashed.py"
    path.write_text(HASHED.format(**RIGHT | wrong), "utf-8")
    findings = check_plugin(single_file.load(str(path)))
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


def test_what_hangs_on_nothing_else_passes(tmp_path):
    assert failed(tmp_path) == {}


@pytest.mark.parametrize(
    ("wrong", "clause", "said"),
    [
        ({"fit": "self.weights = np.random.default_rng(context.seed).random(32).tolist()",
          "fingerprint": "str(self.options.divided)"},
         "encoder.fingerprint", f"fitted with another context.seed it {ANOTHER}"),
        ({"fit": "self.weights = (1 + hashed(texts)[train.labels == 1].mean(0)).tolist(); self.known = len(texts)",
          "fingerprint": 'f"{self.options.divided} {self.known}"'},
         "encoder.fingerprint", f"fitted on the same texts with other labels it {ANOTHER}"),
        ({"encode": "np.array([self.kept(text, text) for text in texts])"},
         "encoder.alone", "fitted after others of it, and alone in a process (divided: False): they differ by up to"),
        ({"encode": "hashed(texts) * KEPT.setdefault(0, 1 + self.options.divided)"},
         "encoder.alone", "fitted after others of it, and alone in a process (divided: False): they differ by up to"),
        ({"encode": "self.by_length(texts)"}, "encoder.neighbours", "text 43 alone and among 300: they differ by up"),
        ({"restored": "HashedOptions()"},
         "encoder.restore", "with divided False in place of True: saved and restored: they differ by up to"),
    ],
)  # fmt: skip
def test_what_hangs_on_more_is_found_by_its_clause_alone(wrong, clause, said, tmp_path):
    found = failed(tmp_path, **wrong)
    assert list(found) == [clause]
    assert found[clause].startswith(said)


@pytest.mark.parametrize("key", ["text.lower()", "text[:200]"])
@pytest.mark.parametrize(("whose", "clause"), [("self.own", "encoder.order"), ("KEPT", "encoder.alone")])
def test_texts_that_a_cache_takes_for_one_are_found(key, whose, clause, tmp_path):
    known = f"({key}, tuple(self.weights), self.options)"
    wrong = f"np.array([{whose}.setdefault({known}, self.plain([text])[0]) for text in texts])"
    assert list(failed(tmp_path, encode=wrong)) == [clause]
