"""report.html holds what the run found, whole, escaped, and the same for the same run."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from textclf_report.output import HtmlReport

from tests.hostile import HOSTILE
from tests.plugins.finished import RECIPE, finished, predictions, several
from textclf import Engine, Finished, visible
from textclf.testing import toy

ATTACKS = (
    "</script><script>alert(1)</script>", '"><img src="http://127.0.0.1:9/x" onerror="alert(1)">', "]]>", "<!--",
    "</title></svg></style><style>@import 'http://127.0.0.1:9/y'</style>", "{{ 7 * 7 }}{% raw %}", "\ud83d lone",
    "javascript:alert(1)", "&lt;b&gt;",
)  # fmt: skip
STRANGE = [*ATTACKS, *(text for text in HOSTILE if text.strip() and len(text) < 1000)]
TOY = {
    "name": "t", "dataset": "toy_texts", "encoder": "toy_words", "trainer": {"use": "toy_linear", "keep": "best"},
    "outputs": ["html"],
}  # fmt: skip
VOID = {"meta", "link"}
SVG = "{http://www.w3.org/2000/svg}"


class Structure(HTMLParser):
    """Reads a page as a browser would: its elements and attributes, its text, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data


@pytest.fixture
def write(tmp_path) -> Callable[[Finished], str]:
    def written(made: Finished, mistakes: int = 20) -> str:
        HtmlReport("report.html", mistakes).write(made, tmp_path)
        return (tmp_path / "report.html").read_text("utf-8")

    return written


def structure(page: str) -> Structure:
    found = Structure()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


def drawings(page: str) -> dict[str, ElementTree.Element]:
    """Return each figure by its title."""
    found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    return {str(figure.findtext("title")): figure for figure in found}


def tips(figure: ElementTree.Element, kind: str) -> list[str]:
    return [str(mark.findtext("title")) for mark in figure.iter(kind) if mark.find("title") is not None]


def words(page: str) -> str:
    return " ".join(structure(page).text.split())


def test_a_run_with_the_output_leaves_one_whole_page(tmp_path):
    result = Engine(plugins=[toy], runs=tmp_path, cache=tmp_path / "cache").run(TOY)
    page = (result.folder / "report.html").read_text("utf-8")
    assert result.report.warnings == ()
    assert f"accuracy is {result.report.metrics['accuracy'].value:.4f} (95 % interval" in words(page)
    record = json.loads((result.folder / "record.json").read_text("utf-8"))
    assert all(text in words(page) for text in (record["id"], record["machine"]["system"], record["versions"]["numpy"]))
    shown = next(text for text in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL))
    assert yaml.safe_load(html.unescape(shown)) == yaml.safe_load((result.folder / "recipe.yaml").read_text("utf-8"))
    (chosen,) = re.findall(r"The model is that of epoch (\d+), the best on validation texts", words(page))
    events = [json.loads(line) for line in (result.folder / "events.jsonl").read_text("utf-8").splitlines()]
    assert int(chosen) == [event["epoch"] for event in events if event.get("best")][-1]


def test_the_same_run_gives_the_same_bytes(write):
    assert write(finished(predictions())) == write(finished(predictions()))


RUNS = {
    "single": finished(predictions()),
    "several": finished(several()),
    "one text": finished(predictions(1), epochs=1),
    "few, no history": finished(predictions(9), epochs=0),
    "all abstain": finished(predictions(30, abstain_below=1.1)),
    "pairs": finished(predictions(200, ("a", "b", "c"), pairs=True)),
    "40 labels": finished(predictions(400, [f"label {n}" for n in range(40)])),
}


@pytest.mark.parametrize("made", RUNS.values(), ids=RUNS)
def test_every_kind_of_run_gives_a_page_that_is_well_formed_and_described(write, made):
    page = write(made)
    found = structure(page)
    identities = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(set(identities)) == len(identities)
    for tag, attributes in found.elements:
        for name in str(attributes.get("aria-labelledby") or "").split():
            assert name in identities
        if tag == "a":
            assert str(attributes["href"]).removeprefix("#") in identities
    for figure in drawings(page).values():
        assert len(str(figure.findtext("desc"))) > 20
    assert "nan" not in re.sub(r"<style.*?</style>", "", page).lower().split()
    places = re.findall(r' (?:x|y|x1|x2|y1|y2|cx|cy|width|height)="([^"]*)"', page)
    assert all(np.isfinite([float(place) for place in places]))
    assert not re.search(r'(?:width|height)="-', page)


