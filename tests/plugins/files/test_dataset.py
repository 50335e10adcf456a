"""The dataset `files`: the user's own tables become labels, texts, ids and groups, from the disk or from the web."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import textclf_files
from textclf_files.options import FilesOptions

from tests.hostile import HOSTILE
from tests.web import Web, https_server, whole
from textclf import DataError, Dataset, Engine, read_table
from textclf.testing import LocalContext, check_plugin, require


def written(name: str, *lines: str) -> str:
    Path(name).write_text("".join(line + "\n" for line in lines), "utf-8")
    return name


def load(context: LocalContext | None = None, **options) -> Dataset:
    chosen = FilesOptions.model_validate_json(json.dumps(options))
    return textclf_files.build(chosen).load(context or LocalContext(Path()))


def refusal(**options) -> str:
    with pytest.raises(DataError) as caught:
        load(**options)
    return str(caught.value)


def warnings(**options) -> list[str]:
    context = LocalContext(Path())
    load(context, **options)
    return context.warnings


def test_a_file_becomes_a_dataset_with_labels_texts_and_line_numbers():
    dataset = load(path=written("a.csv", "review,label", '"two', 'lines",pos', "bad,neg"))
    assert dataset.labels.names == ("neg", "pos")
    assert list(dataset.train.texts.first) == ["two\nlines", "bad"]
    assert dataset.train.labels.tolist() == [1, 0]
    assert list(dataset.train.ids) == ["2", "4"]
    assert (dataset.train.groups, dataset.test, dataset.unlabelled, dataset.source) == (None, None, None, "a.csv")


def test_files_that_are_split_already_share_their_labels():
    written("train.jsonl", '{"text": "a", "label": 2}', '{"text": "b", "label": 10}')
    written("test.csv", "label,text", "3,c")
    written("more.csv", "text", "d")
    dataset = load(train="train.jsonl", test="test.csv", unlabelled="more.csv")
    assert dataset.labels.names == ("2", "3", "10")
    assert [split.labels.tolist() for split in dataset.splits().values()] == [[0, 2], [1]]
    assert list(dataset.unlabelled.first) == ["d"]


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("text,label", {}),
        ("Review,Sentiment", {}),
        ("words,label", {}),
        ("sentence,gold", {}),
        ("words,gold", {"text": "words", "label": "gold"}),
    ],
)
def test_columns_with_usual_names_are_found(header, options):
    dataset = load(path=written("a.csv", header, "fine,x", "bad,y"), **options)
    assert (list(dataset.train.texts.first), dataset.labels.names) == (["fine", "bad"], ("x", "y"))


def test_several_text_columns_are_joined_and_empty_ones_left_out():
    path = written("a.csv", "title,body,label", "T,B,x", ",B,y", "T,,x")
    assert list(load(path=path, text=["title", "body"]).train.texts.first) == ["T\nB", "B", "T"]


def test_pairs_ids_and_groups_come_from_their_columns():
    path = written("a.tsv", "sentence\tother\tlabel\tkey\tauthor", "a\tb\tx\tk1\tann", "c\td\ty\tk2\tann")
    train = load(path=path, pair="other", id="key", group="author", text="sentence").train
    assert (list(train.texts.first), list(train.texts.second)) == (["a", "c"], ["b", "d"])
    assert (list(train.ids), list(train.groups)) == (["k1", "k2"], ["ann", "ann"])


def test_label_names_rename_merge_and_order_the_labels():
    path = written("a.csv", "text,label", "a,1", "b,01", "c,0")
    dataset = load(path=path, label_names={"1": "good", "01": "good", "0": "bad"}, positive="good")
    assert (dataset.labels.names, dataset.labels.positive) == (("good", "bad"), "good")
    assert dataset.train.labels.tolist() == [0, 0, 1]
    assert refusal(path=path, label_names={"0": "bad", "1": "good"}) == (
        "a.csv:3: the label '01' is not among label_names ('0', '1'); add it there"
    )


@pytest.mark.parametrize(
    ("name", "lines", "options"),
    [
        ("a.csv", ["text,tags", 'x,"b,a"', "y,", "z,a"], {"labels": "tags"}),
        ("a.csv", ["text,tags", "x,b|a", "y,", "z,a"], {"labels": "tags", "labels_delimiter": "|"}),
        ("a.csv", ["text,tags", 'x,"[""b"", ""a""]"', "y,[]", "z, a "], {"labels": ["tags"]}),
        ("a.jsonl", ['{"text": "x", "tags": ["b", "a"]}', '{"text": "y", "tags": []}', '{"text": "z", "tags": "a"}'],
         {"labels": "tags"}),
        ("a.csv", ["text,a,b", "x,1,1", "y,0,0", "z,true,False"], {"labels": ["a", "b"]}),
    ],
)  # fmt: skip
def test_multi_label_rows_are_read_from_lists_and_from_flags(name, lines, options):
    dataset = load(path=written(name, *lines), **options)
    assert (dataset.labels.names, dataset.labels.task) == (("a", "b"), "multi-label")
    assert dataset.train.labels.tolist() == [[True, True], [False, False], [True, False]]


def test_flags_that_are_neither_one_nor_zero_are_refused():
    path = written("a.csv", "text,a,b", "x,1,yes")
    assert refusal(path=path, labels=["a", "b"]) == "a.csv:2: 'b' is 'yes'; write 1 (has the label) or 0 (has not)"


@pytest.mark.parametrize("cell", ['["x", ""]', r'"[\"x\", \"\"]"'])
def test_an_empty_label_in_a_list_is_named_by_its_row(cell):
    path = written("a.jsonl", '{"text": "a", "labels": ["x"]}', f'{{"text": "b", "labels": {cell}}}')
    message = "a.jsonl:2: 'labels' has an empty label in its list; name it or remove it"
    assert refusal(path=path, labels="labels") == message


def test_the_traits_follow_from_the_options():
    def traits(**options):
        found = textclf_files.traits(FilesOptions.model_validate_json(json.dumps(options)))
        return sorted(found.tasks), found.pairs

    assert traits(path="a.csv") == (["single-label"], False)
    assert traits(path="a.csv", labels=["a", "b"], pair="other") == (["multi-label"], True)


def test_the_plugin_passes_every_contract():
    path = written("a.csv", "text,other,tags,by", "a,b,x,1", "c,d,y,2", "e,f,x,2")
    for options in ({"path": path, "label": "tags"}, {"path": path, "labels": "tags", "pair": "other", "group": "by"}):
        require(check_plugin(textclf_files, {"files": options}))


def test_no_data_at_all_is_refused_without_a_plan_too():
    assert refusal() == "there is no data; set `path: FILE`, or `train: FILE` for files that are split already"


def test_a_header_alone_is_no_data():
    """D01: files refuse a table without rows."""
    assert refusal(path=written("a.csv", "text,label")) == "a.csv: has a header (text, label) but no rows"


@pytest.mark.parametrize("name", ["NA", "null", "None", "nan"])
def test_words_that_other_readers_take_for_missing_stay_texts_and_labels(name):
    """D06: "NA", "null", "None" and "nan"."""
    dataset = load(path=written("a.csv", "text,label", f"{name},{name}", "fine,x"))
    assert dataset.train.texts.first[0] == name
    assert name in dataset.labels.names


def test_empty_texts_stay_rows_so_that_the_core_can_count_them():
    """D07: empty and blank texts, after whatever cleaning, are the core's to keep, drop or refuse."""
    train = load(path=written("a.csv", "text,label", ",x", "  ,y", "fine,x")).train
    assert (list(train.texts.first), list(train.ids)) == (["", "  ", "fine"], ["2", "3", "4"])


