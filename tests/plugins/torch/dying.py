"""Runs of the real trainer that are killed at each change of the disk, and resumed.

`python -m tests.plugins.torch.dying PLACE STRIDE`, in a prepared folder, kills runs at every STRIDE-th change in PLACE,
every third of them again while it is resumed, resumes each, and prints a line of JSON about it. It is a process of its
own that never trains but forks those that do: on a GPU a process whose autograd has begun cannot be forked.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from textclf_torch import checkpoint

from tests.killing import KILLED, Death, forked
from tests.plugins.torch.tiny_runs import NAME, RECIPE, of_run, unlike
from textclf import Engine
from textclf.evaluation.report import Report
from textclf.model.classifier import Classifier
from textclf.model.folder import Saved
from textclf.run.checkpoints import CheckpointStore

# Where changes count: in the whole run, in one save of a checkpoint, or from the last checkpoint to the end.
Place = Callable[[Death], None]
SAVE = 6


def in_run(death: Death) -> None:
    death.armed = True


def in_save(death: Death) -> None:
    """Count the changes of the third save: it is the first that prunes another."""
    real = CheckpointStore.save

    def save(store: CheckpointStore, step: int, write: Any) -> None:
        death.armed = step == SAVE
        real(store, step, write)
        death.armed = False

    CheckpointStore.save = save  # type: ignore[method-assign]


def in_model(death: Death) -> None:
    """Count the changes from the model's save to the end of the report's."""
    write, report = Classifier.write, Report.save

    def written(classifier: Classifier, folder: Path) -> Saved:
        death.armed = True
        return write(classifier, folder)

    def reported(made: Report, folder: Path) -> None:
        report(made, folder)
        death.armed = False

    Classifier.write, Report.save = written, reported  # type: ignore[method-assign]


PLACES: dict[str, Place] = {"run": in_run, "save": in_save, "model": in_model}


def begin(runs: str) -> None:
    Engine(runs=runs).run(RECIPE)


def go_on(runs: str) -> None:
    """Resume the run, or begin it where it died before there was anything to resume."""
    if list(Path(runs).glob(f"{NAME}/*/record.json")):
        Engine(runs=runs).resume(NAME)
    else:
        shutil.rmtree(runs, ignore_errors=True)
        begin(runs)


def mortal(act: Callable[[str], None], runs: str, place: Place, moment: int) -> bool:
    """Let `act` die at a moment, and tell whether it did."""

    def acting() -> None:
        death = Death(moment, armed=False)
        death.installed()
        checkpoint.save_file = death.in_file(checkpoint.save_file)
        place(death)
        act(runs)

    status = forked(acting)
    assert status in (0, KILLED), status
    return status == KILLED


def run_of(runs: str) -> dict[str, Any]:
    [folder] = Path(runs, NAME).iterdir()
    return of_run(folder)


def left_alone() -> None:
    """Let one process run undisturbed, and import here what it has imported: those to come then need not."""

    def run() -> None:
        begin("whole")
        Path("modules").write_text("\n".join(sys.modules), "utf-8")

    assert forked(run) == 0
    for name in set(Path("modules").read_text("utf-8").split("\n")) - set(sys.modules):
        with contextlib.suppress(ImportError):  # some are made as they are used
            importlib.import_module(name)


def main(place: str, stride: int) -> None:
    torch.set_num_threads(1)
    left_alone()
    whole, moment = run_of("whole"), 0
    while mortal(begin, "killed", PLACES[place], moment):
        again = moment // stride % 3 == 0 and mortal(go_on, "killed", in_run, moment * 37 % 150)
        done = forked(lambda: go_on("killed")) == 0
        different = unlike(whole, run_of("killed")) if done else ["it did not end"]
        print(json.dumps({"moment": moment, "killed_again": again, "different": different}), flush=True)
        shutil.rmtree("killed")
        moment += stride


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
