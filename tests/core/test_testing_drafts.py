"""What `plugins check` finds of drafts that a run refuses: the same fault, in the run's words, with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.culprits.making import ACCURACY, LINEAR, SUMMARY, TEXTS
from textclf import Dataset, Field, Labels, Options, Split, Texts, Traits
from textclf.testing import check_component, require
from textclf.testing.toy import ToyAccuracy, ToyTexts


def failed(component, kind, **given):
    findings = check_component(component, kind, **given)
    return {finding.clause.id: finding.detail for finding in findings if finding.state == "failed"}


def line(function):
    return f"test_testing_drafts.py:{function.__code__.co_firstlineno}"


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


BARE = f"test_testing_drafts.py:{Bare.load.__code__.co_firstlineno - 1}"


@pytest.mark.parametrize(
    ("component", "kind", "clause", "said"),
    [
        (replace(ACCURACY, build=build), "metric", "component.build",
         f"build() takes 0 positional arguments but 1 was given ({line(build)})"),
        (replace(ACCURACY, check=(check := lambda: [])), "metric", "component.check",
         f"<lambda>() takes 0 positional arguments but 1 was given ({line(check)})"),
        (replace(TEXTS, build=Bare), "dataset", "component.build", f"Bare() takes no arguments ({BARE})"),
        (replace(ACCURACY, build=lambda options: Blind()), "metric", "metric.float",
         f"Blind.__call__() takes 1 positional argument but 2 were given ({line(Blind.__call__)})"),
        (replace(SUMMARY, build=lambda options: Folderless()), "output", "output.folder",
         f"Folderless.write() takes 2 positional arguments but 3 were given ({line(Folderless.write)})"),
    ],
)  # fmt: skip
def test_a_method_with_other_parameters_is_named_with_its_own_line(component, kind, clause, said):
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
