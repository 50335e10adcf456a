"""`textclf predict` and `evaluate`: texts, lines and tables in, the same with predictions out."""

from __future__ import annotations

import csv
import io
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Answer

Call = Callable[..., Answer]
HEADER = "text,predicted,score,score_label0,score_label1"


@pytest.fixture(autouse=True)
def _runs(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(trained)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Pipe bytes into stdin."""

    def pipe(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return pipe


def texts_of(runs: Path, name: str = "toys") -> list[dict[str, str]]:
    """Return the rows of a run's predictions.csv."""
    (file,) = runs.glob(f"{name}/*/predictions.csv")
    return list(csv.DictReader(file.open(encoding="utf-8")))


def test_texts_come_back_as_a_table_with_the_scores_of_the_run(call: Call, trained: Path) -> None:
    rows = texts_of(trained)[:3]
    answer = call("predict", "toys", *(row["text"] for row in rows))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[0] == HEADER
    for found, row in zip(csv.DictReader(io.StringIO(answer.out)), rows, strict=True):
        assert found == {name: row[name] for name in HEADER.split(",")}


def test_lines_from_a_pipe_are_texts(call: Call, typed: Callable[[bytes], None]) -> None:
    typed("dabe fine\r\ncafé\n".encode())
    answer = call("predict", "toys")
    assert [row["text"] for row in csv.DictReader(io.StringIO(answer.out))] == ["dabe fine", "café"]


def test_lines_that_are_no_utf_8_are_named(call: Call, typed: Callable[[bytes], None]) -> None:
    typed(b"fine\ncaf\xe9\n")
    answer = call("predict", "toys")
    assert (answer.code, answer.err) == (
        3,
        "textclf: stdin: line 2, byte 4: is no UTF-8 text; convert it first, as with iconv -f LATIN1 -t UTF-8\n",
    )


def test_a_table_keeps_its_other_columns(call: Call, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('id,review,note\n01,"a, b",NA\n02,"c\nd",\n', "utf-8")
    assert call("predict", "toys", "--input", "t.csv", "--output", "out.csv") == Answer(0, "", "")
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    assert [(row["id"], row["review"], row["note"]) for row in rows] == [("01", "a, b", "NA"), ("02", "c\nd", "")]
    assert list(rows[0]) == ["id", "review", "note", "predicted", "score", "score_label0", "score_label1"]


@pytest.mark.parametrize("form", ["tsv", "jsonl", "parquet"])
def test_every_form_gives_the_same_predictions(call: Call, tmp_path: Path, form: str) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "dabe", "n": 1}\n{"text": "fine", "n": 2}\n')
    assert call("predict", "toys", "--input", "in.jsonl", "--output", f"out.{form}").code == 0
    again = call("predict", "toys", "--input", f"out.{form}", "--text", "text", "--format", "jsonl")
    rows = [json.loads(line) for line in again.out.splitlines()]
    assert [row["text"] for row in rows] == ["dabe", "fine"]
    assert [(str(row["predicted"]), float(row["score"])) for row in rows] == [
        (row["predicted_2"], row["score_2"]) for row in rows
    ]


def test_formulas_are_made_harmless_unless_raw_is_asked_for(call: Call) -> None:
    """X03: a text that a spreadsheet would run gets an apostrophe; `--raw` keeps it."""
    text = '=cmd|"/C calc"!A1'
    quoted = text.replace('"', '""')
    assert call("predict", "toys", text).out.splitlines()[1].startswith(f'"\'{quoted}",')
    assert call("predict", "toys", text, "--raw").out.splitlines()[1].startswith(f'"{quoted}",')


def test_a_text_that_begins_with_a_dash_follows_two_dashes(call: Call) -> None:
    answer = call("predict", "toys", "--format", "jsonl", "--", "--json")
    assert json.loads(answer.out)["text"] == "--json"


def test_several_labels_are_a_list_as_in_the_runs_own_predictions(call: Call, trained: Path) -> None:
    rows = texts_of(trained, "several")
    found = list(csv.DictReader(io.StringIO(call("predict", "several", *(row["text"] for row in rows)).out)))
    assert list(found[0]) == ["text", "predicted", "score_label0", "score_label1"]
    assert [row["predicted"] for row in found] == [row["predicted"] for row in rows]
    assert '["label0", "label1"]' in {row["predicted"] for row in rows}
    line = json.loads(call("predict", "several", rows[0]["text"], "--format", "jsonl").out)
    assert line["predicted"] == json.loads(rows[0]["predicted"])


def test_pairs_come_from_the_option_or_from_two_columns(call: Call, tmp_path: Path, trained: Path) -> None:
    row = texts_of(trained, "twos")[0]
    one = call("predict", "twos", row["text"], "--pair", row["pair"], "--format", "jsonl")
    assert json.loads(one.out)["score"] == float(row["score"])
    (tmp_path / "in.jsonl").write_text(json.dumps({"a": row["text"], "b": row["pair"]}) + "\n")
    answer = call("predict", "twos", "--input", "in.jsonl", "--text", "a", "--pair", "b", "--format", "jsonl")
    assert json.loads(answer.out)["score"] == float(row["score"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("toys x --pair y", "--pair: this classifier reads single texts, not pairs"),
        ("twos x", "this classifier reads pairs of texts; add --pair TEXT, or use --input FILE --text COLUMN --pair "
            "COLUMN"),
        ("twos --input u.csv", "u.csv does not tell which columns are the text and the pair; say --text COLUMN "
            "--pair COLUMN (columns: a, b)"),
        ("sveral x", "no run is called 'sveral'; did you mean 'several'? (runs here: several, toys, twos)"),
        ("toys --input t.csv --text rview", "t.csv has no column 'rview'; did you mean 'review'? (columns: n, review)"),
        ("twos --input t.csv", "t.csv does not tell which column is the pair; say --pair COLUMN (columns: n, review)"),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_refused_with_nothing_written(
    call: Call, tmp_path: Path, arguments: str, message: str
) -> None:
    (tmp_path / "t.csv").write_text("n,review\n1,a\n")
    (tmp_path / "u.csv").write_text("a,b\n1,2\n")
    assert call("predict", *arguments.split()) == Answer(2, "", f"textclf: {message}\n")


def test_a_broken_row_leaves_no_half_written_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,n\n" + "a,1\n" * 3000 + "a,1,2\n")
    answer = call("predict", "toys", "--input", "t.csv", "--output", "out.csv")
    assert answer.code == 3
    assert "t.csv:3002" in answer.err
    assert not list(tmp_path.glob("*out.csv*"))


def test_a_moved_model_folder_predicts(call: Call, trained: Path, tmp_path: Path) -> None:
    """C10: the model folder alone, somewhere else."""
    import shutil

    (model,) = trained.glob("toys/*/model")
    shutil.copytree(model, tmp_path / "elsewhere")
    assert call("predict", "elsewhere", "dabe").out == call("predict", "toys", "dabe").out


def test_a_long_table_is_read_as_it_is_written(call: Call, tmp_path: Path) -> None:
    def lines() -> Iterator[str]:
        yield "text,filler\n"
        yield from (f"dabe {row},{'x' * 4000}\n" for row in range(4000))

    with (tmp_path / "t.csv").open("w") as file:
        file.writelines(lines())
    call("predict", "toys", "dabe")
    tracemalloc.start()
    assert call("predict", "toys", "--input", "t.csv", "--output", "out.csv").code == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "out.csv").stat().st_size > 16_000_000
    assert peak < 12_000_000


def test_other_labelled_texts_are_evaluated(call: Call, tmp_path: Path, trained: Path) -> None:
    rows = texts_of(trained)
    with (tmp_path / "other.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "class"])
        writer.writerows([row["text"], row["label"]] for row in rows)
    answer = call("evaluate", "toys", "other.csv", "--text", "review", "--label", "class")
    assert answer.code == 0
    assert "texts: 12 test" in answer.out
    assert "\non these texts  " in answer.out
    assert "\nintervals: 2,000 bootstrap draws of these texts\n" in answer.out
    assert "split" not in answer.out
    report = call("evaluate", "toys", "other.csv", "--json").json()["report"]
    assert report["metrics"]["toy_accuracy"]["value"] == 1.0
    assert report["sizes"] == {"test": 12}


def test_several_labels_are_evaluated_in_every_form_of_a_table(call: Call, tmp_path: Path, trained: Path) -> None:
    rows = [(row["text"], json.loads(row["label"])) for row in texts_of(trained, "several")]
    names = ("label0", "label1")
    tables = {
        "lists.csv": [["text", "labels"], *([text, json.dumps(labels)] for text, labels in rows)],
        "commas.csv": [["text", "labels"], *([text, ", ".join(labels)] for text, labels in rows)],
        "flags.csv": [["text", *names], *([text, *(int(n in labels) for n in names)] for text, labels in rows)],
    }
    for name, lines in tables.items():
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    lines = [json.dumps({"text": text, "labels": labels}) for text, labels in rows]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    flags = ("--label", "label0", "--label", "label1")
    expected = call("evaluate", "several", "lists.csv", "--json").json()["report"]
    assert expected["sizes"] == {"test": len(rows)}
    for name, options in (("commas.csv", ()), ("lines.jsonl", ()), ("flags.csv", flags)):
        assert call("evaluate", "several", name, *options, "--json").json()["report"] == expected


def test_the_columns_of_the_training_data_are_looked_for_first(call: Call, tmp_path: Path) -> None:
    rows = "".join(f"{n},{'good' if n % 2 else 'bad'} film,number {n},{n % 2}\n" for n in range(40))
    (tmp_path / "own.csv").write_text("text,title,body,verdict\n" + rows)
    (tmp_path / "own.yaml").write_text(
        "dataset: {use: files, path: own.csv, text: [title, body], label: verdict, label_names: {'0': no, '1': yes}}\n"
        "encoder: toy_words\ntrainer: {use: toy_linear, epochs: 200}\nmetrics: [toy_accuracy]\n"
    )
    assert call("run", "own.yaml", "--runs", "mine").code == 0
    answer = call("evaluate", "own", "own.csv", "--runs", "mine", "--json")
    assert answer.json()["report"]["metrics"]["toy_accuracy"]["value"] == 1.0
    lines = call("predict", "own", "--runs", "mine", "--input", "own.csv", "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["predicted"] for line in lines[:2]] == ["no", "yes"]


def test_a_label_that_the_classifier_does_not_know_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("text,label\na,label0\nb,labl1\n")
    answer = call("evaluate", "toys", "other.csv")
    assert answer.code == 3
    assert "unknown label 'labl1'; did you mean 'label1'?" in answer.err


def test_evaluating_warns_of_texts_that_were_trained_on(call: Call, tmp_path: Path) -> None:
    # The run on `own.csv` trains on four fifths of it, and counts equal texts whatever their case.
    rows = [f"{word} text {i},{label}" for i in range(20) for word, label in (("good", "yes"), ("bad", "no"))]
    (tmp_path / "own.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    recipe = {"dataset": {"use": "files", "path": "own.csv"}, "encoder": "toy_words", "trainer": "toy_linear"}
    (tmp_path / "own.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    assert call("run", "own.yaml", "--runs", "mine").code == 0
    loud = [row.rpartition(",")[0].upper() + "," + row.rpartition(",")[2] for row in rows]
    (tmp_path / "loud.csv").write_text("text,label\n" + "\n".join(loud) + "\n", encoding="utf-8")
    report = call("evaluate", "own", "loud.csv", "--runs", "mine", "--json").json()["report"]
    warning = "32 of these 40 texts were trained on: the score is too good by that; evaluate others"
    assert report["warnings"] == [warning]
    assert warning in call("evaluate", "own", "loud.csv", "--runs", "mine").out.replace("\n", " ")
    (tmp_path / "new.csv").write_text("text,label\nsomething new,yes\nor else,no\n", encoding="utf-8")
    assert call("evaluate", "own", "new.csv", "--runs", "mine", "--json").json()["report"]["warnings"] == []


def test_a_table_in_another_encoding_is_read_by_its_name(call: Call, tmp_path: Path) -> None:
    """D05: wrong encoding: the option that mends it is there."""
    (tmp_path / "latin.csv").write_bytes("text,label\ncafé boba,label0\n".encode("cp1252"))
    refused = call("predict", "toys", "--input", "latin.csv")
    assert refused.code == 3
    assert "it looks like cp1252" in refused.err
    answer = call("predict", "toys", "--input", "latin.csv", "--encoding", "cp1252")
    assert answer.code == 0
    assert answer.out.splitlines()[1].startswith("café boba,label0,")
    assert call("evaluate", "toys", "latin.csv", "--encoding", "cp1252").code == 0


def test_a_table_is_never_replaced_by_its_own_predictions(call: Call, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\nboba\n", encoding="utf-8")
    answer = call("predict", "toys", "--input", "in.csv", "--output", "./in.csv")
    assert answer.code == 2
    assert "--output is the --input, which would be replaced by its own predictions" in answer.err
    assert (tmp_path / "in.csv").read_text(encoding="utf-8") == "text\nboba\n"
