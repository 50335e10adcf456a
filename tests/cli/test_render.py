"""How reports look: readable with many labels, long labels, hostile labels and numbers that are none."""

from __future__ import annotations

import io
import math
from dataclasses import replace

from textclf.cli.render import report_parts
from textclf.cli.terminal import Terminal, console
from textclf.evaluation.report import Estimate, LabelRow, Member, Report, Spread, Summary


def report(labels: tuple[str, ...]) -> Report:
    count = len(labels)
    # Each label is taken for the next one, up to six times.
    rows = [{row: 9, (row + 1) % count: row % 7} for row in range(count)]
    cells = tuple(tuple(row.get(column, 0) for column in range(count)) for row in rows)
    return Report(
        name="made", task="single-label", labels=labels, sizes={"train": 90, "test": 10},
        metrics={"accuracy": Estimate(0.9, 0.85, 0.95)}, baseline={"accuracy": 0.5}, log_loss=0.25,
        per_label=tuple(LabelRow(label, 0.5, 0.25, row / count, 10) for row, label in enumerate(labels)),
        averages=(LabelRow("macro", 0.5, 0.5, 0.5, 10),), confusion=cells,
    )  # fmt: skip


def shown(found: Report | Summary, *, encoding: str = "utf-8", width: int = 100) -> list[str]:
    """Return the lines a terminal would show."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    terminal = Terminal()
    terminal.out, terminal.answers = stream, console(stream)
    terminal.answers.width = width
    terminal.answer(*report_parts(found))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding).split("\n")


def test_500_labels_are_cut_to_the_weakest_and_the_most_confused() -> None:
    """X06: 500 classes."""
    lines = shown(report(tuple(f"class {i}" for i in range(500))))
    assert len(lines) < 60
    assert max(map(len, lines)) <= 100
    assert "the 20 labels with the lowest F1, of 500; all are in metrics.json" in lines
    assert "class 0 0.5000 0.2500 0.0000 10" in [" ".join(line.split()) for line in lines]
    assert [line.split() for line in lines if line.startswith("class 6 ")][-1] == ["class", "6", "6", "class", "7"]


def test_labels_of_200_characters_keep_their_beginning_and_end() -> None:
    """X06: 200-character labels."""
    lines = shown(report(("a" * 199 + "x", "a" * 199 + "y")))
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("a" * 20 + "...aaaaaaaax") for line in lines)
    assert any(line.startswith("a" * 20 + "...aaaaaaaay") for line in lines)


def test_markup_and_escape_sequences_in_labels_do_nothing() -> None:
    """X02: rich's markup is printed as it stands, control characters are not printed at all."""
    hostile = ("[red]x[/red]", "[/]\x1b[31m\x07", "two\nlines", "\u202eltr", "[link=http://x]y")
    text = "\n".join(shown(report(hostile)))
    assert "[red]x[/red]" in text
    assert "[/][31m" in text
    assert "two lines" in text
    assert "[link=http://x]y" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_numbers_that_are_not_defined_are_said_so() -> None:
    """X04: NaN is a word for people and null for programs."""
    found = replace(report(("a", "b")), metrics={"roc_auc": Estimate(math.nan)}, baseline={"roc_auc": math.nan})
    row = next(line for line in shown(found) if line.startswith("roc_auc"))
    assert row.split() == ["roc_auc", "undefined", "undefined"]
    assert found.to_json()["metrics"]["roc_auc"] == {"value": None, "low": None, "high": None}


def test_a_table_survives_a_narrow_terminal() -> None:
    lines = shown(report(("good", "bad")), width=40)
    assert any(line.startswith("accuracy") for line in lines)


def test_abstentions_have_a_column_of_their_own() -> None:
    found = replace(report(("good", "bad")), confusion=((5, 1, 2), (0, 6, 1)), coverage=0.8)
    lines = [" ".join(line.split()) for line in shown(found)]
    assert "true label \\ predicted good bad (abstained)" in lines
    assert "good 5 1 2" in lines
    assert "decided: 80.0% of the texts; the others were left without a label" in lines


def test_groups_that_the_split_kept_together_are_counted() -> None:
    found = replace(report(("a", "b")), split={"texts": 90, "repeated_texts": 2, "groups": 30}, resampled="groups")
    lines = shown(found)
    assert "split: 2 repeated texts and 30 groups kept on one side" in lines
    assert "intervals: 2,000 bootstrap draws of the test split's groups" in lines


def test_a_multi_label_report_has_no_matrix() -> None:
    lines = shown(replace(report(("a", "b")), task="multi-label", confusion=None))
    assert not [line for line in lines if "predicted" in line]


def test_a_summary_shows_each_run_and_the_mean() -> None:
    members = tuple(Member(f"seed {i}", f"runs/made/{i}", {"accuracy": 0.9 + i / 100}) for i in (1, 2))
    lines = shown(Summary(name="made", members=members, metrics={"accuracy": Spread(0.915, 0.0071, 0.9, 0.93)}))
    assert [line.split() for line in lines if line][2:] == [
        ["seed", "1", "0.9100"], ["seed", "2", "0.9200"], ["mean", "0.9150"], ["deviation", "0.0071"],
        ["95", "%", "interval", "0.9000", "to", "0.9300"],
    ]  # fmt: skip
    summary = Summary(name="made", members=members, metrics={"accuracy": Spread(0.9, 0, 0.9, 0.9)}, warnings=("[b]",))
    assert [line for line in shown(summary) if line][-1] == "warning: [b]"