@pytest.mark.parametrize(
    ("one", "other"), [("01", "1"), ("pos", " pos"), ("pos", "Pos"), ("caf\u00e9", "cafe\u0301"), ("1.0", "1")]
)
def test_labels_that_look_the_same_stay_different_and_are_named(one, other):
    """D08: `01` and `1`, `pos` and ` pos`, composed and decomposed accents."""
    path = written("a.csv", "text,label", f"a,{one}", f"b,{other}", "c,neg")
    assert len(load(path=path).labels) == 3
    first, second = sorted([one, other])
    assert warnings(path=path) == [
        f"the labels '{first}' and '{second}' look the same but are different labels; `label_names` can merge them"
    ]


def test_a_missing_key_is_named_with_its_line():
    """D13: a row of JSONL without the text."""
    path = written("a.jsonl", '{"text": "x", "label": 1}', '{"test": "y", "label": 0}')
    assert refusal(path=path) == "a.jsonl:2: has no 'text'; did you mean 'test'? (it has: test, label)"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.csv", ["text,label", "a,x", "b,", "c,y"]),
        ("a.jsonl", ['{"text": "a", "label": "x"}', "", '{"text": "b", "label": null}', '{"text": "c", "label": "y"}']),
    ],
)
def test_unlabelled_rows_are_refused_unless_they_are_to_be_taken(name, lines):
    """D18: an empty label, or null."""
    path = written(name, *lines)
    assert refusal(path=path) == (
        f"{name}:3: has no label in 'label'; add one, remove the row, or set `unlabelled_rows: take` to use "
        "such rows as unlabelled texts"
    )
    context = LocalContext(Path())
    dataset = load(context, path=path, unlabelled_rows="take")
    assert (list(dataset.train.texts.first), list(dataset.unlabelled.first)) == (["a", "c"], ["b"])
    assert context.warnings == [f"{name}: 1 row without a label taken as unlabelled"]


