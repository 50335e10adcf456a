"""`textclf explain`: the words that speak for and against a label, on a terminal, as a page and as JSON."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import Answer
from tests.hostile import HOSTILE
from textclf import Engine
from textclf.cli.explain import _ExplainProgress, explanation_parts
from textclf.cli.progress import RunProgress
from textclf.data.explanation import Explanation, Word
from textclf.plugin.events import Chosen, Warned

Call = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _runs(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(trained)


def texts_of(runs: Path, name: str) -> list[str]:
    (file,) = runs.glob(f"{name}/*/predictions.csv")
    return [row["text"] for row in csv.DictReader(file.open(encoding="utf-8"))]


def explanation(text: str = "good film , bad", method: str = "exact", **changes: object) -> Explanation:
    words = (Word("good", 0, 0, 4, 2.0), Word("film", 0, 5, 9, 0.0, seen=False), Word("bad", 0, 12, 15, -1.5))
    told = {"pair": None, "label": "fine", "score": 0.9, "words": words, "logit": 1.0, "baseline": 0.5}
    told |= {"remainder": 0.0, "method": method, "of": "log-odds of 'fine'", "against": "nothing"}
    return Explanation(text=text, **{**told, **changes})  # type: ignore[arg-type]


def drawn(told: Explanation, **how: object) -> str:
    stream = io.StringIO()
    target = Console(file=stream, width=100, markup=False, emoji=False, highlight=False, **how)  # type: ignore[arg-type]
    for part in explanation_parts(told):
        target.print(part)
    return stream.getvalue()


def test_words_for_and_against_are_listed_with_what_was_computed(call: Call):
    answer = call("explain", "toys", "dabe fine", "--label", "label0")
    assert (answer.code, answer.err) == (0, "")
    lines = [line for line in answer.out.splitlines() if line]
    assert lines[0].startswith("label0: probability 0.")
    assert lines[1:4] == ["dabe fine", "for it, against it", "word  contribution  speaks"]
    assert {line.split()[0] for line in lines[4:6]} == {"dabe", "fine"}
    assert lines[6].startswith("occlusion: the change when a word is deleted; log-odds of 'label0': ")
    assert lines[6].endswith("; the text as it is after cleaning")


def test_json_is_one_document_with_every_word(call: Call):
    document = call("explain", "toys", "dabe fine", "--json").json()
    assert set(document) == {"run", "explanations"}
    (told,) = document["explanations"]
    names = "text pair label score logit baseline remainder error method of against why words"
    assert " ".join(told) == names
    assert [(word["text"], word["start"], word["end"]) for word in told["words"]] == [("dabe", 0, 4), ("fine", 5, 9)]
    difference = told["logit"] - told["baseline"] - sum(word["contribution"] for word in told["words"])
    assert told["error"] == pytest.approx(difference)


def test_how_far_the_deletions_are_is_said_beside_the_answer(call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("textclf.cli.progress._LINE_EVERY", 0.0)
    answer = call("explain", "toys", "dabe " * 100)
    assert answer.err == "explain: 0 of 103 deletions\nexplain: 64 of 103 deletions\n"
    assert answer.out.startswith("\nlabel")


def test_what_each_scored_text_would_warn_of_is_said_once():
    stream = io.StringIO()
    with RunProgress(Console(file=stream, width=100)) as progress:
        observer = _ExplainProgress(progress)
        for event in (Warned(message="one is cut"), Warned(message="one is cut"), Chosen(what="x", choice=1)):
            observer(event)
    assert stream.getvalue() == "warning: one is cut\n"


def test_every_predicted_label_is_explained(call: Call, trained: Path):
    classifier = Engine(runs=trained).load("several")
    texts = texts_of(trained, "several")
    labels = [classifier.predict_one(text).label for text in texts]
    (text, expected) = max(zip(texts, labels, strict=True), key=lambda each: len(each[1] or ()))
    assert len(expected or ()) > 1
    found = call("explain", "several", text, "--json").json()["explanations"]
    assert [told["label"] for told in found] == list(expected or ())


def test_a_text_is_read_from_stdin_whole(call: Call, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("dabe\ncafé\r\n".encode())))
    (told,) = call("explain", "toys", "-", "--json").json()["explanations"]
    assert told["text"] == "dabe\ncafé"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"dabe\xe9")))
    assert call("explain", "toys", "-") == Answer(
        3, "", "textclf: stdin: byte 5: is no UTF-8 text; convert it first, as with iconv -f LATIN1 -t UTF-8\n"
    )


def test_both_texts_of_a_pair_are_shown(call: Call):
    answer = call("explain", "twos", "dabe fine", "--pair", "gaga")
    assert answer.code == 0
    assert "\ndabe fine\n" in answer.out
    assert "\ngaga\n" in answer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toys", "a", "--label", "labl1"],
         "--label: unknown label 'labl1'; did you mean 'label1'? (known: label0, label1)"),
        (["toys", "a", "--method", "exakt"],
         "--method: 'exakt' is unknown; did you mean 'exact'? (known: auto, exact, gradients, occlusion)"),
        (["toys", "a", "--pair", "b"], "--pair: this classifier reads single texts, not pairs"),
        (["twos", "a"], "this classifier reads pairs of texts; add --pair TEXT"),
        (["toys", "a", "--method", "exact"],
         "method 'exact': encoder 'toy_words' (plugin textclf.testing.toy of toy 1.0) does not return where in a text "
         "its features come from (spans); use auto or occlusion"),
        (["toys", "a", "--html", "no/such/place.html"],
         "--html: no/such/place.html cannot be written: no such file or directory; name another file"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_said_with_the_way_out(call: Call, arguments: list[str], message: str):
    answer = call("explain", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"textclf: {message}\n"


def test_signs_are_visible_without_colours():
    colourless = drawn(explanation(), force_terminal=True, no_color=True, color_system="truecolor")
    assert "\x1b[1mgood\x1b[0m" in colourless
    assert "\x1b[4mbad\x1b[0m" in colourless
    coloured = drawn(explanation(), force_terminal=True, color_system="truecolor")
    assert "\x1b[1;38;2;255;255;255;48;2;0;103;168mgood\x1b[0m" in coloured
    assert "\x1b[4;38;2;0;0;0;48;2;240;160;48mbad\x1b[0m" in coloured
    assert "\x1b[2;9mfilm\x1b[0m" in colourless


def test_each_entry_of_the_legend_has_its_own_style_alone():
    lines = drawn(explanation(), force_terminal=True, color_system="truecolor").splitlines()
    assert next(line for line in lines if "for it" in line) == (
        "\x1b[1;38;2;255;255;255;48;2;0;103;168mfor it\x1b[0m, "
        "\x1b[4;38;2;0;0;0;48;2;240;160;48magainst it\x1b[0m, \x1b[2;9munknown or not read\x1b[0m"
    )


def told_of(told: Explanation) -> list[str]:
    """Return the lines between the title and what was computed."""
    lines = drawn(told).partition("exact weights")[0].splitlines()
    return [line.rstrip() for line in lines if line.strip()][1:]


def test_where_no_word_counts_a_sentence_says_so_in_place_of_a_table():
    unknown, idle = Word("a", 0, 0, 1, 0.0, seen=False), Word("a", 0, 0, 1, 0.0)
    for told, lines in [
        (explanation("", words=()), ["no word of this text is known to the model and read by it"]),
        (explanation(" \n ", words=()), ["no word of this text is known to the model and read by it"]),
        (explanation("a", words=(unknown,)), ["a", "no word of this text is known to the model and read by it"]),
        (explanation("", pair="", words=()), ["no word of these texts is known to the model and read by it"]),
        (explanation("a", words=(idle,)), ["a", "no word of this text contributes anything"]),
    ]:
        assert told_of(told) == lines
        assert lines[-1] in Seen(told.to_html()).text
        assert "speaks for" not in Seen(told.to_html()).text


def test_nothing_but_spaces_is_said_to_be_read_by_nobody(call: Call):
    answer = call("explain", "toys", "  ")
    assert answer.code == 0
    assert "\n\nno word of this text is known to the model and read by it\n\nocclusion: " in answer.out


def test_of_a_long_text_both_ends_are_shown_and_what_is_left_out_is_counted():
    text = "x" * 3998 + " good " + "film " * 1000 + "bad " + "y" * 3998
    words = (Word("x" * 3998, 0, 0, 3998, 1.0), Word("good", 0, 3999, 4003, 2.0),
             *(Word("film", 0, 4004 + 5 * n, 4008 + 5 * n, 1.0) for n in range(1000)),
             Word("bad", 0, 9004, 9007, -1.5), Word("y" * 3998, 0, 9008, 13006, 1.0))  # fmt: skip
    lines = told_of(explanation(text, words=words))
    assert "".join(lines[:40]) == "x" * 3998
    assert lines[40] == "[left out here: 5,008 characters, 1,002 words; --html FILE and --json have all]"
    assert "".join(lines[41:81]).strip() == "y" * 3998
    whole = explanation("z" * 9000, words=(Word("z" * 9000, 0, 0, 9000, 1.0),))
    assert told_of(whole)[0] == "[left out here: 9,000 characters, 1 word; --html FILE and --json have all]"
    assert text in Seen(explanation(text, words=words).to_html()).text


def test_a_character_that_cannot_be_seen_is_shown_by_its_number_on_the_terminal_too():
    told = explanation("a\x00b\x1b[1mc\u202e\ud800", label="l\x07", words=(Word("a", 0, 0, 1, 1.0),))
    shown = "a⟨U+0000⟩b⟨U+001B⟩[1mc⟨U+202E⟩⟨U+D800⟩"
    assert told_of(told)[0] == shown
    assert shown in Seen(told.to_html()).text
    assert drawn(told).split()[0] == "l⟨U+0007⟩:"


def test_contributions_that_do_not_add_up_are_called_rough():
    warning = "warning: the contributions miss the difference by more than a hundredth of it; they are rough"
    assert warning not in drawn(explanation())
    assert warning in drawn(explanation(logit=1.1))
    assert warning not in drawn(explanation(logit=1.1, method="occlusion"))


class Seen(HTMLParser):
    """Collects elements, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_marks_words_and_fetches_and_runs_nothing(call: Call, tmp_path: Path):
    assert call("explain", "toys", "dabe fine", "--html", "page.html").err == "wrote page.html\n"
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in page
    seen = Seen(page)
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in seen.elements}
    assert "dabe fine" in seen.text
    marked = Seen(explanation().to_html()).elements
    classes = [attributes["class"] for tag, attributes in marked if tag == "span"]
    assert classes == ["for", "unseen", "against"]


