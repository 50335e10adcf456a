"""Checks of plugin modules and observers, and of drafts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.culprits.making import ACCURACY, LINEAR, SUMMARY, TEXTS, WORDS
from tests.sample import BOTH, plugin
from tests.toys import engine, recipe
from textclf import Dataset, Field, Labels, Options, Split, Texts, Traits
from textclf.plugin import single_file
from textclf.plugin.discovery import discover
from textclf.plugin.events import RunFinished, RunStarted
from textclf.testing import check_component, check_plugin, require
from textclf.testing.checks import examine_plugin
from textclf.testing.toy import ToyAccuracy, ToyTexts


def failed_observer(observe):
    module = ModuleType("textclf_watching")
    module.textclf_event = observe
    return {finding.clause.id: finding.detail for finding in check_plugin(module) if finding.state == "failed"}


def test_an_observer_that_writes_into_the_folder_of_the_run_is_innocent():
    folders = set()

    def observe(event):
        if isinstance(event, RunStarted):
            folders.add(event.folder)
        for folder in folders:
            with (Path(folder) / "seen.log").open("a") as file:
                file.write(f"{type(event).__name__}\n")

    assert failed_observer(observe) == {}
    assert not Path(folders.pop()).exists(), "and nothing is left of it"


def test_an_observer_is_tried_with_events_that_name_their_run():
    def observe(event):
        with (Path(event.run) / "seen.log").open("a") as file:
            file.write(f"{Path(event.run, 'record.json').stat().st_size}\n")

    assert failed_observer(observe) == {}


def test_an_observer_that_writes_into_the_current_folder_is_told_which_is_the_run_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def observe(event):
        with Path("seen.log").open("a") as file:
            file.write("seen")

    assert failed_observer(observe) == {
        "plugin.files": "textclf_event writes into the current folder: seen.log; the run's is event.run"
    }
    assert list(tmp_path.iterdir()) == []


def removing(folder):
    shutil.rmtree(folder / "model")
    (folder / "record.json").write_text("{}")


def noting(folder):
    (folder / "summary.json").write_text("{}")


@pytest.mark.parametrize(
    ("act", "names"),
    [
        (lambda folder: (folder / "metrics.json").write_text("{}"), "metrics.json"),
        (lambda folder: (folder / "model" / "note.txt").write_text("mine"), "model"),
        (removing, "model, record.json"),
        (noting, "summary.json"),
    ],
)
def test_an_observer_that_takes_files_of_the_run_s_own_is_told_which(act, names):
    def observe(event):
        if isinstance(event, RunFinished):
            assert json.loads((Path(event.folder) / "record.json").read_text("utf-8"))["state"] == "finished"
            act(Path(event.folder))

    said = f"textclf_event changes or removes {names}, which the run writes itself: choose other names"
    assert failed_observer(observe) == {"plugin.whole": said}


@pytest.mark.parametrize("answer", [None, 1])
def test_an_observer_that_prints_is_found_whatever_else_it_does(answer):
    def observe(event):
        if isinstance(event, RunFinished):
            print("done:", event.metrics)
            return answer

    found = failed_observer(observe)
    said = "textclf_event prints \"done: {'accuracy': 0.5}\\n\"; use logging, or a file in the run's folder"
    assert found.pop("plugin.quiet") == said
    assert list(found) == (["plugin.observer"] if answer else [])


def by_place(event, /):
    raise ValueError("no")


def by_both(event):
    raise ValueError("no")


@pytest.mark.parametrize("observe", [by_place, by_both])
def test_a_run_and_a_check_call_an_observer_alike_however_it_takes_the_event(observe, tmp_path):
    line = observe.__code__.co_firstlineno + 1
    assert failed_observer(observe) == {"plugin.observer": f"ValueError: no ({__file__}:{line})"}
    watching = ModuleType("textclf_watching")
    watching.textclf_event = observe
    (said,) = engine(watching, runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe()).report.warnings
    where = f"(test_plugin.py:{line}); remove it from Engine(plugins=...)"
    assert said.startswith(f"observer textclf_watching fails and is left out: ValueError: no {where}")


def quiet_by_place(event, /):
    """Take it."""


def test_an_observer_that_takes_the_event_by_place_alone_passes(tmp_path):
    assert failed_observer(quiet_by_place) == {}
    watching = ModuleType("textclf_watching")
    watching.textclf_event = quiet_by_place
    assert engine(watching, runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe()).report.warnings == ()


def test_an_observer_by_another_name_is_checked_as_runs_call_it(tmp_path):
    source = '@textclf.hookimpl(specname="textclf_event")\ndef watch(event):\n    raise ValueError("no")\n'
    file = tmp_path / "watching.py"
    file.write_text(f"import textclf\n\n\n{source}")
    findings = check_plugin(single_file.load(str(file)))
    assert {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"} == {
        "plugin.observer": "ValueError: no (watching.py:6)"
    }
    (said,) = engine(str(file), runs=tmp_path / "runs", cache=tmp_path / "cache").run(recipe()).report.warnings
    assert said.startswith(f"observer {file} fails and is left out: ValueError: no (watching.py:6)")


def examined(makes, reads=None, others=()):
    """Return the finding about an encoder of one layout, and a trainer of others where there is one."""
    encoder = replace(WORDS, name="mine", traits=Traits(makes=makes, tasks=BOTH))
    trainer = replace(LINEAR, name="reader", traits=Traits(reads=frozenset(reads or ()), tasks=BOTH))
    hooks = {"textclf_encoders": lambda: [encoder], **({"textclf_trainers": lambda: [trainer]} if reads else {})}
    return examine_plugin(plugin("textclf_mine", **hooks), others=others).finding("plugin.layouts")


@pytest.mark.parametrize(
    ("word", "meant"), [("count", "counts"), ("matrx", "matrix"), ("Matrix", "matrix"), ("token", "tokens")]
)
def test_a_slip_in_a_layout_is_told_with_the_one_meant(word, meant):
    found = examined(word)
    assert (found.state, found.detail) == (
        "failed",
        f"no trainer is known that reads '{word}'; in the traits of encoder 'mine', is '{word}' meant to be '{meant}'?",
    )


def test_a_trainer_that_reads_a_misspelt_layout_is_found_too():
    found = examined("graph", {"graph", "matrx"})
    assert found.detail == (
        "no encoder is known that makes 'matrx'; in the traits of trainer 'reader', is 'matrx' meant to be 'matrix'?"
    )


@pytest.mark.parametrize("word", ["matrix", "counts", "tokens", "graph", "token_ids", "sparse_matrix", "features"])
def test_a_known_layout_and_a_word_of_the_plugins_own_are_sound(word):
    assert examined(word).state == "passed"


def test_a_word_that_somebody_reads_is_sound_however_like_a_known_one_it_is():
    assert examined("count", {"count"}).state == "passed"
    reader = replace(LINEAR, traits=Traits(reads=frozenset({"count"}), tasks=BOTH))
    others = discover([plugin("textclf_other", textclf_trainers=lambda: [reader])], entry_points=False).registrations
    assert examined("count", others=others).state == "passed"
    assert examined("cont", others=others).state == "failed"


def test_traits_that_hang_on_options_without_defaults_say_nothing():
    encoder = replace(WORDS, traits=lambda options: Traits(makes=options.no_such_option))
    found = examine_plugin(plugin("textclf_mine", textclf_encoders=lambda: [encoder])).finding("plugin.layouts")
    assert found.state == "passed"


def failed(component, kind, **given):
    findings = check_component(component, kind, **given)
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


def line(function):
    return f"test_plugin.py:{function.__code__.co_firstlineno}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reads": {"matrix"}}, "a set as reads, not a frozenset of str"),
        ({"reads": "matrix"}, "a str as reads, not a frozenset of str"),
        ({"reads": frozenset({"matrix"}), "tasks": "single-label"}, "a str as tasks, not a frozenset of str"),
        ({"reads": frozenset({"matrix"}), "tasks": frozenset({"regression"})}, "'regression' among its tasks"),
        ({"reads": frozenset({"matrix"}), "pairs": "yes"}, "a str as pairs, not a bool"),
    ],
)
def test_traits_of_a_wrong_type_from_a_function_are_one_finding_in_the_words_of_the_run(given, said):
    def traits(options):
        return Traits(**given)

    found = failed(replace(LINEAR, traits=traits), "trainer")
    assert found == {"component.traits": f"traits() returns Traits with {said} ({line(traits)})"}


def loading(change):
    """Return a dataset whose provider changes what the toy loads, and its method that does."""

    class Changed(ToyTexts):
        def load(self, context):
            return change(super().load(context))

    return replace(TEXTS, build=Changed), Changed.load


def train(**columns):
    return lambda data: replace(data, train=replace(data.train, **columns))


@pytest.mark.parametrize(
    ("change", "clause", "said"),
    [
        (lambda data: None, "texts", "load returned nothing, not a textclf.Dataset"),
        (lambda data: [data], "texts", "load returned a list, not a textclf.Dataset"),
        (lambda data: replace(data, train=[data.train]), "texts", "train is a list, not a textclf.Split"),
        (lambda data: train(texts=list(data.train.texts.first))(data), "texts",
         "train texts are a list, not textclf.Texts"),
        (lambda data: replace(data, unlabelled=["a"]), "texts", "unlabelled texts are a list, not textclf.Texts"),
        (lambda data: replace(data, labels=list(data.labels.names)), "labels",
         "labels are a list, not textclf.Labels"),
        (lambda data: train(labels=data.train.labels.tolist())(data), "labels",
         "train labels are a list, not an array"),
        (lambda data: train(ids=range(len(data.train)))(data), "ids",
         "train ids are not all of type str: row 0 is a int"),
    ],
)  # fmt: skip
def test_a_dataset_of_another_form_is_one_finding_in_the_words_of_the_run(change, clause, said):
    component, load = loading(change)
    assert failed(component, "dataset") == {f"dataset.{clause}": f"{said} ({line(load)})"}


@pytest.mark.parametrize("width", [np.int32, np.uint8])
def test_labels_of_any_width_that_the_run_takes_are_sound(width):
    component, _ = loading(lambda data: train(labels=data.train.labels.astype(width))(data))
    require(check_component(component, "dataset"))


def build():
    """Take no options, as a first draft may."""


class Bare:
    def load(self, context):
        """Load nothing."""


class Folderless:
    def write(self, finished):
        """Write nowhere."""


class Blind(ToyAccuracy):
    def __call__(self):
        return 1.0


@pytest.mark.parametrize(
    ("component", "kind", "clause", "said"),
    [
        (replace(ACCURACY, build=build), "metric", "component.build",
         "build() takes 0 positional arguments but 1 was given"),
        (replace(ACCURACY, check=lambda: []), "metric", "component.check",
         "<lambda>() takes 0 positional arguments but 1 was given"),
        (replace(TEXTS, build=Bare), "dataset", "component.build", "Bare() takes no arguments"),
        (replace(ACCURACY, build=lambda options: Blind()), "metric", "metric.float",
         "Blind.__call__() takes 1 positional argument but 2 were given"),
        (replace(SUMMARY, build=lambda options: Folderless()), "output", "output.folder",
         "Folderless.write() takes 2 positional arguments but 3 were given"),
    ],
)  # fmt: skip
def test_a_method_with_other_parameters_is_named_by_python(component, kind, clause, said):
    assert failed(component, kind) == {clause: f"TypeError: {said}"}


class FolderOptions(Options):
    folder: Path = Field(description="of a folder for each label, with a file for each text")


class Shelf:
    """Reads a folder of folders, and takes whatever is there for text."""

    errors = "strict"

    def __init__(self, options):
        self.folder = options.folder

    def load(self, context):
        files = sorted(self.folder.glob("*/*.txt"))
        labels = Labels.of(file.parent.name for file in files)
        texts = Texts([file.read_text("utf-8", errors=self.errors) for file in files])
        return Dataset(labels, Split(texts, labels.encode([file.parent.name for file in files])))


class Patient(Shelf):
    errors = "replace"


@pytest.mark.parametrize(
    ("build", "found"),
    [
        (Patient, {}),
        (Shelf, {"dataset.files": "a file of bytes that are no text in 'shelf' raises UnicodeDecodeError: 'utf-8' "
                                  "codec can't decode byte 0x80 in position 0: invalid start byte; raise a DataError"}),
    ],
)  # fmt: skip
def test_a_provider_that_is_given_a_folder_is_tried_with_other_files_in_a_copy_of_it(build, found, tmp_path):
    shelf = tmp_path / "shelf"
    for label in ("good", "bad"):
        (shelf / label).mkdir(parents=True)
        (shelf / label / "1.txt").write_text(f"{label} weather")
    component = replace(TEXTS, build=build, options=FolderOptions, traits=Traits())
    assert failed(component, "dataset", options={"folder": str(shelf)}) == found
    assert len(list(shelf.rglob("*.txt"))) == 2, "the folder itself is left alone"
