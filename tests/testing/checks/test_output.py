"""How outputs are examined: of a run of each task that their traits name, and of no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.culprits.making import SUMMARY
from tests.toys import BOTH
from textclf import Traits
from textclf.testing import StandIns, check_component, finished_run


def only(*tasks):
    return Traits(tasks=frozenset(tasks))


class Counting:
    """Writes how often each label is there, which it knows how to count for several labels a text alone."""

    def write(self, finished, folder):
        labels = finished.predictions.truth.sum(axis=0)
        (folder / "counts.txt").write_text(" ".join(f"{count}" for count in labels))


def examined(traits, **given):
    component = replace(SUMMARY, build=lambda options: Counting(), traits=traits)
    return {finding.clause.id: finding for finding in check_component(component, "output", **given)}


def test_an_output_for_several_labels_alone_is_tried_on_a_run_of_those():
    found = examined(only("multi-label"))
    assert [str(finding) for finding in found.values() if finding.state == "failed"] == []
    assert found["output.tasks"].detail == "its traits say it does multi-label only"


def test_an_output_is_tried_on_the_run_that_is_given_alone():
    found = examined(Traits(tasks=BOTH), stand_ins=StandIns(finished=finished_run("multi-label")))
    assert found["output.folder"].state == "passed"
    assert found["output.tasks"].detail == "the run to write of is given"


class Naming(Counting):
    def write(self, finished, folder):
        names = finished.predictions.labels.names
        (folder / "names.txt").write_text(" ".join(names[label] for label in finished.predictions.truth))


def test_a_task_that_an_output_only_says_it_can_do_is_found_with_its_line():
    component = replace(SUMMARY, build=lambda options: Naming(), traits=Traits(tasks=BOTH))
    failed = [finding for finding in check_component(component, "output") if finding.state == "failed"]
    line = Naming.write.__code__.co_firstlineno + 2
    assert [(finding.clause.id, finding.detail) for finding in failed] == [
        (
            "output.tasks",
            "multi-label: TypeError: only integer scalar arrays can be converted to a scalar index "
            f"(test_output.py:{line}); Traits(tasks=...) says it can",
        )
    ]


@pytest.mark.parametrize(("task", "dimensions"), [("single-label", 1), ("multi-label", 2)])
def test_a_finished_run_is_of_the_task_that_is_asked_for_and_leaves_a_text_without_a_label(task, dimensions):
    predictions = finished_run(task).predictions
    assert (predictions.labels.task, predictions.predicted.ndim) == (task, dimensions)
    without = predictions.predicted == -1 if dimensions == 1 else ~predictions.predicted.any(axis=1)
    assert without.any()