@pytest.mark.parametrize("behind_a_link", [False, True])
def test_only_a_page_of_explanations_is_replaced_without_force(call: Call, tmp_path: Path, behind_a_link: bool):
    file, page = tmp_path / "thesis.html", tmp_path / "page.html"
    page.symlink_to(file)
    place = page.name if behind_a_link else file.name
    for other in ("<!DOCTYPE html>\nmine", "", "<title>textclf: what each word contributed</title>"):
        file.write_text(other, "utf-8")
        assert call("explain", "toys", "dabe", "--html", place) == Answer(
            2,
            "",
            f"textclf: --html: {place} exists and is no page of explanations; name another file, or add --force to "
            "replace it\n",
        )
        assert file.read_text("utf-8") == other
    assert call("explain", "toys", "dabe", "--html", place, "--force").err == f"wrote {place}\n"
    assert call("explain", "toys", "fine", "--html", place).code == 0
    assert ">fine</" in file.read_text("utf-8")
    assert call("explain", "toys", "fine", "--html", "/dev/null").err == "wrote /dev/null\n"


@pytest.mark.parametrize("hostile", [text for text in HOSTILE if len(text) < 100], ids=ascii)
def test_texts_and_labels_are_never_markup_nor_commands_of_the_terminal(hostile: str):
    """X01: inert in the page; X02: printed literally or stripped."""
    text = hostile.encode("utf-8", "replace").decode()
    told = explanation(text, label=hostile, words=(Word(text, 0, 0, len(text), 1.0),))
    safe = {tag for tag, _ in Seen(told.to_html()).elements}
    assert safe <= {"html", "head", "meta", "title", "style", "body", "div", "p", "strong", "span", "table", "thead",
                    "tbody", "tr", "th", "td"}  # fmt: skip
    assert not {"\x1b", "\x07", "\x00", "\u202e"} & set(drawn(told))
    assert not {"\x00", "\x1b", "\u202e"} & set(told.to_html())


def test_a_notebook_shows_the_same_marks():
    told = explanation()
    assert told._repr_html_() in told.to_html()


def test_help_needs_no_library_of_machine_learning():
    code = (
        "import sys; from textclf.cli.main import main; main(['explain', '--help']); "
        "print([m for m in ('torch', 'numpy', 'captum', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Show what each word of a text contributed" in done.stdout


def test_errors_of_json_are_one_document(call: Call):
    answer = call("explain", "toys", "a", "--label", "x", "--json")
    assert answer.code == 2
    assert json.loads(answer.out)["error"]["message"].startswith("--label: unknown label 'x'")