def test_minus_one_is_a_label_unless_unlabelled_rows_are_taken():
    """D18: -1."""
    path = written("a.csv", "text,label", "a,-1", "b,0", "c,1")
    assert load(path=path).labels.names == ("-1", "0", "1")
    taken = load(path=path, unlabelled_rows="take")
    assert (taken.labels.names, list(taken.unlabelled.first)) == (("0", "1"), ["a"])


def test_unlabelled_rows_are_never_taken_from_the_test_file():
    """D18: what is measured must be labelled."""
    written("a.csv", "text,label", "a,x", "b,y")
    written("t.csv", "text,label", "c,")
    assert refusal(train="a.csv", test="t.csv", unlabelled_rows="take") == (
        "t.csv:2: has no label in 'label'; every row of the test file needs one"
    )


def test_rows_that_are_all_unlabelled_are_no_training_data():
    """D18: nothing would be left."""
    path = written("a.csv", "text,label", "a,-1", "b,-1")
    assert refusal(path=path, unlabelled_rows="take") == "a.csv: none of its 2 rows has a label"


def test_a_repeated_id_and_an_empty_group_are_refused():
    path = written("a.csv", "text,label,key,by", "a,x,1,m", "b,y,1,m", "c,y,2,")
    assert refusal(path=path, id="key") == "a.csv:3: the id '1' is already that of row 2; make ids unique"
    assert refusal(path=path, group="by") == (
        "a.csv:4: 'by' is empty; every row needs a group, if only one of its own"
    )


def test_encoding_delimiter_and_format_are_passed_on():
    Path("a.data").write_bytes("text;label\ncafé;x\nthé;y\n".encode("cp1252"))
    dataset = load(path="a.data", format="csv", encoding="cp1252", delimiter=";")
    assert list(dataset.train.texts.first) == ["café", "thé"]


@pytest.mark.parametrize(
    ("cells", "options", "warned"),
    [
        (["red;blue", "red"], {}, True),
        (["red blue", "red"], {}, True),
        (["red|blue", "red"], {"labels_delimiter": ";"}, True),
        (["red;blue", "red"], {"labels_delimiter": ";"}, False),
        (["red,light blue", "red"], {}, False),
        (["red", "blue"], {}, False),
        (['["light blue"]', '["red"]'], {}, False),
    ],
)
def test_a_wrong_delimiter_of_the_labels_is_a_warning(cells, options, warned):
    """No row of many has two labels, and some label looks as if it were several."""
    path = written("a.jsonl", *(json.dumps({"text": f"text {n}", "labels": cells[n % 2]}) for n in range(12)))
    message = (
        "no text has more than one label; is the delimiter of 'labels' right? labels_delimiter is "
        f"'{options.get('labels_delimiter', ',')}'"
    )
    assert warnings(path=path, labels="labels", **options) == [message] * warned


