"""A classifier predicts the same wherever it lies, and is refused where anything in it has changed."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.toys import BOTH, engine, plugin, recipe
from textclf import ArtefactError, Classifier, DataError, Decision, Field, Options, PluginError, Texts, Traits
from textclf.testing.samples import HOSTILE
from textclf.testing.toy import ToyWords, WordsOptions

TEXTS = ["baba dada is good", "", "gaga", "the of and"]
LINEAR = {"encoder": "tfidf", "trainer": "logistic", "metrics": ["accuracy"]}
MULTI = {"dataset": {"use": "toy_texts", "size": 60, "labels": 3, "multi_label": True}}
PAIRS = {"dataset": {"use": "toy_texts", "size": 40, "pairs": True}}


def trained(**changes: Any) -> Classifier:
    return engine().run(recipe(**changes)).classifier


@pytest.mark.parametrize("changes", [{}, LINEAR, MULTI, {"clean": ["lowercase"], "decide": {"threshold": 0.3}}])
def test_a_loaded_classifier_predicts_what_the_trained_one_did(changes: dict[str, Any]) -> None:
    done = engine().run(recipe(**changes))
    loaded = engine().load(done.folder)
    assert (loaded.scores(TEXTS) == done.classifier.scores(TEXTS)).all()
    assert loaded.predict(TEXTS) == done.classifier.predict(TEXTS)
    assert (loaded.cleaning, loaded.decision) == (done.classifier.cleaning, done.classifier.decision)
    copied = loaded.save("copy/deep")
    assert engine().load(copied).predict(TEXTS) == loaded.predict(TEXTS)
    with pytest.raises(ArtefactError, match=r"^copy/deep exists already; a saved model is never overwritten$"):
        loaded.save("copy/deep")


def test_hostile_texts_are_predicted_like_any_other() -> None:
    """D11: NUL, lone surrogates, right-to-left marks; D12: and very long ones."""
    for changes in ({}, LINEAR):
        scores = trained(**changes).scores([*HOSTILE, "\ud800", "a" * 1_000_000])
        assert scores.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_one_text_and_a_stream_get_the_same_as_many() -> None:
    classifier = trained()
    texts = [f"baba {i}" for i in range(10)]
    together = classifier.predict(texts)
    assert list(classifier.stream(iter(texts), window=3)) == together
    assert classifier.predict_one(texts[4]) == together[4]
    assert classifier.predict([]) == []
    assert classifier.predict(np.array(texts[:2])) == together[:2]  # type: ignore[arg-type]


def test_a_stream_takes_flat_memory() -> None:
    classifier = trained()
    peaks = []
    for n in (500, 5000):
        tracemalloc.start()
        assert sum(1 for _ in classifier.stream((f"baba dada {i}" for i in range(n)), window=100)) == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ("one text", "predict takes a list of texts; for a single text use predict_one"),
        (b"bytes", "predict takes a list of texts, not a bytes"),
        (None, "predict takes a list of texts, not nothing"),
        ({"text": "x"}, "predict takes a list of texts, not a dict"),
        (pd.DataFrame({"text": ["x"]}), "predict takes a list of texts, not a DataFrame"),
        (["a", None], "text 1 is a NoneType, not a str"),
        ([("a", "b")], "text 0 is a tuple, not a str"),
    ],
)
def test_texts_of_a_wrong_type_are_named(texts: Any, says: str) -> None:
    with pytest.raises(DataError) as raised:
        trained().predict(texts)
    assert str(raised.value) == says


def test_pairs_and_single_texts_are_not_mixed_up() -> None:
    single, paired = trained(), trained(**PAIRS)
    with pytest.raises(DataError, match=r"^this classifier was trained on single texts; pass one column$"):
        single.predict(["a"], ["b"])
    both = "pass the second texts as pairs=[...], or both as textclf.Texts(first, second)"
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: paired.predict(["a"]), f"this classifier was trained on pairs of texts; {both}"),
        (lambda: paired.explain("a"), f"this classifier was trained on pairs of texts; {both}"),
        (lambda: paired.predict([("a", "b")]), f"text 0 is a tuple, not a str; {both}"),  # type: ignore[list-item]
        (
            lambda: paired.predict_one("a"),
            "this classifier was trained on pairs of texts; give both: predict_one(text, pair)",
        ),
    ]
    for ask, says in calls:
        with pytest.raises(DataError) as raised:
            ask()
        assert str(raised.value) == says
    with pytest.raises(DataError, match=r"^2 first texts but 1 second texts$"):
        paired.predict(["a", "b"], ["c"])
    assert list(paired.stream([("a", "b")])) == paired.predict(["a"], ["b"]) == [paired.predict_one("a", "b")]
    assert paired.predict(["a"], ["b"]) == paired.predict(Texts(["a"], ["b"])) == paired.predict(["a"], pairs=["b"])


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        ("abc", "stream takes texts one after the other; for a single text use predict_one"),
        (None, "stream takes texts one after the other, not nothing"),
        (pd.DataFrame({"text": ["x"]}), "stream takes texts one after the other, not a DataFrame"),
        (["a", "b", ("a", "b")], "text 2 is a tuple; this classifier was trained on single texts"),
        (["a", None], "text 1 is a NoneType, not a str"),
    ],
)
def test_a_stream_names_what_it_cannot_predict(stream: Any, says: str) -> None:
    with pytest.raises(DataError) as raised:
        list(trained().stream(stream))
    assert str(raised.value) == says


def test_abstentions_and_several_labels_have_their_own_form() -> None:
    classifier = dataclasses.replace(trained(), decision=Decision(abstain_below=1.0))
    [one] = classifier.predict(["the"])
    assert (one.label, one.score) == (None, pytest.approx(max(one.scores.values())))
    [several] = dataclasses.replace(trained(**MULTI), decision=Decision(0.0)).predict(["the"])
    assert (several.label, several.score) == (("label0", "label1", "label2"), None)


def model_of(**changes: Any) -> Path:
    return engine().run(recipe(**changes)).folder / "model"


def test_any_file_that_differs_is_refused() -> None:
    """C08: any file that differs from the manifest."""
    model = model_of(**LINEAR)
    files = sorted(p for p in model.rglob("*") if p.is_file() and p.name != "textclf.json")
    assert len(files) == 5
    for file in files:
        data = file.read_bytes()
        for harmed in (data[:-1] + bytes([data[-1] ^ 1]), data[: len(data) // 2], b""):
            file.write_bytes(harmed)
            name = file.relative_to(model).as_posix()
            with pytest.raises(ArtefactError) as raised:
                engine().load(model)
            assert str(raised.value) == (
                f"{model}: '{name}' has changed since it was written; train again, or copy the model folder again"
            )
        file.write_bytes(data)
    assert engine().load(model).predict_one("baba").label


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"files": {"../../x": "0"}}, "its list of files leaves the folder: '../../x'"),
        ({"files": {}}, "its list of files is empty"),
        ({"format": 99}, "has format 99; this textclf reads format 1"),
        ({"labels": []}, "is damaged, or not of textclf's writing"),
        ({"labels": {"names": ["a", "a"], "task": "single-label", "positive": None}}, "labels are named twice"),
        ({"components": {"encoder": 5}}, "is damaged, or not of textclf's writing"),
        ({"components": {}}, "lacks 'encoder'"),
    ],
)
def test_a_damaged_description_is_refused(change: dict[str, Any], says: str) -> None:
    """C11: a manifest with paths that leave the folder; and other damage to it."""
    model = model_of()
    about = {**json.loads((model / "textclf.json").read_text()), **change}
    (model / "textclf.json").write_text(json.dumps(about))
    with pytest.raises(ArtefactError) as raised:
        engine().load(model)
    assert says in str(raised.value)


def test_a_moved_read_only_model_predicts_and_is_left_as_it_was() -> None:
    """C10: a moved or read-only folder predicts."""
    model = model_of(**LINEAR)
    before = engine().load(model).predict(TEXTS)
    moved = Path(shutil.copytree(model, "far/away/model"))
    shutil.rmtree("runs")
    for path in (moved, *moved.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    seen = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in (moved, *moved.rglob("*"))}
    assert engine().load(moved).predict(TEXTS) == before
    assert seen == {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in (moved, *moved.rglob("*"))}


class Old(Options):
    width: int = Field(3, description="of the words")


class New(Options):
    columns: int = Field(3, description="of the words")

    @classmethod
    def migrate(cls, version: str, values: dict[str, Any]) -> dict[str, Any]:
        return {"columns": values["width"]} if "width" in values else values


def words(options: type[Options]) -> Any:
    """Return a plugin whose options are called so; it is restored from the toy's own file."""
    module = plugin("encoder", "wide", lambda: ToyWords(WordsOptions(columns=8)), options=options)
    component = module.textclf_encoders()[0]
    traits = Traits(makes="matrix", tasks=BOTH)

    def restore(_: Options, folder: Path) -> ToyWords:
        return ToyWords(WordsOptions(columns=8), np.load(folder / "toy_words.npy"))

    offered = [dataclasses.replace(component, restore=restore, traits=traits)]
    module.textclf_encoders = lambda: offered  # type: ignore[attr-defined]
    return module


def test_a_model_whose_plugin_is_missing_says_who_gave_it() -> None:
    """C12: a model whose plugin is missing: what to give."""
    model = engine(words(Old)).run(recipe(encoder="wide")).folder / "model"
    with pytest.raises(PluginError) as raised:
        engine().load(model)
    assert str(raised.value).startswith("no encoder is called 'wide'")
    assert str(raised.value).endswith(
        "; it was saved by plugin textclf_wide, which a program passed: Engine(plugins=[textclf_wide])"
    )


def test_a_newer_plugin_reads_older_models_and_an_older_one_says_that_it_cannot() -> None:
    """C12: a model whose plugin is older; `Options.migrate` brings old options up to date."""
    model = engine(words(Old)).run(recipe(encoder="wide")).folder / "model"
    assert engine(words(New)).load(model).predict(TEXTS) == engine(words(Old)).load(model).predict(TEXTS)
    newer = engine(words(New), runs="new").run(recipe(encoder="wide")).folder / "model"
    with pytest.raises(PluginError, match=r"^encoder 'wide' \(plugin textclf_wide\) cannot read its saved options"):
        engine(words(Old)).load(newer)