def _dressed(texts: list[str]) -> Finished:
    """Return a run that has the texts wherever a text from outside can stand."""
    return finished(
        predictions(80, [*texts, "other"], texts=texts * 40),
        recipe=dict.fromkeys(texts, texts), warnings=tuple(texts), split=dict.fromkeys(texts, texts[0]),
        choices=dict.fromkeys(texts, texts[0]),
    )  # fmt: skip


@pytest.mark.parametrize("start", range(0, len(STRANGE), 9))
def test_hostile_labels_and_texts_are_only_ever_text(write, start):
    """X01: markup in a label or a text is inert."""
    texts = STRANGE[start : start + 9]
    found = structure(write(_dressed(texts)))
    # As many words each, since figures have a mark for each length.
    plain = structure(write(_dressed([" ".join([f"p{n}"] * len(text.split())) for n, text in enumerate(texts)])))
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in plain.elements]
    attributes = {name for _, given in found.elements for name in given}
    assert not [name for name in attributes if name.startswith("on") or name in ("src", "style", "xlink:href")]
    assert [given["href"] for tag, given in found.elements if tag == "link"] == ["data:,"]
    for text in texts:
        assert f"Warned in the run: {visible(text)}" in found.text
        assert found.text.count(visible(text)) >= 5


def test_the_policy_lets_nothing_in_but_the_page_s_own_style(write):
    page = write(finished(predictions()))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = structure(page).elements[3][1]
    assert policy == {
        "http-equiv": "Content-Security-Policy",
        "content": f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'",
    }
    assert "url(" not in style.replace("url(#hatch)", "")
    assert "@import" not in style


def test_the_confusion_matrix_shows_counts_and_shares_of_rows(write):
    made = finished(predictions(300, ("a", "b", "c"), abstain_below=0.5))
    figure = drawings(write(made))["Confusion matrix"]
    shown = [mark.text for mark in figure.iter("text") if str(mark.get("class")).split()[0] == "count"]
    shares = [mark.text for mark in figure.iter("text") if str(mark.get("class")).split()[0] == "share"]
    truth, said = made.predictions.truth, made.predictions.predicted
    places = [(row, column) for row in range(3) for column in (0, 1, 2, -1)]
    cells = [(int(((truth == t) & (said == p)).sum()), int((truth == t).sum())) for t, p in places]
    assert shown == [str(count) for count, _ in cells]
    assert shares == [f"{100 * count / total:.0f} %" for count, total in cells]
    assert tips(figure, "rect")[3] == (
        f"true a, predicted no label: {cells[3][0]} of {cells[3][1]}, {100 * cells[3][0] / cells[3][1]:.1f} %"
    )