BODY = b"text,label\n" + b"fine,x\nbad,y\n" * 2_000


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with https_server(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    return LocalContext(tmp_path, cache=tmp_path / "cache", offline=False)


@pytest.mark.parametrize("packed", [False, True])
def test_a_url_is_downloaded_once_and_read_like_a_file(web, context, packed):
    body = gzip.compress(BODY) if packed else BODY
    url = web.serve("/a.csv.gz" if packed else "/a.csv", whole(body))
    first, second = load(context, path=url), load(context, path=url)
    assert (len(first.train), first.source, second.train.ids) == (4_000, url, first.train.ids)
    assert len(web.requests) == 1


def copies(context: LocalContext) -> list[Path]:
    return sorted(path for path in (context.cache / "downloads").iterdir() if path.suffix == ".csv")


@pytest.mark.parametrize(("body", "reason"), [
    (b"text,label\nfine\n", ":2: 1 field where the header has 2; a field or a line end is missing"),
    (gzip.compress(BODY)[:-40], ": the gzip data is cut off; fetch or pack the file again"),
], ids=["row", "gzip"])  # fmt: skip
def test_a_downloaded_file_that_cannot_be_read_is_dropped_from_the_cache(web, context, body, reason):
    url = web.serve("/a.csv", whole(body), whole(BODY))
    with pytest.raises(DataError) as caught:
        load(context, path=url)
    assert str(caught.value).startswith(f"{url}{reason}")
    assert str(caught.value).endswith(".csv is removed, and the next run downloads it again")
    assert copies(context) == []
    assert len(load(context, path=url).train) == 4_000


def test_a_downloaded_file_without_a_column_stays_in_the_cache(web, context):
    url = web.serve("/a.csv", whole(BODY), whole(BODY.replace(b"label", b"topic")))
    with pytest.raises(DataError) as caught:
        load(context, path=url, label="topic")
    (copy,) = copies(context)
    assert str(caught.value) == (
        f"{url}: there is no column 'topic' (columns: 'text', 'label'); "
        f"the copy in the cache is {copy}, and `refresh: true` downloads the file again"
    )
    assert len(load(context, path=url).train) == 4_000
    assert len(load(context, path=url, label="topic", refresh=True).train) == 4_000
    assert len(web.requests) == 2


def recipe(**dataset) -> dict:
    return {
        "version": 1, "name": "mine", "dataset": {"use": "files", **dataset}, "split": {"test": 0.5},
        "encoder": "tfidf", "trainer": "logistic", "metrics": ["accuracy"],
    }  # fmt: skip


def test_hostile_texts_come_through_training_prediction_and_report():
    """D11: NUL, lone surrogates, marks and the rest, from the file to predictions.csv."""
    texts = [*HOSTILE, "half a character \ud83d", *(f"plain text {i}" for i in range(30))]
    lines = [json.dumps({"text": text, "label": "ab"[i % 2], "key": i}) for i, text in enumerate(texts)]
    Path("a.jsonl").write_text("\n".join(lines))
    result = Engine().run(recipe(path="a.jsonl", id="key"))
    with read_table(result.folder / "predictions.csv") as table:
        written = {int(row.text("id")): row.text("text") for row in table}
    assert len(written) > 20
    for number, text in written.items():
        expected = texts[number].replace("\ud83d", "\ufffd")
        assert text == (f"'{expected}" if expected.startswith(("=", "-", "@")) and expected != "-1" else expected)
    assert len(result.classifier.predict(texts)) == len(texts)


def test_a_text_of_ten_megabytes_is_read_in_a_second():
    """D12: one very long text among short ones."""
    long = "word " * 2_000_000
    rows = "".join(f"short {i},{'ab'[i % 2]}\n" for i in range(20))
    Path("a.csv").write_text(f"text,label\n{rows}{long},a\n")
    began = time.process_time()
    with read_table(Path("a.csv")) as table:
        longest = max(len(row.text("text")) for row in table)
    assert longest == len(long)
    assert time.process_time() - began < 1
