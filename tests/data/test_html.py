"""Text from data in HTML and in notebooks: escaped, in plain tables."""

from __future__ import annotations

import copy
import html
import sys
import unicodedata
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.hostile import HOSTILE
from textclf import Answers, Engine, Labels, Prediction
from textclf.data.html import Markup, escaped, quoted, table, visible
from textclf.data.predictions import answers
from textclf.evaluation.report import Estimate, LabelRow, Member, Report, Spread, Summary
from textclf.testing import toy

SEEN = {"\t", "\n", "\u200c", "\u200d"}
# Arabic, Syriac, Kaithi and Egyptian format characters that are drawn, and Khmer vowels that are not but do no harm.
DRAWN = ("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN")


class Elements(HTMLParser):
    """Collects the elements and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)

    def handle_data(self, data):
        self.text += data


def read(page: str) -> Elements:
    found = Elements()
    found.feed(page)
    found.close()
    return found


@pytest.mark.parametrize("text", [*HOSTILE, '"><img src=x onerror=alert(1)>', "]]>", "</script><script>alert(1)//"])
def test_no_text_becomes_an_element_and_all_of_it_is_read_back(text):
    """X01: markup in a text is inert, in content and in attributes."""
    found = read(f'<p title="{escaped(text)}">{escaped(text)}</p>')
    assert found.names == ["p"]
    assert found.text == visible(text)
    assert html.unescape(escaped(text)) == visible(text)


def test_every_control_and_invisible_character_is_shown_as_a_sign():
    unseen = [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and not unicodedata.name(char, "").startswith(DRAWN)
        and char not in SEEN
    ]
    assert len(unseen) > 2100
    assert [hex(ord(char)) for char in unseen if visible(char) == char] == []
    assert all(visible(char).isprintable() for char in unseen)


def test_what_is_seen_anyway_stays():
    text = "a\tb\nc é 表ポ \U0001f469\u200d\U0001f467 نمی\u200cخواهم"
    assert visible(text) == text


def test_a_character_is_named_by_its_number():
    assert visible("a\x00b\x7f\u202ec\ud800") == "a⟨U+0000⟩b⟨U+007F⟩⟨U+202E⟩c⟨U+D800⟩"


def test_an_empty_or_blank_name_stands_in_quotes():
    assert [quoted(name) for name in ("", "  ", "good", "\u200b")] == ['""', '"  "', "good", "⟨U+200B⟩"]


def test_a_table_escapes_its_cells_but_not_what_is_markup_already():
    made = table(["<label>", "n"], [["a & b", Markup("<b>1</b>")], ["\x1b[31m", "2"]])
    assert made == (
        '<table><thead><tr><th scope="col">&lt;label&gt;</th><th scope="col">n</th></tr></thead>'
        "<tbody><tr><td>a &amp; b</td><td><b>1</b></td></tr><tr><td>⟨U+001B⟩[31m</td><td>2</td></tr></tbody></table>"
    )
    assert isinstance(made, Markup)
    assert escaped(made) is made


RECIPE = {"dataset": "toy_texts", "encoder": "toy_words", "trainer": "toy_linear", "metrics": ["toy_accuracy"]}


def cells(page: str) -> list[str]:
    """Return the text of each cell."""
    rows = page.replace("</th>", "\n").replace("</td>", "\n").replace("</tr>", "")
    return read(rows).text.split("\n")[:-1]


def test_a_prediction_shows_its_labels_by_score():
    one = Prediction("good", 0.75, {"bad": 0.25, "good": 0.75})
    assert cells(one._repr_html_()) == ["label", "score", "decided", "good", "0.7500", "✓", "bad", "0.2500", ""]


def test_answers_are_a_list_and_a_table_of_labels_and_scores():
    scores = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    made = Answers(answers(scores, np.array([1, -1]), Labels(("bad", "good"))))
    assert made == [Prediction("good", 0.75, {"bad": 0.25, "good": 0.75}), Prediction(None, 0.5, made[1].scores)]
    assert cells(made._repr_html_()) == [
        "", "label", "bad", "good", "0", "good", "0.2500", "0.7500", "1", "(no label)", "0.5000", "0.5000",
    ]  # fmt: skip
    assert copy.copy(made) == made


def test_several_labels_stand_in_one_cell():
    made = Answers(answers(np.array([[0.9, 0.8], [0, 0]], np.float32), np.array([[True, True], [False, False]]),
                           Labels(("art", "music"), "multi-label")))  # fmt: skip
    shown = cells(made._repr_html_())[4:]
    assert shown == ["0", "art, music", "0.9000", "0.8000", "1", "(no label)", "0.0000", "0.0000"]


def test_many_predictions_and_many_labels_are_cut_and_counted():
    names = tuple(f"label {n}" for n in range(30))
    scores = np.full((1000, 30), 1 / 30, np.float32)
    made = Answers(answers(scores, np.zeros(1000, np.int64), Labels(names)))
    page = made._repr_html_()
    assert page.count("<tr>") == 21
    assert cells(page)[:6] == ["", "label", "score", "0", "label 0", "0.0333"]
    assert page.endswith("… and 980 predictions more")
    assert made[0]._repr_html_().endswith("… and 10 labels more")
    assert read(Answers()._repr_html_()).names == ["table", "thead", "tr", "th", "th", "th", "tbody"]


@pytest.mark.parametrize("label", [text for text in HOSTILE if len(text) < 1000])
def test_hostile_labels_and_names_are_inert(label):
    """X01: markup in a label is inert."""
    pages = [
        Prediction(label, 1.0, {label: 1.0})._repr_html_(),
        Answers([Prediction((label,), None, {label: 1.0})])._repr_html_(),
        _report(label)._repr_html_(),
        Summary(name=label, members=(Member(label, label, {label: 1.0}),), metrics={label: Spread(1, 0, 1, 1)})
        ._repr_html_(),
    ]  # fmt: skip
    for page in pages:
        found = read(page)
        assert set(found.names) <= {"p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
        assert visible(label) in found.text


def _report(label: str) -> Report:
    return Report(
        name=label, task="single-label", labels=(label,), sizes={"test": 1}, metrics={label: Estimate(float("nan"))},
        baseline={}, log_loss=0.0, per_label=(LabelRow(label, 1, 1, 1, 1),), averages=(), confusion=None,
    )  # fmt: skip


def test_a_report_shows_metrics_with_intervals_beside_the_baseline(tmp_path):
    result = Engine(plugins=[toy], runs=tmp_path, cache=tmp_path / "cache").run(RECIPE)
    page = result.report._repr_html_()
    estimate = result.report.metrics["toy_accuracy"]
    assert cells(page)[4:8] == [
        "toy_accuracy", f"{estimate.value:.4f}", f"{estimate.low:.4f} to {estimate.high:.4f}",
        f"{result.report.baseline['toy_accuracy']:.4f}",
    ]  # fmt: skip
    assert "style" not in page
    assert result._repr_html_() == f"{page}<p>everything is in {result.folder}</p>"


def test_what_is_not_defined_is_said_so():
    assert "undefined" in cells(_report("x")._repr_html_())


def test_a_study_shows_each_run_and_the_mean():
    members = (Member("seed 0", "a", {"accuracy": 0.5}), Member("seed 1", "b", {"accuracy": 0.7}))
    summary = Summary(name="study", members=members, metrics={"accuracy": Spread(0.6, 0.1, 0.55, 0.65)})
    assert cells(summary._repr_html_()) == [
        "study: 2 runs", "accuracy", "seed 0", "0.5000", "seed 1", "0.7000", "mean", "0.6000", "deviation", "0.1000",
        "95 % interval", "0.5500 to 0.6500",
    ]  # fmt: skip