def test_the_numbers_in_a_cell_are_readable_however_strong_its_colour():
    style = files("textclf_report").joinpath("style.css").read_text("utf-8")
    blocks = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in style.split(":root {")[1:]]
    assert len(blocks) == 3, "light, dark, print"
    for colours in blocks:
        for fill in ("own", "other", "card"):
            bright, dim = sorted((light(colours[fill]), light(colours["ink"])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (fill, colours)


def light(colour: str) -> float:
    """Return the relative luminance of #rrggbb, by WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def test_with_many_labels_the_commonest_confusions_are_listed(write):
    made = finished(predictions(900, [f"label {n}" for n in range(300)]))
    page = write(made)
    assert "Confusion matrix" not in drawings(page)
    truth, said = made.predictions.truth, made.predictions.predicted
    worst = max(((truth == t) & (said == p)).sum() for t in range(300) for p in range(300) if t != p)
    (row,) = re.findall(r"share of the true label</th></tr></thead>\s*<tbody>\s*<tr>.*?</td>.*?<td>(\d+)</td>", page)
    assert int(row) == worst
    assert "The 30 labels of lowest F1, of 300; metrics.json has all." in words(page)
    assert len(page) < 200_000


def test_the_learning_curves_show_each_epoch_and_the_chosen_one(write):
    made = finished(predictions(), epochs=3)
    page = write(made)
    loss, metric = drawings(page)["Loss by epoch"], drawings(page)["Validation metrics by epoch"]
    assert tips(loss, "circle") == [f"epoch {n}: training loss {1 / n:.4f}" for n in (1, 2, 3)]
    assert tips(loss, "polygon") == [
        f"epoch {n}: validation log_loss {v:.4f}" for n, v in ((1, 0.6), (2, 0.5), (3, 0.6))
    ]
    assert tips(metric, "circle") == [
        f"epoch {n}: validation accuracy {v:.4f}" for n, v in ((1, 0.6), (2, 0.7), (3, 0.6))
    ]
    (line,) = [mark for mark in metric.iter("line") if mark.get("class") == "chosen"]
    assert line.get("x1") == [mark.get("cx") for mark in metric.iter("circle") if mark.find("title") is not None][1]
    assert "The model is that of epoch 2, the best on validation texts." in words(page)


def test_a_loss_that_is_not_defined_parts_the_curve(write):
    made = finished(predictions(), epochs=4)
    history = [dict(event) for event in made.history]
    history[1]["loss"] = None
    page = write(Finished(made.report, made.predictions, history, None, made.recipe))
    loss = drawings(page)["Loss by epoch"]
    assert [tip.split(":")[0] for tip in tips(loss, "circle")] == ["epoch 1", "epoch 3", "epoch 4"]
    assert page.count("<td>undefined</td>") == 1


def test_what_was_learned_before_the_labels_has_a_curve_of_its_own(write):
    made = finished(predictions(), epochs=2)
    before = [{**event, "objective": "masked-lm", "validation": None, "best": False} for event in made.history]
    page = write(Finished(made.report, made.predictions, [*before, *made.history], None, made.recipe))
    assert list(drawings(page))[-3:] == ["Loss of masked-lm by epoch", "Loss by epoch", "Validation metrics by epoch"]
    assert "Before the labels the network learned masked-lm from texts alone." in words(page)


def test_a_trainer_without_epochs_has_no_curve_and_that_is_said(write):
    page = words(write(finished(predictions(), epochs=0)))
    assert "This trainer tells of no epochs, so there is no learning curve." in page


def test_without_texts_none_is_shown_but_their_ids(write):
    made = finished(predictions(200, texts=["a secret"] * 200), recipe={**RECIPE, "report": {"texts": False}})
    page = words(write(made))
    assert "secret" not in page
    wrong = int((made.predictions.truth != made.predictions.predicted).sum())
    assert f"The 20 of {wrong} wrong answers" in page
    assert "The recipe keeps texts out of what it writes (report.texts: false): only their ids stand here." in page
    assert page.count("· id id") == 20


def test_long_texts_are_folded_and_very_long_ones_cut(write):
    made = predictions(40, texts=["long " * 300] * 20 + ["x" * 1_000_000] * 20)
    page = write(finished(made), mistakes=40)
    assert "the whole text, 1,500 characters" in page
    assert "the first 20,000 of 1,000,000 characters; predictions.csv has all" in page
    assert len(page) < 700_000


def test_a_reader_is_told_what_to_doubt(write):
    page = words(write(finished(predictions(40, ("a", "b", "c", "d"), abstain_below=0.5))))
    assert "Few test texts, 40: one right or wrong moves accuracy by 2.5 points." in page
    assert "Labels with fewer than 10 test texts, of which little can be said:" in page
    assert re.search(r"The classifier gave \d+\.\d % of the texts no label", page)
    assert "With only" in page


def test_a_baseline_inside_the_interval_is_no_evidence(write):
    made = predictions(120)
    said = np.zeros(120, np.int64)
    told = words(write(finished(type(made)(made.labels, made.truth, said, made.scores, made.texts, made.ids))))
    assert (
        "The baseline's toy_accuracy lies inside the interval: these texts do not show that the classifier is better"
        in told
    )


def test_with_several_labels_each_says_what_was_found_missed_and_wrongly_given(write):
    made = finished(several())
    page = write(made)
    truth, said = made.predictions.truth[:, 0], made.predictions.predicted[:, 0]
    counts = [int((truth & said).sum()), int((truth & ~said).sum()), int((~truth & said).sum())]
    (row,) = re.findall(r'<th scope="row" class="words" dir="auto">art</th>(.*?)</tr>', page)
    assert [int(count) for count in re.findall(r"<td>(\d+)</td>", row)][-3:] == counts
    assert "Confusion matrix" not in drawings(page)


def test_a_page_that_cannot_be_written_is_a_warning_that_names_the_file(tmp_path):
    """P05: an output that fails is a warning, and the run goes on."""

    def block(event):
        if type(event).__name__ == "StageStarted" and event.stage == "save":
            (folder,) = [path.parent for path in tmp_path.glob("t/*/record.json")]
            (folder / "report.html" / "in the way").mkdir(parents=True)

    result = Engine(plugins=[toy], runs=tmp_path, cache=tmp_path / "cache", observers=[block]).run(TOY)
    assert result.report.warnings == (
        "output 'html' (plugin textclf_report): write fails, the run goes on: "
        f"cannot write {result.folder / 'report.html'}: Is a directory; use a folder that can be written",
    )
    assert list(result.folder.glob(".report*")) == []


